"""Whose program runs next: clients share the slots evenly, whatever each has queued.

The next program comes from the client with the fewest running; among equals, clients take turns, and so do the requests
of one client. So ten programs asked for after a thousand wait for about ten of them, not for all.

It decides order and nothing else: it runs nothing, waits for nothing, and belongs to one thread.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from open_r1.execution.programs import Execution, Program


class Batch:
    """The programs of one request, and where their executions go.

    Args:
        client: Who asked.
        programs: What to run.
        on_done: Called with a program's index and its execution.
    """

    def __init__(self, client: str, programs: Sequence[Program], on_done: Callable[[int, Execution], None]) -> None:
        self.client = client
        self.on_done = on_done
        self._programs: list[Program | None] = list(programs)
        self._waiting = deque(range(len(programs)))

    def __len__(self) -> int:
        """How many programs still wait for their turn."""
        return len(self._waiting)

    def take(self) -> tuple[int, Program]:
        """The next program and its index. The batch lets go of it: what is done takes no memory."""
        index = self._waiting.popleft()
        program, self._programs[index] = self._programs[index], None
        assert program is not None
        return index, program

    def clear(self) -> list[int]:
        """Let go of the programs that still wait; returns their indices."""
        indices = list(self._waiting)
        self._waiting.clear()
        self._programs.clear()
        return indices


class FairQueue:
    """Batches in the order described above."""

    def __init__(self) -> None:
        self._batches: dict[str, deque[Batch]] = {}  # in the order of the clients' turns
        self._running: Counter[str] = Counter()
        self._length = 0

    def __len__(self) -> int:
        """How many programs wait."""
        return self._length

    @property
    def num_running(self) -> int:
        return self._running.total()

    @property
    def num_clients(self) -> int:
        """How many clients have programs waiting or running."""
        return len(self._batches.keys() | self._running.keys())

    def add(self, batch: Batch) -> None:
        if len(batch):
            self._batches.setdefault(batch.client, deque()).append(batch)
            self._length += len(batch)

    def take(self) -> tuple[Batch, int, Program] | None:
        """The next program to run, counted as running until `finish`; None where none waits."""
        if not self._batches:
            return None
        client = min(self._batches, key=self._running.__getitem__)  # the first of those with the fewest
        batches = self._batches.pop(client)
        batch = batches.popleft()
        index, program = batch.take()
        self._length -= 1
        self._running[client] += 1
        if len(batch):
            batches.append(batch)
        if batches:
            self._batches[client] = batches  # at the end: the others are before it now
        return batch, index, program

    def finish(self, batch: Batch) -> None:
        """A program of this batch runs no longer."""
        self._running[batch.client] -= 1
        if not self._running[batch.client]:
            del self._running[batch.client]

    def remove(self, batch: Batch) -> list[int]:
        """Forget the programs of a batch that wait; returns their indices."""
        indices = batch.clear()
        self._length -= len(indices)
        if indices:
            batches = self._batches[batch.client]
            batches.remove(batch)
            if not batches:
                del self._batches[batch.client]
        return indices

    def remove_all(self) -> list[tuple[Batch, list[int]]]:
        """Forget everything that waits."""
        batches = [batch for batches in self._batches.values() for batch in batches]
        return [(batch, self.remove(batch)) for batch in batches]
