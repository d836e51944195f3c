"""A pool of worker processes for our own code, with hard limits on each job.

    with Pool(check, workers=4, limits=Limits(wall_s=3, processor_s=3)) as pool:
        for outcome in pool.map(jobs): ...

A fresh interpreter, the fork server, loads the work once and forks the workers; a worker whose job passes a limit is killed
and replaced. It shares nothing with its caller, so that a pool works from any thread and in a forked process, and ends with
it. Why no library: pebble and loky lack what is promised here (measured in docs/lab-notes.md).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeVar

from open_r1.errors import ConfigError, RunError
from open_r1.processes.fork_server import ForkServer, ForkServerLost, Limits, Work
from open_r1.processes.ranks import usable_cores

START_LIMIT_S = 120.0
"""Loading a library takes seconds; a fork server or worker that is not ready for so long is stuck."""

LOADED_MACHINE = 20  # A job that computes may take so many times its limit before its processor time is used up
LOOK_S = 0.1
LOOKS = 3
"""A job past its wall limit that is found waiting so many times in a row, so many seconds apart, does not compute."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A process a core is enough: libraries need no threads of their own beside."""

DEFAULT_LIMITS = Limits()
PARTS_IN_FLIGHT = 3  # parts of a stream that are handed out at a time, for each process
PART_LIMIT_S = 600  # a part takes a fraction of a second; a process that has not answered for so long is stuck
Part = TypeVar("Part")
Result = TypeVar("Result")
Kind = Literal["done", "raised", "timeout", "died"]


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What became of a job: its `value`, or why there is none.

    `raised`: the work raised `error`; `timeout`: a limit was reached; `died`: the worker ended, and `error` says how.
    """

    kind: Kind
    value: Any = None
    error: Exception | None = None

    def unwrap(self) -> Any:
        """The value; the error of the work, or a RunError, where there is none."""
        if self.kind == "done":
            return self.value
        assert self.error is not None
        raise self.error


class Pool:
    """Workers that apply `work` to jobs; they start at first use.

    Args:
        work: A module's function, or an object that can be pickled. Its `prepare()`, if it has one, is called once in the
            server, before any fork; its `begin(index)` in each worker.
        workers: How many jobs run at once.
        limits: What one job may use.
        start_limit_s: Seconds that `prepare` or `begin` may take.
        environment: Variables of the workers, beside this process's.
    """

    def __init__(
        self,
        work: Work,
        workers: int,
        limits: Limits = DEFAULT_LIMITS,
        start_limit_s: float = START_LIMIT_S,
        environment: Mapping[str, str] = ONE_THREAD,
    ) -> None:
        self.work, self.workers, self.limits = work, workers, limits
        self.start_limit_s, self.environment = start_limit_s, dict(environment)
        self.times_closed = 0
        self._reset()
        _open_pools.add(self)

    def _reset(self) -> None:
        self.server: ForkServer | None = None
        self._lock = threading.Lock()
        self._slots = [Slot(self, index) for index in range(self.workers)]
        self._free = deque(self._slots)
        self._threads = ThreadPoolExecutor(self.workers)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(self, jobs: Iterable[Any], ahead: int | None = 3) -> Iterator[JobOutcome]:
        """The outcome of each job, in order. RunError when no worker can be started.

        `ahead`: so many jobs are taken for each worker before their outcomes are; None takes all at once, so that a slow
        job doesn't hold up those behind it. A caller that stops early, or is interrupted, ends the workers.
        """
        waiting: deque[Future[JobOutcome]] = deque()
        self.live_server()  # in this thread, so that an interruption while it starts ends it
        try:
            for job in jobs:
                waiting.append(self._threads.submit(self._run, job))
                if ahead is not None and len(waiting) >= ahead * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            self._abandon(waiting)
            raise

    def map_pinned(self, jobs: Iterable[Any]) -> list[JobOutcome]:
        """The outcome of each job, the first at worker 0, the next at worker 1, and so on."""
        self.live_server()
        waiting = deque(
            self._threads.submit(self._slots[index % self.workers].run, job) for index, job in enumerate(jobs)
        )
        try:
            return [future.result() for future in list(waiting)]
        except BaseException:
            self._abandon(waiting)
            raise

    def close(self) -> None:
        """End all workers at once, also in the middle of a job. The next job starts others."""
        with self._lock:
            server, self.server = self.server, None
            self.times_closed += 1
        if server is not None:
            server.end()

    def forget(self) -> None:
        """In a forked child: the workers belong to the parent."""
        server, slots = self.server, self._slots
        self._reset()
        if server is not None:
            server.control.close()
        for slot in slots:
            if slot.connection is not None:
                slot.connection.close()

    def _abandon(self, waiting: Iterable[Future[JobOutcome]]) -> None:
        for future in waiting:
            future.cancel()
        self.close()

    def _run(self, job: Any) -> JobOutcome:
        slot = self._free.popleft()
        try:
            return slot.run(job)
        finally:
            self._free.append(slot)

    def live_server(self) -> ForkServer:
        """The server, started when there is none; RunError when it can't be."""
        with self._lock:
            if self.server is None:
                self.server = ForkServer(self.work, self.limits, self.start_limit_s, self.environment)
            return self.server

    def lose(self, server: ForkServer) -> None:
        """Let the next job start another fork server."""
        with self._lock:
            if self.server is server:
                self.server = None
                server.end()


def count_processes(asked: int | None) -> int:
    """How many processes to use: as many as were asked for, or one a core."""
    if asked is None:
        return usable_cores()
    if asked < 1:
        raise ConfigError(f"--processes must be at least 1, but is {asked}; leave it out for one a core.")
    return asked


def map_in_order(
    work: Callable[[Part], Result], parts: Iterable[Part], processes: int
) -> Iterator[tuple[Part, Result]]:
    """Each part with what `work` makes of it. With one process everything happens here.

    RunError when a process dies or doesn't answer; errors of `work` are raised as they are.
    """
    if processes == 1:
        for part in parts:
            yield part, work(part)
        return
    taken: deque[Part] = deque()

    def take() -> Iterator[Part]:
        for part in parts:
            taken.append(part)
            yield part

    with Pool(work, processes, Limits(wall_s=PART_LIMIT_S)) as pool:
        for outcome in pool.map(take(), PARTS_IN_FLIGHT):
            yield taken.popleft(), outcome.unwrap()


class Slot:
    """The place of one worker: the current process, and the connection to it."""

    def __init__(self, pool: Pool, index: int) -> None:
        self.pool, self.index = pool, index
        self.lock = threading.Lock()
        self.server: ForkServer | None = None
        self.connection: Connection | None = None
        self.pid = 0

    def run(self, job: Any) -> JobOutcome:
        """What becomes of a job. It is tried once more when the server, not its worker, was lost."""
        with self.lock:
            times_closed = self.pool.times_closed
            for _ in range(2):
                if self.pool.times_closed != times_closed:
                    break
                try:
                    return self._run(job)
                except ForkServerLost as lost:
                    self._drop()
                    self.pool.lose(lost.args[0])
        return JobOutcome("died", error=RunError("the worker processes ended before their work was done."))

    def _run(self, job: Any) -> JobOutcome:
        connection = self._start()
        try:
            connection.send(job)
            if not self._wait(connection):
                return self._end("timeout")
            is_done, result = connection.recv()
        except (EOFError, OSError):
            return self._end("died")
        return JobOutcome("done", result) if is_done else JobOutcome("raised", error=result)

    def _start(self) -> Connection:
        server = self.pool.live_server()
        if self.connection is not None and self.server is server:
            return self.connection
        self._drop()
        self.server, (self.pid, self.connection) = server, server.fork(self.index)
        try:
            if not self.connection.poll(self.pool.start_limit_s):
                raise RunError(f"worker {self.index} was not ready within {self.pool.start_limit_s:.0f} s.")
            is_ready, error = self.connection.recv()
        except (EOFError, OSError):
            raise RunError(f"worker {self.index} ended while it started; its own message is above.") from None
        if not is_ready:
            raise error
        return self.connection

    def _wait(self, connection: Connection) -> bool:
        limits = self.pool.limits
        if connection.poll(limits.wall_s):
            return True
        if limits.processor_s is None:
            return False
        end = time.monotonic() + LOADED_MACHINE * max(limits.wall_s, limits.processor_s)
        waited = 0
        while waited < LOOKS and time.monotonic() < end:
            waited = 0 if is_computing(self.pid) else waited + 1
            if connection.poll(LOOK_S):
                return True
        return False

    def _end(self, kind: Kind) -> JobOutcome:
        assert self.server is not None
        status = self.server.kill(self.pid)
        self._drop()
        if kind == "timeout" or status == -signal.SIGPROF:
            limits = self.pool.limits
            limit = f"{limits.wall_s:g} s" if kind == "timeout" else f"{limits.processor_s:g} s of processor time"
            return JobOutcome("timeout", error=RunError(f"a worker process has not finished a job within {limit}."))
        error = RunError(
            f"a worker process ended with exit status {status} before its work was done, perhaps for want of memory."
        )
        return JobOutcome("died", error=error)

    def _drop(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = self.server = None


def is_computing(pid: int) -> bool:
    """Whether a process computes, or would if it had a core; true where the system doesn't say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] == "R"
    except OSError:
        return not Path("/proc/self/stat").exists()


_open_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _close_all() -> None:
    for pool in list(_open_pools):
        with contextlib.suppress(Exception):
            pool.close()


def _forget_all() -> None:
    for pool in list(_open_pools):
        pool.forget()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
