"""What a type of answer is: how its golds are known, how answers are read as it, and when two of them are equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class NotOfTypeError(Exception):
    """An answer that can't be read as the gold's type. `is_broken`: it has no value, or one too large to be computed."""

    def __init__(self, is_broken: bool = False) -> None:
        super().__init__()
        self.is_broken = is_broken


class NeedsAlgebraError(Exception):
    """A pair that only the algebra system can settle; see `algebra`."""


class UnreadableGoldError(Exception):
    """A gold that has no value that anything could be compared with."""


class Compare(Protocol):
    def __call__(self, gold: str, answer: str, /) -> bool: ...


@dataclass(frozen=True)
class Comparison:
    """What a type may ask for while it compares: `same` compares parts by their own types."""

    same: Compare
    ordered: bool = False


@dataclass(frozen=True)
class AnswerType:
    """One type: `read` gives the gold read as it, or None where it is of another type.

    `are_equal` takes what `read` gave and the canonical text of an answer; it raises NotOfTypeError where the answer
    can't be read as this type.
    """

    name: str
    read: Callable[[str], Any | None]
    are_equal: Callable[[Any, str, Comparison], bool]
