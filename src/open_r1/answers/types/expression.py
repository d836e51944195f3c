r"""Formulas with variables: expressions (`x^2+1`), and equations and relations (`y=2x+1`, `x=5`, `F>0`).

An expression has an operator, a digit, a function or a lone variable; letters in a row without any are a word. A relation
that names a value (`x = 5`, `f(x) = x`) is met by that value, and not by an equation that would have to be solved for it.
Any other equation is met by one that is a constant multiple of it, or that its denominators make one; a relation by a
positive multiple.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.equality import constant_ratio
from open_r1.answers.formula import Node, read_formula
from open_r1.answers.reasons import NotOfTypeError
from open_r1.answers.structure import split_name, without_brackets
from open_r1.answers.types.base import AnswerType, Comparison
from open_r1.answers.types.number import has_words
from open_r1.answers.units import UNITS

_SIGN = re.compile(r"(?<![\\<>!])=|<|>|\\(?:le|ge|ne)(?![a-z])")
_REMARK = re.compile(
    r"[\s,;(]*(?:\\forall|(?<![A-Za-z\\])(?:for (?:all|every|each|any|some)|where|with|for|when|if)\b|对(?:所有|任意)).*",
    re.DOTALL,
)
_LETTERS = re.compile(r"[A-Za-z]{2,}")
_UNKNOWNS = re.compile(r"[xyz]{2,3}")
_UNIT_AFTER = re.compile(r"(?P<rest>.*[\d)}\]A-Za-z])\s+(?P<unit>[A-Za-z]{2,})(?:\^\{\d\})?", re.DOTALL)


def read_expression(text: str) -> Node | None:
    """The formula, without a remark or unit after it; None for a word."""
    text = without_brackets(without_remark(text))
    if _LETTERS.fullmatch(text.replace(" ", "")) and not _UNKNOWNS.fullmatch(text):
        return None
    return _read_without_unit(text)


def _read_without_unit(text: str) -> Node | None:
    if has_words(text) and (match := _UNIT_AFTER.fullmatch(text)) and match["unit"] in UNITS:
        text = match["rest"]
    return None if has_words(text) else read_formula(text)


def without_remark(text: str) -> str:
    r"""`f(x)=x \text{ for all } x` without the remark at its end."""
    return _REMARK.sub("", text).strip() or text


def are_expressions_equal(gold: Node, answer: str, comparison: Comparison) -> bool:
    """Whether an answer is the same function wherever the gold is real, with its own name before it or not."""
    answer = without_remark(answer)
    if named := split_name(answer):
        if named[0] in gold.symbols():
            raise NotOfTypeError
        answer = named[1]
    found = _read_without_unit(without_brackets(answer))
    if found is None or (_has_steps(found) and not _has_steps(gold)):
        raise NotOfTypeError
    return are_values_equal(gold, found)


def _has_steps(node: Node) -> bool:
    """Whether a floor or the like occurs: it can hide a difference anywhere between the points that are compared."""
    return any(part.kind == "task" or part.name == "sgn" for part in node.walk())


EXPRESSION = AnswerType("expression with variables", read_expression, are_expressions_equal)

_INDEX = re.compile(r"_\{?\d\}?$")
_FUNCTION_NAME = re.compile(r"[A-Za-z](?:_\{\w+\})?\([A-Za-z](?:,[A-Za-z])*\)")


@dataclass(frozen=True)
class Named:
    """A name and the text of its value."""

    name: str
    value: str


@dataclass(frozen=True)
class Relation:
    """`difference` against zero."""

    difference: Node
    sign: str


def read_relation(gold: str) -> Named | Relation | None:
    """The named value for `x = 5`, the relation otherwise; None for a text without a relation sign."""
    text = without_remark(gold)
    if not _SIGN.search(text):
        return None
    named = split_name(text)
    if named and not _SIGN.search(named[1]):
        value = read_formula(named[1])
        if len(named[0]) > 1 or value is None or not value.symbols():
            return Named(*named)
    return _read_difference(text)


def _read_difference(text: str) -> Relation | None:
    members, signs = _SIGN.split(text), _SIGN.findall(text)
    if len(signs) != 1:
        return None
    left, right = (read_formula(member.strip()) for member in members)
    if left is None or right is None:
        return None
    difference = Node("add", (left, Node("neg", (right,))))
    return Relation(difference, signs[0]) if difference.symbols() else None


def are_relations_equal(gold: Named | Relation, answer: str, comparison: Comparison) -> bool:
    """Whether an answer is the named value, a multiple of the relation, or its right side alone."""
    answer = without_remark(answer)
    if isinstance(gold, Named):
        return _is_named_value(gold, answer, comparison)
    found = _read_difference(answer)
    return _is_right_side(gold, answer) if found is None else _are_multiples(gold, found)


def _is_named_value(gold: Named, answer: str, comparison: Comparison) -> bool:
    named = split_name(answer)
    if named is None:
        if _SIGN.search(answer) and not _SIGN.search(gold.value):
            raise NotOfTypeError
        return comparison.same(gold.value, answer)
    if gold.name not in {named[0], _INDEX.sub("", named[0])} and not (
        _FUNCTION_NAME.fullmatch(gold.name) and named[0] == "y"
    ):
        return False
    return comparison.same(gold.value, named[1])


def _is_right_side(gold: Relation, answer: str) -> bool:
    """`2x+1` for `y=2x+1`: the side that its name equals."""
    left, right = gold.difference.args[0], gold.difference.args[1].args[0]
    node = read_formula(answer)
    if node is None or gold.sign != "=" or left.kind != "symbol" or not node.symbols() or left.name in node.symbols():
        raise NotOfTypeError
    return are_values_equal(right, node)


def _are_multiples(gold: Relation, answer: Relation) -> bool:
    if gold.difference.symbols() != answer.difference.symbols():
        return False
    ratio = constant_ratio(gold.difference, answer.difference)
    if ratio is None and gold.sign == answer.sign == "=":
        ratio = constant_ratio(_cleared(gold.difference), _cleared(answer.difference))
    if ratio is None:
        return False
    if gold.sign in {"=", r"\ne"}:
        return gold.sign == answer.sign
    flipped = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
    return answer.sign == (gold.sign if ratio > 0 else flipped[gold.sign])


def _cleared(node: Node) -> Node:
    """`node` times each of its denominators that has a variable: `y-1/x` as `(y-1/x)x`."""
    cleared = node
    denominators = {part.args[1] for part in node.walk() if part.kind == "div" and part.args[1].symbols()}
    for denominator in sorted(denominators, key=repr):
        cleared = Node("mul", (cleared, denominator))
    return cleared


RELATION = AnswerType("equation or relation", read_relation, are_relations_equal)
