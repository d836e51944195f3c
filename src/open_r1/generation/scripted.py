"""A generator and a completer that answer by a script: the fakes that tests of everything above this layer use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from open_r1.generation.protocol import Message, Prompt, Reply, Sampling, to_messages
from open_r1.records import Completion

Script = Callable[[str, int], str]
"""(the last turn's text, sample index) -> the text to answer with."""


class ScriptedGenerator:
    """Answers with what `script` says; every word is a token, and answers over the token limit are cut off."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Completion]]:
        return [
            [
                self.complete(self.script(to_messages(prompt)[-1]["content"], index), sampling.max_new_tokens)
                for index in range(sampling.num_samples)
            ]
            for prompt in prompts
        ]

    def complete(self, text: str, limit: int) -> Completion:
        words = text.split(" ")
        if len(words) > limit:
            return Completion(" ".join(words[:limit]), limit, "length")
        return Completion(text, len(words), "stop")


class ScriptedCompleter:
    """The same, request by request: the script is given each sample's own seed, so that it may answer by chance."""

    def __init__(self, script: Script, model: str = "scripted", concurrency: int = 64, latency_s: float = 0.0) -> None:
        self.generator = ScriptedGenerator(script)
        self.script, self.model, self.concurrency, self.latency_s = script, model, concurrency, latency_s
        self.asked = 0

    async def start(self) -> list[str]:
        return []

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Reply:
        self.asked += 1
        await asyncio.sleep(self.latency_s)
        completions = [
            self.generator.complete(
                self.script(messages[-1]["content"], sampling.seed + index), sampling.max_new_tokens
            )
            for index in range(sampling.num_samples)
        ]
        tokens = sum(completion.num_tokens for completion in completions)
        return Reply(tuple(completions), 1, tokens, self.model, "scripted", sampling.seed, self.latency_s, 1)

    async def close(self) -> None: ...
