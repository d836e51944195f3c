"""The types of answers: the gold's type decides what an answer is read as and how the two are compared.

A pair that only the algebra system can settle raises NeedsAlgebraError.

    >>> type_of("1:2:3").name, compare("1:2:3", "2:4:6"), compare("1:2:3", "(1,2,3)")
    ('ratio', 'correct', 'wrong')
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.formula import Node
from open_r1.answers.reasons import NeedsAlgebraError, NotOfTypeError, NoValueError, Reason
from open_r1.answers.types import region
from open_r1.answers.types.base import AnswerType, Comparison
from open_r1.answers.types.collection import GROUP, MATRIX, RATIO
from open_r1.answers.types.expression import EXPRESSION, RELATION
from open_r1.answers.types.number import COMPLEX, NUMBER, QUANTITY, Measure
from open_r1.answers.types.written import BASED, CHOICE, MOMENT, SPAN, WORDS

_OPERATION = re.compile(
    r"\\(?:sum|prod|int|iint|oint|lim|frac|sqrt|binom|log|ln|sin|cos|tan|partial|overline|bar)(?![a-z])|[\^=+]"
)

_NUMBER_SET = re.compile(r"\\mathbb\{[A-Z]\}(?:[_^]\{[^{}]*\})*")


def _need_algebra(gold: str, answer: str, comparison: Comparison) -> bool:
    """Algebra, where the gold has something to calculate; else only its own writing is equal to it."""
    if _OPERATION.search(gold) and not _NUMBER_SET.fullmatch(gold):
        raise NeedsAlgebraError
    return gold.replace(" ", "") == answer.replace(" ", "")


ALGEBRA = AnswerType("formula by algebra", str, _need_algebra)
"""The last resort: what no other type reads, such as a sum over an index, is left to math-verify."""

TYPES = (
    *(CHOICE, MOMENT, SPAN, BASED, NUMBER, COMPLEX, QUANTITY, RATIO, MATRIX),
    *(region.TYPE, GROUP, RELATION, EXPRESSION, WORDS, ALGEBRA),
)
"""Every type, in the order in which a gold is tried as them."""


_RANGE = re.compile(r"[\s,;(]*(?:where\s+)?[A-Za-z]\\in\s*(?:\\mathbb\{[ZNQR]\}|[ZNQR])\^?[+*]?\)?$")


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
    except NoValueError:
        return "unparsable_answer" if _has_value(_typed(gold)[1]) else "unparsable_gold"
    except NotOfTypeError:
        is_formula = ("\\" in answer or "^" in answer) and "boxed" not in answer
        return "unparsable_answer" if is_formula and type_of(answer) is ALGEBRA else "wrong"


def _has_value(gold: Any) -> bool:
    node = gold.node if isinstance(gold, Measure) else gold
    try:
        return not isinstance(node, Node) or are_values_equal(node, Node("add", (node, Node("number"))))
    except NoValueError:
        return False


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
