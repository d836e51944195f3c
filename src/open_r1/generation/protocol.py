"""Two protocols: `Generator` takes many prompts and returns when all are completed, in order; `Completer` takes one request
at a time, many of them at once, and returns each reply as it comes. `batching` makes a `Completer` of any `Generator`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from open_r1.configs.fields import check_limits, setting
from open_r1.configs.ranges import COUNT, Range
from open_r1.errors import ConfigError, ModelError, RunError
from open_r1.records import Completion
from open_r1.text.thinking import OPENING_TOKENS, open_thinking

Message = dict[str, str]  # one turn of a conversation: `role` and `content`
Prompt = str | Sequence[Message]
"""What to complete: the user's words, or a conversation that ends with the user's turn."""


@dataclass(frozen=True)
class Sampling:
    """How to sample completions. `temperature` 0 is greedy; `seed` makes the sample repeatable."""

    num_samples: int = setting(1, "Samples of each prompt.", COUNT)
    temperature: float = setting(0.0, "Temperature; 0 is greedy.", Range(0, math.inf, open_high=True))
    top_p: float = setting(1.0, "Share of the probability that is sampled from.", Range(0, 1, open_low=True))
    max_new_tokens: int = setting(512, "Most tokens of a completion.", COUNT)
    seed: int = 0

    def __post_init__(self) -> None:
        check_limits(self)
        if self.temperature == 0 and self.num_samples > 1:
            raise ConfigError("temperature 0 gives the same completion every time; use num_samples 1 or raise it.")


class Generator(Protocol):
    """Completes prompts with a chat model."""

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        """The completions of each prompt by its own sampling, in order; a sample depends on its seed, not on its batch.

        None of a prompt that the chat template or the model refuses, where that could not be asked before (`encode`).
        """
        ...

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Completion]]:
        """All prompts by one sampling, every sample with a seed of its own."""
        seeds = ((sampling.seed + place * sampling.num_samples) % 2**31 for place in range(len(prompts)))
        return self.generate_each(prompts, [replace(sampling, seed=seed) for seed in seeds])


class TemplatedGenerator(Generator):
    """A generator of a model in this process, whose tokenizer has the chat template."""

    tokenizer: Any

    def context_length(self) -> int | None:
        """Tokens of prompt and completion together that the model takes; None where it does not say."""
        raise NotImplementedError

    def encode(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt. ModelError where the template refuses it, or where the context leaves no room."""
        return encode_messages(self.tokenizer, to_messages(prompt), self.context_length())

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens of the prompt, however many. ModelError where the template refuses it."""
        return len(encode_messages(self.tokenizer, to_messages(prompt)))

    def opened_by(self, prompt_ids: Sequence[int]) -> str:
        """The opening `<think>` that a prompt ends with; empty where it doesn't."""
        tail = list(prompt_ids[-OPENING_TOKENS:])
        return open_thinking(str(self.tokenizer.decode(tail, skip_special_tokens=False))) if tail else ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one request: completions, at least one; tokens are None where the server doesn't say."""

    completions: tuple[Completion, ...]
    prompt_tokens: int | None
    completion_tokens: int | None
    model: str
    endpoint: str
    seed: int
    seconds: float
    attempts: int


class RequestFailed(RunError):
    """One request that won't be answered, after all its attempts; `reason` is a short code, `detail` says more."""

    def __init__(self, reason: str, detail: str, endpoint: str = "", attempts: int = 1) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.endpoint, self.attempts = reason, detail, endpoint, attempts


class Completer(Protocol):
    """Answers one request at a time, many of them at once."""

    concurrency: int
    """How many requests are worth having in flight."""
    model: str
    """The model's name, known after `start`."""

    async def start(self) -> list[str]:
        """Check what can be checked before anything is spent; returns notices. ConfigError for what can't work."""
        ...

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Reply:
        """RequestFailed when this request won't be answered, EndpointsGone when none will."""
        ...

    async def close(self) -> None:
        """Release connections and threads; `start` may follow."""
        ...


def to_messages(prompt: Prompt, system_prompt: str | None = None) -> list[Message]:
    """A prompt as a conversation, the system prompt first where it has none of its own."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    if system_prompt is not None and (not messages or messages[0]["role"] != "system"):
        messages.insert(0, {"role": "system", "content": system_prompt})
    return messages


def encode_messages(tokenizer: Any, messages: Sequence[Message], limit: int | None = None) -> list[int]:
    """The token ids of a conversation by the chat template, ready for the answer.

    ModelError where the template refuses it, or where it leaves no room within `limit` tokens.
    """
    try:
        encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
    except Exception as error:  # noqa: BLE001 - Jinja and templates fail in their own ways
        said = " ".join(str(error).split()).rstrip(".")
        raise ModelError(f"the chat template refuses the prompt: {said}; leave out the turns it refuses.") from None
    ids = encoded["input_ids"]
    if limit and len(ids) >= limit:
        raise ModelError(f"the prompt has {len(ids):,} tokens, and the model takes {limit:,} with its completion.")
    return ids
