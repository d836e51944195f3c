"""What a type of answer is: how its golds are known, how answers are read as it, and when two of them are equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Comparison:
    """What a type may ask for while it compares: `same` compares parts (gold, answer) by their own types."""

    same: Callable[[str, str], bool]
    ordered: bool = False


@dataclass(frozen=True)
class AnswerType:
    """One type: `read` gives the gold read as it, or None where it is of another type.

    `are_equal` takes what `read` gave and the canonical text of an answer; it raises NotOfTypeError where the answer
    can't be read as this type, and NoValueError where one of them has no value.
    """

    name: str
    read: Callable[[str], Any | None]
    are_equal: Callable[[Any, str, Comparison], bool]
