r"""Equations and relations: `y=2x+1`, `x^2+y^2=25`, `f(x)=x`, `x=5`.

A gold that names a value (`x = 5`, `f(x) = x`) is met by that value, with the same name or without one, and not by an
equation that would have to be solved for it. Any other equation is met by one that is a constant multiple of it, or that
its denominators make one; a relation `F > 0` by a positive multiple.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.equality import constant_ratio
from open_r1.answers.evaluation import TooLargeError, UndefinedError
from open_r1.answers.formula import Node, read_formula
from open_r1.answers.names import split_name
from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError

_SIGN = re.compile(r"(?<![\\<>!])=|<|>|\\(?:le|ge|ne)(?![a-z])")
_REMARK = re.compile(
    r"[\s,;(]*(?:\\forall|(?<![A-Za-z\\])(?:for (?:all|every|each|any|some)|where|with|for|when|if)\b|对(?:所有|任意)).*",
    re.DOTALL,
)
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


def read(gold: str) -> Named | Relation | None:
    text = without_remark(gold)
    if not _SIGN.search(text):
        return None
    named = split_name(text)
    if named and not _SIGN.search(named[1]):
        is_equation = _is_variable_of(named[0]) and _has_variables(named[1])
        return _read_relation(text) if is_equation else Named(*named)
    return _read_relation(text)


def without_remark(text: str) -> str:
    r"""`f(x)=x \text{ for all } x` without the remark at its end."""
    return _REMARK.sub("", text).strip() or text


def _is_variable_of(name: str) -> bool:
    return len(name) == 1


def _has_variables(text: str) -> bool:
    node = read_formula(text)
    return node is not None and bool(node.symbols())


def _read_relation(text: str) -> Relation | None:
    members, signs = _SIGN.split(text), _SIGN.findall(text)
    if len(signs) != 1:
        return None
    left, right = (read_formula(member.strip()) for member in members)
    if left is None or right is None:
        return None
    difference = Node("add", (left, Node("neg", (right,))))
    return Relation(difference, signs[0]) if difference.symbols() else None


def are_equal(gold: Named | Relation, answer: str, comparison: Comparison) -> bool:
    answer = without_remark(answer)
    if isinstance(gold, Named):
        return _is_named_value(gold, answer, comparison)
    found = _read_relation(answer)
    if found is None:
        return _is_right_side(gold, answer, comparison)
    try:
        return _are_relations_equal(gold, found)
    except (TooLargeError, UndefinedError):
        raise NotOfTypeError(is_broken=True) from None


def _is_named_value(gold: Named, answer: str, comparison: Comparison) -> bool:
    named = split_name(answer)
    if named is None:
        if _SIGN.search(answer) and not _SIGN.search(gold.value):
            raise NotOfTypeError
        return comparison.same(gold.value, answer)
    if named[0] != gold.name and not (_FUNCTION_NAME.fullmatch(gold.name) and named[0] == "y"):
        return False
    return comparison.same(gold.value, named[1])


def _is_right_side(gold: Relation, answer: str, comparison: Comparison) -> bool:
    """`2x+1` for `y=2x+1`: the side that its name equals."""
    left, right = gold.difference.args[0], gold.difference.args[1].args[0]
    node = read_formula(answer)
    if node is None or gold.sign != "=" or left.kind != "symbol" or not node.symbols() or left.name in node.symbols():
        raise NotOfTypeError
    return are_values_equal(right, node)


def _are_relations_equal(gold: Relation, answer: Relation) -> bool:
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


TYPE = AnswerType("equation or relation", read, are_equal)
