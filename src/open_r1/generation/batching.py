"""A `Completer` made of any `Generator` in this process: requests that wait together become one batch, in a thread."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from open_r1.errors import ModelError
from open_r1.generation.protocol import Generator, Message, Reply, RequestFailed, Sampling
from open_r1.net.servers import EndpointsGone
from open_r1.records import Completion

LINGER_S = 0.02  # how long a batch that isn't full waits for more requests
IN_FLIGHT = 4  # requests for each sequence that a model computes at once: those that wait take the places that end
REFUSED = "refused_prompt"
Waiting = tuple[Sequence[Message], Sampling, "asyncio.Future[Reply]"]


class BatchedGenerator:
    """Up to `concurrency` requests a batch, one batch at a time."""

    def __init__(self, generator: Generator, model: str, concurrency: int) -> None:
        self.generator, self.model, self.concurrency = generator, model, concurrency
        self.queue: list[Waiting] = []
        self.batches: asyncio.Task[None] | None = None
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="generate")
        self.tokens_in_flight = 0
        """Tokens of the batch that is being generated, where the generator counts them (`on_tokens`)."""
        if hasattr(generator, "on_tokens"):
            generator.on_tokens = self.count_tokens  # type: ignore[attr-defined]

    def count_tokens(self, count: int) -> None:
        """Add so many tokens to those of the batch that is being generated."""
        self.tokens_in_flight += count

    async def start(self) -> list[str]:
        """Begin with an empty queue and a new thread, so that it can start again after `close`; no notices."""
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="generate")
        self.queue, self.batches = [], None
        return []

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Reply:
        """The reply, once the request's batch is done. EndpointsGone when the model fails.

        RequestFailed for a prompt that the template or the model refuses: it costs no other request of its batch.
        """
        try:
            getattr(self.generator, "encode", list)(messages)
        except ModelError as error:
            raise RequestFailed(REFUSED, str(error), "in-process", 1) from None
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.queue.append((messages, sampling, future))
        if self.batches is None or self.batches.done():
            self.batches = asyncio.create_task(self._run_batches())
        return await future

    async def _run_batches(self) -> None:
        while self.queue:
            if len(self.queue) < self.concurrency:
                await asyncio.sleep(LINGER_S)
            batch = self._take_batch()
            if batch:
                await self._run_batch(batch)

    def _take_batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        rest: list[Waiting] = []
        for waiting in self.queue:
            if waiting[2].done():
                continue
            is_alike = not batch or dataclasses.replace(waiting[1], seed=batch[0][1].seed) == batch[0][1]
            (batch if is_alike and len(batch) < self.concurrency else rest).append(waiting)
        self.queue = rest
        return batch

    async def _run_batch(self, batch: Sequence[Waiting]) -> None:
        prompts: list[Any] = [messages for messages, _, _ in batch]
        started, loop = time.monotonic(), asyncio.get_running_loop()

        def answer(place: int, completions: Sequence[Completion]) -> None:
            _, sampling, future = batch[place]
            if not completions and not future.done():
                refusal = "the chat template or the model's context refuses the prompt"
                future.set_exception(RequestFailed(REFUSED, refusal, "in-process"))
            if not future.done():
                tokens = sum(completion.num_tokens for completion in completions)
                made = self.model, "in-process", sampling.seed, time.monotonic() - started, 1
                future.set_result(Reply(tuple(completions), None, tokens, *made))

        if hasattr(self.generator, "on_completed"):  # answers come one by one, the rest with the batch
            self.generator.on_completed = lambda *done: loop.call_soon_threadsafe(answer, *done)  # type: ignore[attr-defined]
        try:
            completions_each = await loop.run_in_executor(
                self.thread, self.generator.generate_each, prompts, [sampling for _, sampling, _ in batch]
            )
        except Exception as error:  # noqa: BLE001 - whatever a model fails with, it answers nothing more
            said = " ".join(str(error).split())
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(EndpointsGone(f"the model in this process has failed ({said})"))
            return
        finally:
            self.tokens_in_flight = 0
        for place, completions in enumerate(completions_each):
            answer(place, completions)

    async def close(self) -> None:
        """End the batch that is being generated too, where the generator can (`cancel`): nobody waits for it any more."""
        if self.batches is not None:
            self.batches.cancel()
        cancel: Any = getattr(self.generator, "cancel", None)
        if cancel:
            cancel()
        self.thread.shutdown(wait=False, cancel_futures=True)
