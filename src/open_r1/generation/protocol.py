"""What it takes to be a generator: prompts in, completions out, in order.

Implementations: `scripted` (a fake for tests, shipped), `in_process` (transformers). A generator never drops or
reorders a prompt; a completion that was cut off says so in its finish reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from open_r1.errors import ConfigError
from open_r1.records import Completion


@dataclass(frozen=True)
class Sampling:
    """How to draw completions. `temperature` 0 is greedy; `seed` makes the draw repeatable."""

    num_samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ConfigError(f"num_samples must be at least 1, but is {self.num_samples}.")
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(f"temperature must be a finite number of at least 0, but is {self.temperature}.")
        if self.temperature == 0 and self.num_samples > 1:
            raise ConfigError("temperature 0 draws the same completion every time; use num_samples 1 or raise it.")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, but is {self.top_p}.")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be at least 1, but is {self.max_new_tokens}.")


class Generator(Protocol):
    """Completes user prompts with a chat model."""

    def generate(self, prompts: Sequence[str], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.num_samples` completions for each prompt, in the prompts' order."""
        ...
