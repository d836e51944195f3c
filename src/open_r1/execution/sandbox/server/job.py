"""One job: the child that locks itself down and becomes the program, and the server's watch over it.

The child gets what it needs as descriptors, in this order: stdout, stderr, stdin, the program, then one for each file.
Neither the server nor the child reads from or writes to the first three.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from open_r1.execution.sandbox.server import kernel, wire
from open_r1.execution.sandbox.server.jail import BOX
from open_r1.execution.sandbox.server.script import ENVIRONMENT

MAX_TIMERS = 256
"""Timers and queued signals, which the kernel counts as one."""

OWN_PROCESSES = 4
"""The server, the one that waits for it, and a job's first two: they count as well where processes are counted."""

LARGEST_STACK_MB = 1024
OTHER_STACK_MB = 64
RESERVED_MB = 1024
"""What runtimes whose memory is watched may reserve beyond their limit, for stacks of threads they hardly use."""

SETUP_FAILED = 127
REPORT, PROGRAM = 3, 4
"""Descriptors of a child that is about to become the program; gone when it has."""


Script = tuple[bytes, list[str]]
"""A Python program's source and arguments."""


@dataclass(frozen=True)
class Job:
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


@dataclass
class Outcome:
    """What the server saw of a job."""

    status: int = 0
    timed_out: bool = False
    failure: str = ""
    wall_s: float = 0.0
    usage: Any = None
    descriptors: list[int] = field(default_factory=list)

    def as_message(self) -> dict[str, Any]:
        if self.failure:
            return {"failure": self.failure}
        return {
            "exit_code": os.waitstatus_to_exitcode(self.status),
            "timed_out": self.timed_out,
            "wall_s": self.wall_s,
            "cpu_s": self.usage.ru_utime + self.usage.ru_stime,
            "memory_kb": self.usage.ru_maxrss,
        }


def become_program(job: Job, descriptors: Sequence[int], report: int, lock: Any, base_memory: int) -> Script:
    """In the child: lock it down, then turn into the program, or return the Python program to be run. Never raises."""
    channel = report
    try:
        os.setsid()
        os.chdir(BOX if lock.has_box else "/")
        _write_files(job, descriptors)
        for target, source in ((1, descriptors[0]), (2, descriptors[1]), (0, descriptors[2])):
            os.dup2(source, target)
        if job.argv:
            _start_under_init(report, lock)
        source = b"" if job.argv else _read_all(descriptors[3])
        program = os.dup(descriptors[3]) if job.is_binary else -1
        _keep_only(report, program)
        channel = REPORT
        _limit(job, base_memory, lock.other_tasks())
        kernel.drop_capabilities()
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # nothing that shares our user can look inside
        lock.lock_down(job)
        if job.argv:
            _execute(job, program)
        os.close(REPORT)
        return source, job.arguments
    except BaseException as error:  # noqa: BLE001  told to the server, whatever it is
        os.write(channel, f"E{type(error).__name__}: {error}".encode())
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


def _start_under_init(report: int, lock: Any) -> None:
    """Return in a child; its parent waits for it, as the first process of a tree must, and tells how it ended.

    The first process of a tree ignores most signals, which a compiled program may count on.
    """
    if not lock.has_box:
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler is the one thing a program could reach here
    pid = os.fork()
    if pid == 0:
        return
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    os.closerange(0, 3)
    while True:
        ended, status = os.wait()
        if ended == pid:
            os.write(report, f"S{status}".encode())
            os._exit(0)


def _read_all(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0) if size else b""


def _keep_only(report: int, program: int) -> None:
    """Close all descriptors but the standard three, `REPORT` and `PROGRAM`."""
    kept = [descriptor for descriptor in (report, program) if descriptor >= 0]
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, wire.MAX_DESCRIPTORS) for descriptor in kept]
    for place, descriptor in enumerate(moved):
        os.dup2(descriptor, 3 + place, inheritable=False)
    kernel.close_from(3 + len(kept))


def _limit(job: Job, base_memory: int, others: int) -> None:
    memory = job.memory_mb << 20
    stack = min(job.memory_mb, LARGEST_STACK_MB if job.is_binary else OTHER_STACK_MB) << 20
    if job.limits_address_space:
        _set(resource.RLIMIT_AS, memory + (0 if job.argv else base_memory))
    else:
        _set(resource.RLIMIT_DATA, memory + (RESERVED_MB << 20))
    _set(resource.RLIMIT_CPU, int(job.cpu_s) + 1)
    _set(resource.RLIMIT_FSIZE, job.disk_mb << 20)
    _set(resource.RLIMIT_NOFILE, job.open_files)
    _set(resource.RLIMIT_NPROC, job.processes + OWN_PROCESSES + others)
    _set(resource.RLIMIT_SIGPENDING, MAX_TIMERS)
    _set(resource.RLIMIT_STACK, stack)
    _set(resource.RLIMIT_CORE, 1)  # 0 would still hand a crashed program to a core_pattern that is a pipe
    for nothing in (resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE):
        _set(nothing, 0)


def _set(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(what, (value, value))


def _execute(job: Job, program: int) -> None:
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    environment = ENVIRONMENT | job.environment
    target = PROGRAM if program >= 0 else job.argv[0]
    os.execve(target, [*job.argv, *job.arguments], environment)


def watch(pid: int, job: Job, control: socket.socket, report: int, started: float) -> Outcome:
    """Wait for a job, end it at its time or when the worker says so, and tell what became of it."""
    process = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(control, select.POLLIN)
    ready = poll.poll(max(0.0, started + job.wall_s - time.monotonic()) * 1000)
    ended = any(descriptor == process for descriptor, _ in ready)
    if not ended:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        if ready:
            _heed(control)
    _, status, usage = os.wait4(pid, 0)
    os.close(process)
    said = os.read(report, 4096).decode(errors="replace")
    if said.startswith("E"):
        return Outcome(failure=said[1:])
    status = int(said[1:]) if said else status
    return Outcome(status, timed_out=not ready, wall_s=time.monotonic() - started, usage=usage)


def _heed(control: socket.socket) -> None:
    """The worker wants the job ended, or is gone."""
    if wire.receive(control) is None:
        os._exit(0)
