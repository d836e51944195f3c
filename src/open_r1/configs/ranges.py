"""The range of every number that has one; what lies outside would fail late, or train to nothing, or never end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from open_r1.errors import ConfigError

MOST = 2**31 - 1
"""Larger counts than this don't fit the libraries' own integers."""


@dataclass(frozen=True)
class Range:
    """From `low` to `high`; an open end leaves its limit out."""

    low: float
    high: float = MOST
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        if value in (self.low, self.high):
            return not (self.open_low if value == self.low else self.open_high)
        return self.low < value < self.high

    def in_words(self, value: float = 0) -> str:
        """The range as the refusal of `value` names it: "at least 0 and below 1"; MOST only where the value is above."""
        low = f"above {self.low:g}" if self.open_low else f"at least {self.low:g}"
        if self.high == math.inf or (self.high == MOST and not value > MOST):
            return low
        return f"{low} and {'below' if self.open_high else 'at most'} {self.high:.10g}"


COUNT, SHARE = Range(1), Range(0, 1)
POSITIVE = Range(0, math.inf, open_low=True)

RANGES: dict[str, Range] = {
    **dict.fromkeys(
        """per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps steps_per_generation
        generation_batch_size num_iterations num_generations max_completion_length lora_r""".split(),
        COUNT,
    ),
    **dict.fromkeys("learning_rate temperature repetition_penalty num_train_epochs logging_steps".split(), POSITIVE),
    **dict.fromkeys("weight_decay warmup_steps max_grad_norm epsilon beta dataloader_num_workers".split(), Range(0)),
    **dict.fromkeys("adam_beta1 adam_beta2".split(), Range(0, 1, open_high=True)),
    **dict.fromkeys("min_p lora_dropout".split(), SHARE),
    "top_p": Range(0, 1, open_low=True),
    "seed": Range(0, 2**32 - 1),
}


def check_ranges(values: dict[str, Any], origins: dict[str, str], declared: Mapping[str, Range]) -> None:
    """ConfigError for the first number that is not finite or outside its range, with the place it came from.

    `declared` are the ranges that settings state themselves; RANGES has those of the libraries' own.
    """
    ranges = {**RANGES, **declared}
    for key, value in values.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise ConfigError(f"{origins[key]}: {key} must be a finite number, but is {number}.")
        if key in ranges and isinstance(value, int | float) and value not in ranges[key]:
            raise ConfigError(f"{origins[key]}: {key} must be {ranges[key].in_words(value)}, but is {value:.10g}.")
    max_steps = values.get("max_steps", -1)
    if max_steps != -1 and not 1 <= max_steps <= MOST:
        raise ConfigError(
            f"{origins['max_steps']}: max_steps must be at least 1, or -1 to go by num_train_epochs, but is {max_steps}."
        )
