"""The server: shut itself in, then fork a child a job until the worker hangs up.

    python -s -S -P -B -c "<trampoline>" FOLDER DESCRIPTOR CONFIG

The trampoline calls `serve`, which returns in each child with the Python program to be run there; so no frame of the
server lies beneath a program.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from json import loads
from socket import socket
from typing import Any

from open_r1.execution.sandbox.server import jail, kernel, landlock, wire
from open_r1.execution.sandbox.server.job import Job, Outcome, Script, become_program, watch
from open_r1.execution.sandbox.server.seccomp import Filter, Rules, require_filter

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
        self._filters = {
            (fork, execute): Filter(Rules(fork, execute)) for fork in (False, True) for execute in (False, True)
        }
        self._jail = jail.enter(config["readable"], config["hidden"], config["user"])

    def other_tasks(self) -> int:
        """Processes and threads that are counted with a job's own: none, as they are counted by namespace."""
        return 0

    def before(self, job: Job) -> None:
        self._jail.fresh_box(job.disk_mb)
        self._jail.new_processes()

    def after(self, job: Job, outcome: Outcome) -> None:
        if job.collect:
            with suppress(OSError):
                outcome.descriptors = [_open_result(job.collect)]
        self._jail.discard_box()

    def lock_down(self, job: Job) -> None:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        self._filters[job.forks, bool(job.argv)].install()


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
            raise OSError(
                f"user {os.getuid()} may not read this interpreter's library, {os.path.dirname(os.__file__)}"
            )
        self._readable = [*config["readable"], "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"]

    def other_tasks(self) -> int:
        """All that this user has, since the kernel counts by user here."""
        return tasks_of(os.getuid())

    def before(self, job: Job) -> None:
        if job.files or job.collect or job.forks:
            raise OSError("tier B has no folder that a job could write to, and lets it start no process")

    def after(self, job: Job, outcome: Outcome) -> None:
        pass

    def lock_down(self, job: Job) -> None:
        landlock.restrict(self._readable, writable=["/dev/null"])
        Filter(Rules(execute=bool(job.argv), write=False, signal_only=os.getpid())).install()


def serve() -> Script:
    """Serve jobs until the worker hangs up; returns in each child, with the Python program to be run."""
    sys.path.pop(0)
    control = socket(fileno=int(sys.argv[2]))
    config = loads(sys.argv[3])
    _be_the_first_to_go()
    _preload(config["packages"], config["preload"])
    base_memory = _address_space()
    try:
        require_filter()
        tier = {"A": TierA, "B": TierB}[config["tier"]](config)
    except OSError as error:
        wire.send(control, {"failure": str(error.strerror or error)})
        os._exit(1)
    if tier.has_box:
        sys.path.insert(0, jail.BOX)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page that it looks at
    wire.send(control, {"ready": True})
    return _serve_jobs(control, tier, base_memory)


def _serve_jobs(control: socket, tier: Any, base_memory: int) -> Script:
    while True:
        received = wire.receive(control)
        if received is None:
            os._exit(0)
        message, descriptors = received
        if "end" in message:  # of a job that has ended by itself meanwhile
            continue
        job = Job(**message)
        started = time.monotonic()
        report, tell = os.pipe()
        outcome = _guard(lambda job=job: tier.before(job))
        if outcome is None:
            pid = os.fork()
            if pid == 0:
                return become_program(job, descriptors, tell, tier, base_memory)
            os.close(tell)
            tell = -1
            outcome = watch(pid, job, control, report, started)
            failed = _guard(lambda job=job, outcome=outcome: tier.after(job, outcome))
            outcome = failed or outcome
        for descriptor in (*descriptors, report, *([tell] if tell >= 0 else [])):
            os.close(descriptor)
        wire.send(control, outcome.as_message(), outcome.descriptors)
        for descriptor in outcome.descriptors:
            os.close(descriptor)


def tasks_of(user: int) -> int:
    """How many processes and threads a user has."""
    tasks = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                tasks += len(os.listdir(f"{entry.path}/task")) if entry.stat().st_uid == user else 0
    return tasks


def _guard(step: Callable[[], None]) -> Outcome | None:
    try:
        step()
    except OSError as error:
        return Outcome(failure=str(error.strerror or error))
    return None


def _open_result(name: str) -> int:
    """A file that a job made, if it is one."""
    descriptor = os.open(f"{jail.BOX}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not os.path.isfile(descriptor):
        os.close(descriptor)
        raise OSError(f"{name} is no file")
    return descriptor


def _be_the_first_to_go() -> None:
    """When the machine runs out of memory, a job goes before the trainer does."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def _preload(packages: list[str], modules: list[str]) -> None:
    sys.path.extend(packages)
    for name in (*PRELOADED, *modules):
        import_module(name)


def _address_space() -> int:
    """Bytes of address space that the server takes, which a program has no part in."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
