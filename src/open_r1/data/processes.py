"""The chunks of a source, worked on in several processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from open_r1.errors import ConfigError
from open_r1.processes.cores import usable_cores
from open_r1.processes.pool import Pool

Part = TypeVar("Part")
Result = TypeVar("Result")


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
    """Each part with what `work` makes of it, in order. With one process everything happens here.

    RunError when a process dies or doesn't answer; errors of `work` are raised as they are.
    """
    if processes == 1:
        for part in parts:
            yield part, work(part)
        return
    waiting: deque[Part] = deque()

    def taken() -> Iterator[Part]:
        for part in parts:
            waiting.append(part)
            yield part

    with Pool(work, processes) as pool:
        for outcome in pool.map(taken()):
            yield waiting.popleft(), outcome.unwrap()
