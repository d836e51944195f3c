"""Whose program runs next: clients share the slots evenly, whatever each has queued.

The next program comes from the address with the fewest running; among equals, addresses take turns, and so do the clients
of one address and the requests of one client. A client that calls itself by many names gains nothing by it. So ten programs
asked for after a thousand wait for about ten of them, not for all.

It decides order and nothing else: it runs nothing, waits for nothing, and belongs to one thread.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from open_r1.execution.programs import Execution, Program


class Batch:
    """The programs of one request, and where their executions go.

    Args:
        client: Who asked.
        programs: What to run.
        on_done: Called with a program's index and its execution.
        address: Where the client is.
    """

    def __init__(
        self,
        client: str,
        programs: Sequence[Program],
        on_done: Callable[[int, Execution], None],
        address: str = "unknown",
    ) -> None:
        self.client, self.address = client, address
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


@dataclass
class Address:
    """What is known of an address that has programs here: how many wait and run, and when it had its last turn."""

    waiting: int = 0
    running: int = 0
    last_turn: int = 0

    def take(self, turn: int) -> None:
        self.waiting -= 1
        self.running += 1
        self.last_turn = turn


class FairQueue:
    """Batches in the order described above."""

    def __init__(self) -> None:
        self._batches: dict[str, deque[Batch]] = {}  # in the order of the clients' turns
        self._running: Counter[str] = Counter()
        self._addresses: dict[str, Address] = defaultdict(Address)
        self._turns = 0
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

    def num_waiting_of(self, address: str) -> int:
        """How many programs of an address wait."""
        return self._addresses[address].waiting if address in self._addresses else 0

    def add(self, batch: Batch) -> None:
        if len(batch):
            self._addresses[batch.address].waiting += len(batch)
            self._batches.setdefault(batch.client, deque()).append(batch)
            self._length += len(batch)

    def take(self) -> tuple[Batch, int, Program] | None:
        """The next program to run, counted as running until `finish`; None where none waits."""
        if not self._batches:
            return None
        client = min(self._batches, key=self._rank)  # the first of those with the lowest
        batches = self._batches.pop(client)
        batch = batches.popleft()
        index, program = batch.take()
        self._length -= 1
        self._running[client] += 1
        self._turns += 1
        self._addresses[batch.address].take(self._turns)
        if len(batch):
            batches.append(batch)
        if batches:
            self._batches[client] = batches  # at the end: the others are before it now
        return batch, index, program

    def _rank(self, client: str) -> tuple[int, int, int]:
        """The lower, the sooner: programs of its address that run, when that had its last turn, its own that run."""
        address = self._addresses[self._batches[client][0].address]
        return address.running, address.last_turn, self._running[client]

    def finish(self, batch: Batch) -> None:
        """A program of this batch runs no longer."""
        self._addresses[batch.address].running -= 1
        self._forget(batch.address)
        self._running[batch.client] -= 1
        if not self._running[batch.client]:
            del self._running[batch.client]

    def remove(self, batch: Batch) -> list[int]:
        """Forget the programs of a batch that wait; returns their indices."""
        indices = batch.clear()
        self._length -= len(indices)
        if indices:
            self._addresses[batch.address].waiting -= len(indices)
            self._forget(batch.address)
            batches = self._batches[batch.client]
            batches.remove(batch)
            if not batches:
                del self._batches[batch.client]
        return indices

    def _forget(self, address: str) -> None:
        """Keep nothing of an address that has nothing here."""
        if not self._addresses[address].waiting and not self._addresses[address].running:
            del self._addresses[address]

    def remove_all(self) -> list[tuple[Batch, list[int]]]:
        """Forget everything that waits."""
        batches = [batch for batches in self._batches.values() for batch in batches]
        return [(batch, self.remove(batch)) for batch in batches]
