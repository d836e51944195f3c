"""The types of answers: the gold's type decides what an answer is read as and how the two are compared.

Does: keep the types in the order in which a gold is tried as them, and compare a gold with an answer. Does not: find
either in a text (`extraction`), or wait for the algebra system: a pair that needs it raises NeedsAlgebraError.

    >>> type_of("1:2:3").name, compare("1:2:3", "2:4:6"), compare("1:2:3", "(1,2,3)")
    ('ratio', 'correct', 'wrong')
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from open_r1.answers.reasons import Reason
from open_r1.answers.types import (
    based,
    calendar,
    choice,
    collection,
    expression,
    matrix,
    number,
    ratio,
    region,
    relation,
    span,
    text,
)
from open_r1.answers.types.base import (
    AnswerType,
    Comparison,
    NeedsAlgebraError,
    NotOfTypeError,
    UnreadableGoldError,
)


def _read_any(gold: str) -> str:
    return gold


_OPERATION = re.compile(
    r"\\(?:sum|prod|int|iint|oint|lim|frac|sqrt|binom|log|ln|sin|cos|tan|partial|overline|bar)(?![a-z])|[\^=+]"
)


def _need_algebra(gold: str, answer: str, comparison: Comparison) -> bool:
    """Algebra, where the gold has something to calculate; else only its own writing is equal to it."""
    if _OPERATION.search(gold):
        raise NeedsAlgebraError
    return gold.replace(" ", "") == answer.replace(" ", "")


ALGEBRA = AnswerType("formula by algebra", _read_any, _need_algebra)
"""The last resort: what no other type reads, such as a sum over an index, is left to math-verify."""

TYPES = (
    choice.TYPE,
    calendar.TYPE,
    span.TYPE,
    based.TYPE,
    number.NUMBER,
    number.COMPLEX,
    number.QUANTITY,
    ratio.TYPE,
    matrix.TYPE,
    region.TYPE,
    collection.TYPE,
    relation.TYPE,
    expression.TYPE,
    text.TYPE,
    ALGEBRA,
)
"""Every type, in the order in which a gold is tried as them."""


_RANGE = re.compile(r"[\s,;(]*(?:where\s+)?[A-Za-z]\\in\s*(?:\\mathbb\{[ZNQ]\}|[ZNQ])\^?[+*]?\)?$")


def without_range(text: str) -> str:
    r"""`2k\pi, k\in\mathbb{Z}` without what `k` runs over."""
    return _RANGE.sub("", text) or text if r"\in" in text else text


@lru_cache(maxsize=32768)
def _typed(gold: str) -> tuple[AnswerType, Any]:
    for answer_type in TYPES:
        value = answer_type.read(gold)
        if value is not None:
            return answer_type, value
    raise AssertionError("the last type takes every gold")


def type_of(gold: str) -> AnswerType:
    """The type of a canonical gold."""
    return _typed(gold)[0]


def compare(gold: str, answer: str, ordered: bool = False) -> Reason:
    """The verdict on two canonical texts. NeedsAlgebraError where only the algebra system can tell."""
    try:
        return "correct" if _are_equal(gold, answer, ordered) else "wrong"
    except NotOfTypeError as error:
        is_formula = ("\\" in answer or "^" in answer) and "boxed" not in answer
        is_broken = error.is_broken or (is_formula and _typed(answer)[0] is ALGEBRA)
        return "unparsable_answer" if is_broken else "wrong"
    except UnreadableGoldError:
        return "unparsable_gold"


def _are_equal(gold: str, answer: str, ordered: bool) -> bool:
    if gold == answer:
        return True
    gold, answer = without_range(gold), without_range(answer)
    if not gold or not answer:
        return False
    answer_type, value = _typed(gold)
    return answer_type.are_equal(
        value, answer, Comparison(lambda first, second: _are_equal(first, second, ordered), ordered)
    )
