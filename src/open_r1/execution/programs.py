"""What is run, what happened, and who runs it: Program → Provider.execute → Execution → the judge's SubmissionResult.

A provider never sees an expected output, and never raises for a failure of its own machinery: that is an `Execution` whose
status is `unavailable`, which judges turn into *unscored*.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

MAX_SECONDS = 1_000_000
"""The longest time limit."""


@dataclass(frozen=True)
class Limits:
    """What one run of a program may use. The compiler has limits of its own: see `languages`."""

    wall_s: float = 10.0
    cpu_s: float = 5.0
    memory_mb: int = 512
    output_kb: int = 1024
    """Standard output, and standard error, each."""
    disk_mb: int = 32
    processes: int = 16
    """Threads included, as Linux counts them."""
    open_files: int = 64

    @property
    def fault(self) -> str:
        """What is wrong with them, in words; "" for nothing."""
        least = min(self.memory_mb, self.output_kb, self.disk_mb, self.processes, self.open_files)
        if least >= 1 and 0 < self.wall_s <= MAX_SECONDS and 0 < self.cpu_s <= MAX_SECONDS:
            return ""
        return f"limits must be above 0 and finite, seconds at most {MAX_SECONDS:,}: {self}."


@dataclass(frozen=True)
class Program:
    """A program and the input of one run.

    Args:
        source: The main source file's text.
        language: A name of `languages`, such as "python" or "cpp"; aliases are understood.
        stdin: What it reads from standard input.
        args: Its command-line arguments.
        sources: Further files that must be there when it is compiled, by name: a grader, a header. What the compiler
            takes as input (".cpp" for C++) is compiled along; they are not there when it runs.
        files: Files in its working folder when it runs, by name.
        limits: Of the run.
    """

    source: str
    language: str = "python"
    stdin: bytes = b""
    args: tuple[str, ...] = ()
    sources: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    limits: Limits = Limits()


class Status(StrEnum):
    """How a run ended. All but `UNAVAILABLE` are the program's own doing."""

    FINISHED = "finished"
    """It ended by itself; `exit_code` says how."""
    COMPILE_ERROR = "compile_error"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    UNAVAILABLE = "unavailable"
    """It could not be run, or what it did is not known; `reason` says why. Never counts against the program."""


@dataclass(frozen=True)
class Execution:
    """What happened when a program ran.

    Args:
        status: How it ended.
        stdout, stderr: What it wrote, cut at the output limit. With `COMPILE_ERROR`, stderr is the compiler's.
        exit_code: As subprocess has it: negative for the signal that ended it; None when it isn't known.
        wall_s, cpu_s, memory_mb: What it used; None where the provider doesn't tell.
        reason: With `UNAVAILABLE`, a code in snake_case that metrics count, such as "rate_limited".
        detail: A sentence for people, where there is more to say.
    """

    status: Status
    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int | None = None
    wall_s: float | None = None
    cpu_s: float | None = None
    memory_mb: float | None = None
    reason: str = ""
    detail: str = ""

    @property
    def succeeded(self) -> bool:
        """It ended by itself with exit status 0."""
        return self.status is Status.FINISHED and self.exit_code == 0

    @classmethod
    def unavailable(cls, reason: str, detail: str = "") -> Execution:
        """A program that did not run, for a reason of the provider's; its score stays unknown."""
        return cls(Status.UNAVAILABLE, reason=reason, detail=detail)


class Provider(ABC):
    """Something that runs programs: this machine's sandbox, or a service. Safe to use from any thread."""

    name: str
    """As settings name it."""
    concurrency: int = 1
    """How many programs it is worth giving it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    @abstractmethod
    def execute(self, program: Program) -> Execution:
        """Run one program and wait for it. Never raises for a failure of the provider; never waits without limit."""

    def check(self) -> None:  # noqa: B027  what needs nothing to work need not say so
        """Raise ConfigError, saying what to do, if this provider can't be used here at all. Cheap; runs no program."""

    def submit(self, program: Program) -> Future[Execution]:
        """Run a program when its turn comes; `concurrency` of them run at once."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix=f"execution-{self.name}")
            return self._pool.submit(self.execute, program)

    def run(self, programs: Sequence[Program]) -> list[Execution]:
        """An execution for each program, in order."""
        return [future.result() for future in [self.submit(program) for program in programs]]

    def close(self) -> None:
        """Give back everything held: processes, connections, remote sandboxes."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Provider:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
