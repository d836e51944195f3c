"""One job: the child that locks itself down and becomes the program, and the server's watch over it.

The child gets what it needs as descriptors, in this order: stdout, stderr, stdin, the program, then one for each file.
Neither the server nor the child reads from or writes to the first three.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from open_r1.execution.sandbox.server import jail, kernel, wire
from open_r1.execution.sandbox.server.script import ENVIRONMENT

MAX_TIMERS = 256
"""And queued signals: the kernel counts them as one."""

OWN_PROCESSES = 4
"""The server, the one that waits for it, and a job's first two: they count as well where processes are counted."""

STACK_MB = 64
"""Of what isn't an executable of its own. An executable has no limit but its memory: glibc gives each thread as much address
space as the limit allows, and few fit; without a limit it gives 2 MiB."""

RESERVED_MB = 1024
"""What runtimes whose memory is watched may reserve beyond their limit, for stacks of threads they hardly use."""

SETUP_FAILED, CANNOT_EXECUTE = 127, 126
REPORT, PROGRAM = 3, 4
"""Descriptors of a child that is about to become the program; gone when it has."""

MAX_REPORT = 400
"""Bytes of what a child says when it can't lock itself down."""

Script = tuple[bytes, list[str]]
"""A Python program's source and arguments."""


class Job(NamedTuple):
    """What a worker asks for.

    Args:
        argv: The command; empty for a Python program to be run in the child itself.
        arguments: The program's own, after the command's.
        environment: Variables beside those that every program has.
        is_binary: The program's descriptor is an executable, and argv its name; else argv[0] is a path.
        files: Names in the working folder, in the order of their descriptors.
        stdin_file: Standard input is wanted under the name /dev/stdin as well.
        collect: The file of the working folder to be handed back, if any.
        forks: It may start processes.
        limits_address_space: Memory is limited by address space; else by what is private and writable.
    """

    argv: list[str]
    arguments: list[str]
    environment: dict[str, str]
    is_binary: bool
    files: list[str]
    stdin_file: bool
    collect: str
    forks: bool
    limits_address_space: bool
    wall_s: float
    cpu_s: float
    memory_mb: int
    disk_mb: int
    processes: int
    open_files: int


class Outcome(NamedTuple):
    """What the server saw of a job. With `failure` set it could not be run, and the rest means nothing."""

    exit_code: int = 0
    timed_out: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_kb: int = 0
    failure: str = ""


def become_program(
    job: Job, descriptors: Sequence[int], report: int, lock: Any, base_memory: int, others: int
) -> Script:
    """In the child: lock it down, then turn into the program, or return the Python program to be run. Never raises."""
    channel = report
    try:
        os.setsid()
        if job.files or (job.stdin_file and lock.has_box):
            _write_files(job, descriptors)
        for place, descriptor in ((1, descriptors[0]), (2, descriptors[1]), (0, descriptors[2])):
            os.dup2(descriptor, place)
        if job.argv and lock.has_box:
            _start_under_init(report)
        program = descriptors[3]
        source = b"" if job.argv else os.pread(program, os.fstat(program).st_size, 0)
        os.dup2(report, REPORT, inheritable=False)
        channel = REPORT
        if job.is_binary:
            os.dup2(program, PROGRAM, inheritable=False)
        os.closerange(PROGRAM + job.is_binary, jail.MAX_DESCRIPTOR)
        _limit_program(job, base_memory, others)
        kernel.drop_capabilities()
        lock.lock_down(job)
        if job.argv:
            _execute(job)
        os.close(REPORT)
        return source, job.arguments
    except BaseException as error:  # noqa: BLE001  the server reports it, whatever it is
        os.write(channel, f"E{type(error).__name__}: {error}".encode()[:MAX_REPORT])
        os._exit(SETUP_FAILED)


def _write_files(job: Job, descriptors: Sequence[int]) -> None:
    given = dict(zip(job.files, descriptors[4:], strict=True))
    if job.stdin_file:
        given[".stdin"] = descriptors[2]
    for name, source in given.items():
        target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        offset, size = 0, os.fstat(source).st_size
        while offset < size:
            offset += os.sendfile(target, source, offset, size - offset)
        os.close(target)


def _start_under_init(report: int) -> None:
    """Return in a child; its parent waits for it, as the first process of a tree must, and reports how it ended.

    The first process of a tree ignores most signals, which a compiled program may count on.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler is the one thing a program could reach here
    pid = os.fork()
    if pid == 0:
        return
    kernel.drop_capabilities()
    os.closerange(0, 3)
    with suppress(ChildProcessError):
        while True:  # also for those that the program has left: only the time of children waited for is counted
            ended, status = os.wait()
            if ended == pid:
                os.write(report, f"S{status}".encode())
                with suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGKILL)
    os._exit(0)


def reserve_places() -> None:
    """REPORT and PROGRAM become nothing else's numbers."""
    while os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) <= PROGRAM:
        pass


def limit_server() -> None:
    """Limits that are the same for every job: set once, in the server, and inherited."""
    _set_limit(resource.RLIMIT_SIGPENDING, MAX_TIMERS)
    _set_limit(resource.RLIMIT_CORE, 1)  # 0 would still hand a crashed program to a core_pattern that is a pipe
    _set_limit(resource.RLIMIT_MEMLOCK, 0)
    _set_limit(resource.RLIMIT_MSGQUEUE, 0)


def _limit_program(job: Job, base_memory: int, others: int) -> None:
    """The job's own limits; what the server takes, and what is counted with it, comes on top."""
    memory = job.memory_mb << 20
    if job.limits_address_space:
        _set_limit(resource.RLIMIT_AS, memory + (0 if job.argv else base_memory))
    else:
        _set_limit(resource.RLIMIT_DATA, memory + (RESERVED_MB << 20))
    _set_limit(resource.RLIMIT_CPU, int(job.cpu_s) + 1)
    _set_limit(resource.RLIMIT_FSIZE, job.disk_mb << 20)
    _set_limit(resource.RLIMIT_NOFILE, job.open_files)
    _set_limit(resource.RLIMIT_NPROC, job.processes + OWN_PROCESSES + others)
    _set_limit(resource.RLIMIT_STACK, None if job.is_binary else min(job.memory_mb, STACK_MB) << 20)


def _set_limit(what: int, wanted: int | None) -> None:
    """A limit as wanted, or as near to it as this process may go; None for the highest."""
    most = resource.getrlimit(what)[1]
    value = most if wanted is None or 0 <= most < wanted else wanted
    resource.setrlimit(what, (value, value))


def _execute(job: Job) -> None:
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    environment = ENVIRONMENT | job.environment
    command = [*job.argv, *job.arguments]
    if not job.is_binary:
        os.execve(job.argv[0], command, environment)
    try:
        os.execve(PROGRAM, command, environment)
    except OSError as error:  # what a compiler made of the source is the program's own doing
        os.write(2, f"the executable can't be started: {error.strerror}\n".encode())
        os._exit(CANNOT_EXECUTE)


def watch(pid: int, job: Job, line: wire.Line, report: int, started: float) -> Outcome:
    """Wait for a job, end it at its time or when the worker says so, and tell what became of it."""
    process = os.pidfd_open(pid)
    ready, _, _ = select.select([process, line], [], [], max(0.0, started + job.wall_s - time.monotonic()))
    if process not in ready:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        if ready and line.receive() is None:  # the worker is gone; else it wants the job ended
            os._exit(0)
    _, status, usage = os.wait4(pid, 0)
    os.close(process)
    said = os.read(report, MAX_REPORT)
    if said.startswith(b"E"):
        return Outcome(failure=said[1:].decode(errors="replace"))
    return Outcome(
        exit_code=os.waitstatus_to_exitcode(int(said[1:]) if said else status),
        timed_out=not ready,
        wall_s=time.monotonic() - started,
        cpu_s=usage.ru_utime + usage.ru_stime,
        memory_kb=usage.ru_maxrss,
    )
