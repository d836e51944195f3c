"""Work on the parts of a stream in several processes, results in the order of the parts, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from open_r1.errors import ConfigError
from open_r1.processes.pool import Limits, Pool
from open_r1.processes.ranks import usable_cores

Part = TypeVar("Part")
Result = TypeVar("Result")

IN_FLIGHT = 3  # parts that are handed out at a time, for each process
LIMIT_S = 600  # A part takes a fraction of a second; a process that has not answered for so long is stuck


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

    with Pool(work, processes, Limits(wall_s=LIMIT_S)) as pool:
        for outcome in pool.map(take(), IN_FLIGHT):
            yield taken.popleft(), outcome.unwrap()
