"""The guide's quality monitor over any set of outputs: has_think_tags, reasoning_steps, response_length.

Does: measure texts. Does not: say whether an answer is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from open_r1.estimates import mean
from open_r1.rewards.functions.reasoning_steps import count_steps
from open_r1.text.tags import THINK_CLOSE, THINK_OPEN

MEASURES = ("has_think_tags", "reasoning_steps", "response_length")


def measure(text: str) -> dict[str, Any]:
    """What one output looks like; the length is in characters."""
    has_tags = THINK_OPEN in text and THINK_CLOSE in text
    return dict(zip(MEASURES, (has_tags, count_steps(text), len(text)), strict=True))


def summarise_quality(measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The share with think tags, and the means of steps and length."""
    return {"outputs": len(measured), **{name: mean([found[name] for found in measured]) for name in MEASURES}}
