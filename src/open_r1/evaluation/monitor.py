"""The guide's quality monitor over any set of outputs: has_think_tags, reasoning_steps, response_length.

Does: measure texts. Does not: say whether an answer is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from open_r1.evaluation.statistics import mean
from open_r1.rewards.functions.reasoning_steps import count_steps
from open_r1.text.tags import THINK_CLOSE, THINK_OPEN


@dataclass(frozen=True)
class Quality:
    """What one output looks like; the length is in characters."""

    has_think_tags: bool
    reasoning_steps: int
    response_length: int


def measure(text: str) -> Quality:
    return Quality(THINK_OPEN in text and THINK_CLOSE in text, count_steps(text), len(text))


def summarise_quality(measured: Iterable[Quality]) -> dict[str, Any]:
    """The share with think tags, and the means of steps and length."""
    found = list(measured)
    return {
        "outputs": len(found),
        "has_think_tags": mean([quality.has_think_tags for quality in found]),
        "reasoning_steps": mean([quality.reasoning_steps for quality in found]),
        "response_length": mean([quality.response_length for quality in found]),
    }
