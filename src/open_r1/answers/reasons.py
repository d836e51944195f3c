"""Why an answer got the verdict it got, and the errors by which reading and comparing say so."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "correct",
    "wrong",
    "copied",
    "no_answer",
    "unparsable_gold",
    "unparsable_answer",
    "timeout",
    "gold_timeout",
    "error",
]

SCORES: dict[Reason, float | None] = {
    "correct": 1.0,
    "wrong": 0.0,
    "copied": 0.0,
    "no_answer": 0.0,
    "unparsable_answer": 0.0,
    "unparsable_gold": None,
    "timeout": 0.0,
    "gold_timeout": None,
    "error": None,
}
"""What each reason is worth: an answer that isn't there or can't be read is wrong; a fault of ours or of the gold
is unscored. "timeout" is the answer's: its gold against itself was settled in time."""


class NotOfTypeError(Exception):
    """An answer that can't be read as the gold's type."""


class NoValueError(NotOfTypeError):
    """A formula that nothing can be compared with."""


class UndefinedError(NoValueError):
    """A formula without a finite value: a division by zero, the logarithm of zero."""


class TooLargeError(NoValueError):
    """A value that no answer needs: it would take more memory or time than any answer is worth."""


class NeedsAlgebraError(Exception):
    """A pair that only the algebra system can settle; see `algebra`."""
