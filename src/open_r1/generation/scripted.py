"""A generator and a completer that answer by a script: the fakes that tests of everything above this layer use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from open_r1.generation.protocol import Generator, Message, Prompt, Reply, Sampling, to_messages
from open_r1.records import Completion

Script = Callable[[str, int], str]
"""(the last turn's text, sample index) -> the text to answer with."""


class ScriptedGenerator(Generator):
    """Answers with what `script` says; every word is a token, and answers over the token limit are cut off."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        return [
            [self.complete(prompt, sampling, index) for index in range(sampling.num_samples)]
            for prompt, sampling in zip(prompts, samplings, strict=True)
        ]

    def complete(self, prompt: Prompt, sampling: Sampling, index: int) -> Completion:
        """A completion by the script, which is given `index`."""
        words, limit = self.script(to_messages(prompt)[-1]["content"], index).split(" "), sampling.max_new_tokens
        if len(words) > limit:
            return Completion(" ".join(words[:limit]), limit, "length")
        return Completion(" ".join(words), len(words), "stop")


class ScriptedCompleter:
    """The same, request by request: the script is given each sample's own seed, so that it may answer by chance."""

    def __init__(self, script: Script, model: str = "scripted", concurrency: int = 64, latency_s: float = 0.0) -> None:
        self.generator = ScriptedGenerator(script)
        self.model, self.concurrency, self.latency_s = model, concurrency, latency_s
        self.asked = 0

    async def start(self) -> list[str]:
        return []

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Reply:
        self.asked += 1
        await asyncio.sleep(self.latency_s)
        seeds = range(sampling.seed, sampling.seed + sampling.num_samples)
        completions = [self.generator.complete(messages, sampling, seed) for seed in seeds]
        tokens = sum(completion.num_tokens for completion in completions)
        return Reply(tuple(completions), 1, tokens, self.model, "scripted", sampling.seed, self.latency_s, 1)

    async def close(self) -> None: ...
