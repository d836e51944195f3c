r"""Exact expressions with variables: `x^2+1`, `\frac{n(n+1)}{2}`, `\ln|x|+C`.

The gold has an operator, a digit, a function or a lone variable; letters in a row without any are a word. An answer is the
same function wherever the gold is real, with its own name before it or not.
"""

from __future__ import annotations

import re

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.evaluation import TooLargeError, UndefinedError
from open_r1.answers.formula import Node, read_formula
from open_r1.answers.names import split_name
from open_r1.answers.structure import without_brackets
from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError, UnreadableGoldError
from open_r1.answers.types.measure import has_words
from open_r1.answers.types.relation import without_remark
from open_r1.answers.units import UNITS

_LETTERS = re.compile(r"[A-Za-z]{2,}")
_UNKNOWNS = re.compile(r"[xyz]{2,3}")
_UNIT_AFTER = re.compile(r"(?P<rest>.*[\d)}\]A-Za-z])\s+(?P<unit>[A-Za-z]{2,})(?:\^\{\d\})?", re.DOTALL)


def read(gold: str) -> Node | None:
    text = without_brackets(without_remark(gold))
    if _LETTERS.fullmatch(text.replace(" ", "")) and not _UNKNOWNS.fullmatch(text):
        return None
    if has_words(text):
        text = _without_unit(text)
        if has_words(text):
            return None
    return read_formula(text)


def _without_unit(text: str) -> str:
    match = _UNIT_AFTER.fullmatch(text)
    return match["rest"] if match and match["unit"] in UNITS else text


def are_equal(gold: Node, answer: str, comparison: Comparison) -> bool:
    answer = without_remark(answer)
    if named := split_name(answer):
        if named[0] in gold.symbols():
            raise NotOfTypeError
        answer = named[1]
    text = without_brackets(answer)
    if has_words(text):
        text = _without_unit(text)
    found = None if has_words(text) else read_formula(text)
    if found is None:
        raise NotOfTypeError
    if _has_steps(found) and not _has_steps(gold):
        raise NotOfTypeError
    try:
        return are_values_equal(gold, found)
    except (TooLargeError, UndefinedError):
        _check_gold(gold)
        raise NotOfTypeError(is_broken=True) from None


def _has_steps(node: Node) -> bool:
    """Whether a floor or the like occurs: it can hide a difference anywhere between the points that are compared."""
    return any(part.kind == "task" or part.name == "sgn" for part in node.walk())


def _check_gold(gold: Node) -> None:
    try:
        are_values_equal(gold, Node("add", (gold, Node("number"))))
    except (TooLargeError, UndefinedError):
        raise UnreadableGoldError from None


TYPE = AnswerType("expression with variables", read, are_equal)
