"""A completer that answers by a script: the fake that tests of everything above this layer use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from open_r1.generation.protocol import Message, Reply, Sampling
from open_r1.records import Completion

Script = Callable[[str, int], str]  # (the last turn's text, the sample's seed) -> the text to answer with


class ScriptedCompleter:
    """Answers with what `script` says; every word is a token, and answers over the token limit are cut off."""

    def __init__(self, script: Script, model: str = "scripted", concurrency: int = 64, latency_s: float = 0.0) -> None:
        self.script, self.model, self.concurrency, self.latency_s = script, model, concurrency, latency_s
        self.asked = 0

    async def start(self) -> list[str]:
        """Nothing to check; no notices."""
        return []

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Reply:
        """What the script answers to the last turn, for each sample's seed, after `latency_s` seconds."""
        self.asked += 1
        await asyncio.sleep(self.latency_s)
        completions = []
        for seed in range(sampling.seed, sampling.seed + sampling.num_samples):
            words = self.script(messages[-1]["content"], seed).split(" ")
            kept = words[: sampling.max_new_tokens]
            completions.append(Completion(" ".join(kept), len(kept), "stop" if kept == words else "length"))
        tokens = sum(completion.num_tokens for completion in completions)
        return Reply(tuple(completions), 1, tokens, self.model, "scripted", sampling.seed, self.latency_s, 1)

    async def close(self) -> None:
        """Nothing to close."""
