"""Takes programs from the queue to the provider as slots come free, and executions back to who waits for them.

Runs on one event loop; the provider's own threads do the waiting. A failure of the provider is an execution whose status
is `unavailable`: nothing raises for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence

from open_r1.execution.programs import Execution, Program, Provider
from open_r1.execution.service.metrics import Metrics
from open_r1.execution.service.queue import Batch, FairQueue
from open_r1.execution.service.requests import SHUTTING_DOWN, Refusal, too_much
from open_r1.execution.service.settings import ServiceSettings

logger = logging.getLogger(__name__)

COMPILE_ALLOWANCE_S = 180.0
"""How much longer than its run a program may take to compile, start and be cleared away."""


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
