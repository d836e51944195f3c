"""Takes programs from the queue to the provider as slots come free, and executions back to who waits for them.

Clients share the slots evenly, whatever each has queued: the next program comes from the address with the fewest running;
among equals, addresses take turns, and so do the clients of one address and the requests of one client. A client that calls
itself by many names gains nothing by it. So ten programs asked for after a thousand wait for about ten of them.

Runs on one event loop; the provider's own threads do the waiting. A failure of the provider is an execution whose status
is `unavailable`: nothing raises for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from open_r1.execution.programs import Execution, Program, Provider
from open_r1.execution.service.metrics import Metrics
from open_r1.execution.service.requests import SHUTTING_DOWN, Refusal, too_much
from open_r1.execution.service.settings import ServiceSettings

logger = logging.getLogger(__name__)

COMPILE_ALLOWANCE_S = 180.0
"""How much longer than its run a program may take to compile, start and be cleared away."""


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


class Answers:
    """The executions of one request, as they come; its length is how many have not been read yet."""

    def __init__(self, dispatcher: Dispatcher, client: str, programs: Sequence[Program], address: str) -> None:
        self._dispatcher = dispatcher
        self._missing = len(programs)
        self._unread_bytes = 0
        self._is_cancelled = False
        self._arrived: asyncio.Queue[tuple[int, Execution]] = asyncio.Queue()
        self.batch = Batch(client, programs, self._keep, address)

    def __len__(self) -> int:
        return self._missing

    def _keep(self, index: int, execution: Execution) -> None:
        if self._is_cancelled:
            return
        settings = self._dispatcher.settings
        if self._unread_bytes + output_size(execution) > settings.max_unread_mb << 20:
            execution = Execution.unavailable(
                "output_not_read", f"the outputs of this request add up to more than {settings.max_unread_mb} MiB"
            )
        self._unread_bytes += output_size(execution)
        self._arrived.put_nowait((index, execution))

    async def read(self, timeout_s: float | None = None) -> tuple[int, Execution]:
        """The next execution and its program's index. TimeoutError if none comes in time."""
        async with asyncio.timeout(timeout_s):
            index, execution = await self._arrived.get()
        self._missing -= 1
        self._unread_bytes -= output_size(execution)
        return index, execution

    async def collect(self) -> list[Execution]:
        """All executions, in the order of the programs. What is collected counts as unread until the last has come."""
        found: dict[int, Execution] = {}
        while self._missing:
            index, execution = await self.read()
            self._unread_bytes += output_size(execution)
            found[index] = execution
        return [found[index] for index in sorted(found)]

    def cancel(self) -> None:
        """Nobody waits any longer: what waits is not run, and what runs is not kept."""
        self._is_cancelled = True
        if removed := self._dispatcher.queue.remove(self.batch):
            self._dispatcher.metrics.cancelled.inc(len(removed))


class Dispatcher:
    """A fair queue before a provider."""

    def __init__(self, provider: Provider, settings: ServiceSettings, metrics: Metrics) -> None:
        self.provider, self.settings, self.metrics = provider, settings, metrics
        self.queue = FairQueue()
        self.is_shutting_down = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._mean_run_s = 0.1

    def submit(self, client: str, programs: Sequence[Program], address: str = "unknown") -> Answers:
        """Queue programs. Refusal if there is no room for all of them, or no new ones are taken.

        `client` takes turns with others; no `address` may fill the queue alone.
        """
        if self.is_shutting_down:
            raise Refusal(503, SHUTTING_DOWN, "this executor is shutting down; ask another.", retry_after_s=5)
        self._check_room(len(programs), address)
        answers = Answers(self, client, programs, address)
        self.queue.add(answers.batch)
        self._fill_slots()
        return answers

    def _check_room(self, count: int, address: str) -> None:
        """Refusal where so many more programs would be too many for the queue, or for one address."""
        limit = self.settings.max_queue
        part = self.settings.client_part(limit)
        if count > part:
            what = f"{count} programs; the queue takes {part} of a client. Send fewer at a time."
            raise Refusal(413, "request_too_large", what)
        waiting, of_client = len(self.queue), self.queue.num_waiting_of(address)
        if waiting + count > limit:
            raise too_much(f"{waiting} programs wait and the queue takes {limit}", self.expected_wait_s())
        if of_client + count > part:
            what = f"{of_client} programs of your address wait and the queue takes {part} of each"
            raise too_much(what, self.expected_wait_s())

    def expected_wait_s(self) -> int:
        """Seconds until half of what waits now should be done, between 1 and 60."""
        seconds = len(self.queue) / 2 * self._mean_run_s / self.provider.concurrency
        return min(60, max(1, math.ceil(seconds)))

    def shut_down(self) -> None:
        """Take nothing new; what waits is answered as unavailable, what runs goes on to its end."""
        self.is_shutting_down = True
        for batch, indices in self.queue.remove_all():
            for index in indices:
                batch.on_done(index, Execution.unavailable(SHUTTING_DOWN, "this executor is shutting down"))

    async def finish(self) -> None:
        """Wait for what runs. Bounded: every run has a limit."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _fill_slots(self) -> None:
        while self.queue.num_running < self.provider.concurrency and (taken := self.queue.take()):
            task = asyncio.get_running_loop().create_task(self._run(*taken))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: Batch, index: int, program: Program) -> None:
        started = time.monotonic()
        limit_s = program.limits.wall_s + COMPILE_ALLOWANCE_S
        try:
            execution = await asyncio.wait_for(asyncio.wrap_future(self.provider.submit(program)), limit_s)
        except TimeoutError:
            logger.error("the provider has not answered within %.0f s", limit_s)
            execution = Execution.unavailable("provider_stalled", f"no answer within {limit_s:.0f} s")
        except Exception as error:
            logger.exception("the provider raised")
            execution = Execution.unavailable("provider_failed", f"{type(error).__name__}: {error}")
        seconds = time.monotonic() - started
        self._mean_run_s += 0.05 * (seconds - self._mean_run_s)
        self.metrics.count(program, execution, seconds)
        self.queue.finish(batch)
        batch.on_done(index, execution)
        self._fill_slots()


def output_size(execution: Execution) -> int:
    """Bytes of standard output and standard error together."""
    return len(execution.stdout) + len(execution.stderr)
