"""Requests that wait together become one batch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from open_r1.errors import ModelError, RunError
from open_r1.generation import EndpointsGone, Generator, Prompt, Reply, RequestFailed, Sampling
from open_r1.generation.batching import BatchedGenerator
from open_r1.records import Completion

MESSAGES = [{"role": "user", "content": "a"}]


class Recording(Generator):
    """Remembers its batches; answers with the prompt."""

    def __init__(self, fails: bool = False) -> None:
        self.batches: list[tuple[int, list[int]]] = []
        self.fails = fails

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        self.batches.append((len(prompts), [sampling.seed for sampling in samplings]))
        if self.fails:
            raise MemoryError("no room for the batch")
        text = [str(prompt[-1]["content"]) for prompt in prompts]  # type: ignore[index]
        return [
            [Completion(words, 3, "stop")] * sampling.num_samples
            for words, sampling in zip(text, samplings, strict=True)
        ]


def ask(generator: Recording, samplings: Sequence[Sampling], concurrency: int = 4) -> list[Any]:
    async def main() -> list[Any]:
        batched = BatchedGenerator(generator, "m", concurrency)
        await batched.start()
        asked = [
            batched.complete([{"role": "user", "content": str(index)}], sampling)
            for index, sampling in enumerate(samplings)
        ]
        try:
            return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), timeout=20)
        finally:
            await batched.close()

    return asyncio.run(main())


def test_each_request_gets_its_own_completions_in_batches_of_the_limit() -> None:
    generator = Recording()
    replies = ask(generator, [Sampling(2, 1.0, seed=index) for index in range(10)])
    assert [reply.completions[0].text for reply in replies] == [str(index) for index in range(10)]
    assert all(isinstance(reply, Reply) and len(reply.completions) == 2 for reply in replies)
    assert [count for count, _ in generator.batches] == [4, 4, 2]
    assert [seeds for _, seeds in generator.batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [reply.seed for reply in replies] == list(range(10))


def test_requests_of_other_lengths_do_not_share_a_batch() -> None:
    generator = Recording()
    ask(generator, [Sampling(max_new_tokens=8), Sampling(max_new_tokens=9), Sampling(max_new_tokens=8)])
    assert sorted(count for count, _ in generator.batches) == [1, 2]


def test_what_a_model_fails_with_reaches_everyone_who_asked() -> None:
    ends = ask(Recording(fails=True), [Sampling()] * 3)
    assert all(isinstance(end, EndpointsGone) and "no room for the batch" in str(end) for end in ends)


@pytest.mark.parametrize("cancelled", [0, 2])
def test_a_request_given_up_takes_no_place_in_a_batch(cancelled: int) -> None:
    generator = Recording()

    async def main() -> list[Any]:
        batched = BatchedGenerator(generator, "m", 8)
        asked = [asyncio.create_task(batched.complete(MESSAGES, Sampling())) for _ in range(3)]
        await asyncio.sleep(0)
        asked[cancelled].cancel()
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), timeout=20)

    ends = asyncio.run(main())
    assert isinstance(ends[cancelled], asyncio.CancelledError)
    assert [count for count, _ in generator.batches] == [2]


class Cancellable(Recording):
    """Draws until it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.cancelled = threading.Event(), threading.Event()

    def cancel(self) -> None:
        self.cancelled.set()

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        self.begun.set()
        assert self.cancelled.wait(20)
        raise RunError("cancelled")


def test_closing_ends_the_batch_that_is_being_drawn() -> None:
    generator = Cancellable()

    async def main() -> None:
        batched = BatchedGenerator(generator, "m", 1)
        asked = asyncio.create_task(batched.complete(MESSAGES, Sampling()))
        await asyncio.to_thread(generator.begun.wait, 20)
        asked.cancel()
        await batched.close()
        assert generator.cancelled.is_set()
        batched.thread.shutdown(wait=True)

    asyncio.run(main())


class CountsTokens(Recording):
    """Says after each prompt how many tokens it has made, and notes what the completer has counted so far."""

    on_tokens: Callable[[int], None]

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        self.counted = []
        for _ in prompts:
            self.on_tokens(3)
            self.counted.append(self.on_tokens.__self__.tokens_in_flight)  # type: ignore[attr-defined]
        return super().generate_each(prompts, samplings)


def test_tokens_of_the_batch_in_work_are_counted_until_it_ends() -> None:
    async def ask() -> tuple[list[int], int]:
        generator = CountsTokens()
        generator.on_tokens = lambda count: None
        batched = BatchedGenerator(generator, "m", 2)
        await batched.start()
        await asyncio.gather(*(batched.complete(MESSAGES, Sampling()) for _ in range(2)))
        await batched.close()
        return generator.counted, batched.tokens_in_flight

    assert asyncio.run(ask()) == ([3, 6], 0)


class Refusing(Recording):
    """Has a template that refuses the second prompt."""

    def encode(self, messages: Any) -> list[int]:
        if messages[0]["content"] == "1":
            raise ModelError("the chat template refuses the prompt: no")
        return []


def test_a_prompt_that_the_template_refuses_costs_no_other_of_its_batch() -> None:
    generator = Refusing()
    replies = ask(generator, [Sampling(seed=index) for index in range(3)])
    assert [isinstance(reply, Reply) for reply in replies] == [True, False, True]
    assert isinstance(replies[1], RequestFailed) and replies[1].reason == "refused_prompt"
