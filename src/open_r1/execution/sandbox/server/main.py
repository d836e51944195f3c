"""The server: shut itself in, then fork a child a job until the worker hangs up.

The worker's trampoline calls `serve`, which returns in each child with the Python program to be run there; so no frame of
the server lies beneath a program.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from contextlib import suppress
from importlib import import_module
from json import loads
from socket import socket
from typing import Any

from open_r1.execution.sandbox.server import jail, kernel, landlock, script, wire
from open_r1.execution.sandbox.server.job import (
    Job,
    Outcome,
    Script,
    become_program,
    limit_server,
    reserve_places,
    watch,
)
from open_r1.execution.sandbox.server.seccomp import Rules, assemble, install, require_filter

PRELOADED = """
abc array atexit bisect cmath collections collections.abc contextlib copy dataclasses datetime decimal enum fractions
functools heapq io itertools json math numbers operator os queue random re statistics string struct sys textwrap
threading time traceback types typing
""".split()
"""Modules that programs import most. What isn't here a program reads from the disk; each that is makes a fork dearer."""


class TierA:
    """Namespaces around the server; a job may write in its folder and see only its own processes."""

    has_box = True

    def __init__(self, config: dict[str, Any]) -> None:
        self._filters = {(fork, run): assemble(Rules(fork, run)) for fork in (False, True) for run in (False, True)}
        self._own_processes = jail.enter(config["readable"], config["hidden"], config["user"])
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # nothing that shares our user can look inside
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)

    def other_tasks(self) -> int:
        return 0  # processes and threads are counted by namespace

    def before(self, job: Job) -> None:
        """Give the job an empty folder of `disk_mb` MiB and a process namespace of its own."""
        jail.fresh_box(job.disk_mb)
        jail.new_processes(self._own_processes)

    def after(self, job: Job) -> list[int]:
        result = _open_result(job.collect) if job.collect else []
        jail.discard_box()
        return result

    def lock_down(self, job: Job) -> None:
        """In the child: install the filter that fits whether the job forks and starts a program."""
        install(self._filters[job.forks, bool(job.argv)])


class TierB:
    """Landlock and the filter alone: a job writes nothing and starts no process."""

    has_box = False

    def __init__(self, config: dict[str, Any]) -> None:
        found = landlock.abi()
        if found < landlock.NEEDED_ABI:
            raise OSError(f"Landlock ABI {found or 'none'}, and {landlock.NEEDED_ABI} is needed (Linux 6.12)")
        if os.getuid() == 0:
            jail.become(config["user"])
        if not os.access(os.__file__, os.R_OK):
            library = os.path.dirname(os.__file__)
            raise OSError(f"user {os.getuid()} may not read this interpreter's library, {library}")
        self._readable = [*config["readable"], "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"]
        self._server = os.getpid()

    def other_tasks(self) -> int:
        """All that this user has, since the kernel counts by user here."""
        tasks = 0
        for entry in os.scandir("/proc"):
            with suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                    tasks += len(os.listdir(f"{entry.path}/task"))
        return tasks

    def before(self, job: Job) -> None:
        """OSError for a job that needs files or further processes, which this tier has no place for."""
        if job.files or job.collect or job.forks:
            raise OSError("tier B has no folder that a job could write to, and lets it start no process")

    def after(self, job: Job) -> list[int]:
        """No descriptors, since a job writes nothing."""
        return []

    def lock_down(self, job: Job) -> None:
        """In the child: restrict what it may read by Landlock, then install the filter."""
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # in the server it would hide it from those who count processes
        kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)  # no tree of processes ends it with the server
        if os.getppid() != self._server:
            os._exit(1)  # the server ended before the line above
        landlock.restrict(self._readable, writable=["/dev/null"])
        install(assemble(Rules(execute=bool(job.argv), write=False, signal_only=os.getpid())))


def serve() -> Script:
    """Serve jobs until the worker hangs up; returns in each child, with the Python program to be run."""
    sys.path.pop(0)
    number = int(sys.argv[2])
    line = wire.Line(socket(fileno=os.dup(number)))  # a low number, whatever it was in the worker's process
    os.close(number)
    config = loads(sys.argv[3])
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")  # when the machine runs out of memory, a job goes before the trainer does
    sys.path.extend(config["packages"])
    for name in (*PRELOADED, *config["preload"]):
        import_module(name)
    reserve_places()
    script.prepare()
    base_memory = _address_space()
    try:
        require_filter()
        tier = {"A": TierA, "B": TierB}[config["tier"]](config)
    except OSError as error:
        line.send(_failure(error))
        os._exit(1)
    limit_server()  # not before: a user namespace remembers its maker's limits, and counts for all that are made alike
    if tier.has_box:
        sys.path.insert(0, jail.BOX)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page that it looks at
    gc.disable()  # in here; a program has it
    line.send(Outcome())
    return _serve_jobs(line, tier, base_memory)


def _serve_jobs(line: wire.Line, tier: Any, base_memory: int) -> Script:
    while True:
        received = line.receive()
        if received is None:
            os._exit(0)
        message, descriptors = received
        if message == wire.END:  # of a job that has ended by itself meanwhile
            continue
        job = Job(*message)
        started = time.monotonic()
        report, tell = os.pipe()
        result: list[int] = []
        pid, outcome = 0, Outcome()
        try:
            tier.before(job)
            others = tier.other_tasks()
            pid = os.fork()
            if pid == 0:
                return become_program(job, descriptors, tell, tier, base_memory, others)
        except OSError as error:
            outcome = _failure(error)
        os.close(tell)
        if not outcome.failure:
            outcome = watch(pid, job, line, report, started)
        try:
            result = tier.after(job)
            line.send(outcome, result)
        except OSError as error:  # in sending: a job has left more descriptors under way than its user may
            line.send(_failure(error))
        for descriptor in (*descriptors, *result, report):
            os.close(descriptor)


def _failure(error: OSError) -> Outcome:
    return Outcome(failure=str(error.strerror or error))


def _open_result(name: str) -> list[int]:
    """A file that a job made, if it is one."""
    with suppress(OSError):
        descriptor = os.open(f"{jail.BOX}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if os.path.isfile(descriptor):
            return [descriptor]
        os.close(descriptor)
    return []


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
