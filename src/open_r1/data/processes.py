"""Work on the parts of a stream in several processes, results in the order of the parts, in bounded memory.

Does: send the work once to each of a few fresh processes (spawned, so nothing of the caller's threads is forked), keep a
few parts in flight a process, and end the processes with the caller, however it ends. Does not: let the number of
processes show in a result: parts are the caller's, and come back in order.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, TypeVar

from open_r1.errors import ConfigError, RunError

Part = TypeVar("Part")
Result = TypeVar("Result")

IN_FLIGHT = 3
"""Parts that are handed out at a time, for each process."""

LIMIT_S = 600
"""A part takes a fraction of a second; a process that has not answered for so long is stuck."""

KEPT_BYTES = 16 << 20
"""A block of this size is taken and given back once: from then on glibc keeps what a process frees, up to that size, instead
of returning each array to the system, where getting it back costs a page fault for every 4 kB."""

_work: Callable[[Any], Any] | None = None


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_processes(processes: int) -> None:
    if processes < 1:
        raise ConfigError(f"--processes must be at least 1, but is {processes}; leave it out for one a core.")


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
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _receive, (work,))
    try:
        waiting: deque[tuple[Part, Future[Result]]] = deque()
        for part in parts:
            waiting.append((part, pool.submit(_apply, part)))
            if len(waiting) >= IN_FLIGHT * processes:
                yield _finish(*waiting.popleft())
        while waiting:
            yield _finish(*waiting.popleft())
    except BaseException:
        _kill(pool)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _kill(pool: ProcessPoolExecutor) -> None:
    """End processes that may be in the middle of a part: otherwise the interpreter waits for them when it exits."""
    for process in list(
        (getattr(pool, "_processes", None) or {}).values()
    ):  # public from Python 3.14 on: kill_workers
        process.kill()


def _finish(part: Part, future: Future[Result]) -> tuple[Part, Result]:
    try:
        return part, future.result(LIMIT_S)
    except BrokenProcessPool:
        raise RunError(
            "one of the processes was ended from outside, perhaps for want of memory; run again with fewer --processes."
        ) from None
    except TimeoutError:
        raise RunError(
            f"a process has not answered for {LIMIT_S} s; run again with --processes 1 to see why."
        ) from None


def _receive(work: Callable[[Any], Any]) -> None:
    """In a fresh process: keep the work, and end when the parent does."""
    global _work
    _work = work
    bytearray(KEPT_BYTES)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    os._exit(1)


def _apply(part: Any) -> Any:
    assert _work is not None, "the pool's initialiser has run"
    return _work(part)
