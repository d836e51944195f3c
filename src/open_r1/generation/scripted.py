"""A generator that answers by a script: the fake that tests of everything above this layer use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from open_r1.generation.protocol import Prompt, Sampling, to_messages
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
