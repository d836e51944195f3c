"""The records that pass between areas: frozen, typed, free of any library's own shapes.

They become the lists and columns of TRL and `datasets` at those boundaries and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Problem:
    """A question with a checkable answer.

    Args:
        prompt: What the model is asked.
        gold: The correct answer.
        family: The family of a procedural problem.
        difficulty: The difficulty of a procedural problem, in its family's own unit.
        metadata: Whatever else scoring the answer needs, such as tests or options.
        name: The problem's id in its source; empty where the source gives none.
        groups: What results are broken down by, as {"subject": "Algebra", "level": "3"}.
    """

    prompt: str
    gold: str
    family: str = ""
    difficulty: float = 0.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name, or 16 hex digits: the same for the same family, prompt and gold on every machine."""
        words = f"{self.family}\n{self.prompt}\n{self.gold}"
        return self.name or hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Trace:
    """One worked solution of a problem: the thinking, the answer, and how it was made."""

    problem: Problem
    thinking: str
    answer: str
    style: str = ""


@dataclass(frozen=True)
class Completion:
    """What a model wrote after a prompt; `finish_reason` is "length" when it was cut off."""

    text: str
    num_tokens: int
    finish_reason: FinishReason


@dataclass(frozen=True)
class Outcome:
    """A score, or *unscored* (`value` None) with the reason why. Unscored is never the same as 0.

    `details` are for people and records: what JSON can hold, such as the result of each test under "tests".
    """

    value: float | None
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def is_scored(self) -> bool:
        """Whether there is a value."""
        return self.value is not None


@dataclass(frozen=True)
class Estimate:
    """A measured quantity with its 95 % interval and the number of independent units behind it."""

    value: float
    low: float
    high: float
    n: int

    def as_percent(self) -> str:
        """`52.7 [42.7, 62.7]`: value and interval of a share, in percent."""
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"
