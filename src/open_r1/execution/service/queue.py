"""Whose program runs next: clients share the slots evenly, whatever each has queued.

The next program comes from the address with the fewest running; among equals, addresses take turns, and so do the clients
of one address and the requests of one client. A client that calls itself by many names gains nothing by it. So ten programs
asked for after a thousand wait for about ten of them, not for all. Belongs to one thread.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from open_r1.execution.programs import Execution, Program


class Batch:
    """The programs of one request from `client` at `address`; `on_done` gets a program's index and its execution."""

    def __init__(
        self,
        client: str,
        programs: Sequence[Program],
        on_done: Callable[[int, Execution], None],
        address: str = "unknown",
    ) -> None:
        self.client, self.address, self.on_done = client, address, on_done
        self.waiting = deque(enumerate(programs))


class FairQueue:
    """Batches in the order described above."""

    def __init__(self) -> None:
        self._batches: dict[str, deque[Batch]] = {}  # in the order of the clients' turns
        self._waiting: Counter[str] = Counter()  # by address, as the next two
        self._running: Counter[str] = Counter()
        self._last_turns: dict[str, int] = {}
        self._of_clients: Counter[str] = Counter()  # programs of clients that run
        self._turns = 0

    def __len__(self) -> int:
        """How many programs wait."""
        return self._waiting.total()

    @property
    def num_running(self) -> int:
        """Programs that run now, of all clients."""
        return self._running.total()

    @property
    def num_clients(self) -> int:
        """How many clients have programs waiting or running."""
        return len(self._batches.keys() | self._of_clients.keys())

    def num_waiting_of(self, address: str) -> int:
        """How many programs of an address wait."""
        return self._waiting[address]

    def add(self, batch: Batch) -> None:
        """Put a batch behind its client's others; an empty batch is ignored."""
        if batch.waiting:
            self._waiting[batch.address] += len(batch.waiting)
            self._batches.setdefault(batch.client, deque()).append(batch)

    def take(self) -> tuple[Batch, int, Program] | None:
        """The next program to run, counted as running until `finish`; None where none waits."""
        if not self._batches:
            return None
        client = min(self._batches, key=self._rank)  # the first of those with the lowest
        batches = self._batches.pop(client)
        batch = batches.popleft()
        index, program = batch.waiting.popleft()
        subtract(self._waiting, batch.address)
        self._running[batch.address] += 1
        self._of_clients[client] += 1
        self._turns += 1
        self._last_turns[batch.address] = self._turns
        if batch.waiting:
            batches.append(batch)
        if batches:
            self._batches[client] = batches  # at the end: the others are before it now
        return batch, index, program

    def _rank(self, client: str) -> tuple[int, int, int]:
        """The lower, the sooner: programs of its address that run, when that had its last turn, its own that run."""
        address = self._batches[client][0].address
        return self._running[address], self._last_turns.get(address, 0), self._of_clients[client]

    def finish(self, batch: Batch) -> None:
        """A program of this batch runs no longer."""
        subtract(self._running, batch.address)
        subtract(self._of_clients, batch.client)
        if batch.address not in self._waiting and batch.address not in self._running:
            self._last_turns.pop(batch.address, None)

    def remove(self, batch: Batch) -> list[int]:
        """Forget the programs of a batch that wait; returns their indices."""
        indices = [index for index, _ in batch.waiting]
        batch.waiting.clear()
        if indices:
            subtract(self._waiting, batch.address, len(indices))
            self._batches[batch.client].remove(batch)
            if not self._batches[batch.client]:
                del self._batches[batch.client]
        return indices

    def remove_all(self) -> list[tuple[Batch, list[int]]]:
        """Forget everything that waits."""
        batches = [batch for batches in self._batches.values() for batch in batches]
        return [(batch, self.remove(batch)) for batch in batches]


def subtract(counter: Counter[str], key: str, amount: int = 1) -> None:
    """Count less, and forget the key where nothing is left."""
    counter[key] -= amount
    if not counter[key]:
        del counter[key]
