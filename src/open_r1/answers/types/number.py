r"""Numbers, real and complex: `42`, `\frac12`, `\sqrt2`, `1+i`. An answer is a number in any finished form.

Work that is left undone (`7+5`, `17(23)`, `\max(3,5)`) is not a number where the gold is a rational one, nor is anything
with a variable, an equation other than `name = value`, a list or a relation.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.evaluation import DIGITS, evaluate, exact_value, real_value
from open_r1.answers.formula import Node, number
from open_r1.answers.names import value_of_name
from open_r1.answers.reasons import NotOfTypeError
from open_r1.answers.structure import without_brackets
from open_r1.answers.types.base import AnswerType, Comparison
from open_r1.answers.types.measure import Measure, read_measure
from open_r1.answers.units import UNITS, agree

ROUNDED_DECIMALS = 6
"""A number without a finite decimal form equals itself rounded or cut off after so many decimals, and not after fewer."""

_BASE_TEN = re.compile(r"(?<=\d)_\{(?:10|ten)\}$")


def read_quantity(gold: str) -> Measure | None:
    """The number with its unit, if it has one; brackets around it don't count."""
    return read_measure(without_brackets(gold))


def read_complex(gold: str) -> Measure | None:
    """The number, real or complex; None where it has a unit."""
    measure = read_quantity(gold)
    return measure if measure is not None and measure.unit is None else None


def read_real(gold: str) -> Measure | None:
    """The number; None where it has a unit or is not known to be real."""
    measure = read_complex(gold)
    return measure if measure is not None and _is_real(measure.node) else None


def _is_real(node: Node) -> bool:
    may_be_complex = any(part.name in {"i", "cis"} or part.kind in {"root", "pow"} for part in node.walk())
    return not may_be_complex or exact_value(node) is not None or real_value(node) is not None


def are_equal(gold: Measure, answer: str, comparison: Comparison) -> bool:
    """Whether an answer is the number, with a unit that agrees where both have one."""
    found = read_quantity(_BASE_TEN.sub("", value_of_name(answer)))
    if found is None:
        raise NotOfTypeError
    if _is_undone(found.node, gold.node):
        return False
    if _compare(gold, found):
        return True
    evaluate(found.node, {}, DIGITS)  # raises where the answer has no value at all
    return False


def _compare(gold: Measure, answer: Measure) -> bool:
    if answer.is_compound and gold.unit is None and answer.unit != UNITS["°"]:
        return False  # in which of its units would it count?
    if gold.unit is not None and answer.unit is not None:
        if not agree(gold.unit, answer.unit):
            return False
        if gold.unit.factor == answer.unit.factor:
            return _same(gold, answer)
        return _same(_in_base_unit(gold), _in_base_unit(answer))
    if gold.is_percent != answer.is_percent and any(side.unit and side.unit.dimension for side in (gold, answer)):
        return False
    for degrees, radians in ((answer, gold), (gold, answer)):
        if degrees.unit == UNITS["°"] and any(part.name == "pi" for part in radians.node.walk()):
            return are_values_equal(radians.node, Node("degree", (degrees.node,)))
    return _same(gold, answer)


def _in_base_unit(measure: Measure) -> Measure:
    factor = measure.unit.factor if measure.unit else Fraction(1)
    if factor == 1:
        return measure
    return Measure(Node("mul", (measure.node, number(factor))), None, measure.is_percent, None)


def _same(gold: Measure, answer: Measure) -> bool:
    """The same value; a percent sign is a unit, so that `50%` equals both `50` and `1/2`."""
    if gold.is_percent == answer.is_percent:
        return _same_value(gold, answer)
    percent, other = (gold, answer) if gold.is_percent else (answer, gold)
    part = Node("div", (percent.node, number(100)))
    return are_values_equal(other.node, percent.node) or are_values_equal(other.node, part)


def _same_value(gold: Measure, answer: Measure) -> bool:
    if are_values_equal(gold.node, answer.node):
        return True
    for exact, written in ((gold, answer), (answer, gold)):
        if exact.decimals is None and (written.decimals or 0) >= ROUNDED_DECIMALS:
            return _is_rounded(
                exact.node, written.node.value if written.node.kind == "number" else None, written.decimals
            )
    return False


def _is_rounded(exact: Node, written: Fraction | None, decimals: int | None) -> bool:
    """Whether `written` is an endless decimal rounded or cut off after so many places."""
    value = exact_value(exact)
    if (
        written is None
        or decimals is None
        or decimals > 40
        or (value is not None and 10**400 % value.denominator == 0)
    ):
        return False
    if value is not None:
        scaled = value * 10**decimals
        nearest = {round(scaled), math.trunc(scaled)}
    elif (real := real_value(exact)) is not None:
        nearest = {int(real * 10**decimals), int(real * 10**decimals + (0.5 if real > 0 else -0.5))}
    else:
        return False
    return written * 10**decimals in nearest


def _is_undone(answer: Node, gold: Node) -> bool:
    """Whether an answer is work that is left to be done, where the gold is a number that needs none."""
    if any(part.kind == "task" or part.name == "abs" for part in answer.walk()):
        return not any(part.kind == "task" or part.name == "abs" for part in gold.walk())
    if exact_value(gold) is None or any(part.kind == "add" for part in gold.walk()) or _is_product_of_numerals(gold):
        return False
    return any(part.kind == "add" and part.name != "degrees" for part in answer.walk()) or _is_product_of_numerals(
        answer
    )


def _is_product_of_numerals(node: Node) -> bool:
    while node.kind == "neg":
        node = node.args[0]
    return node.kind == "mul" and all(part.kind in {"mul", "neg", "number"} for part in node.walk())


NUMBER = AnswerType("number", read_real, are_equal)
COMPLEX = AnswerType("complex number", read_complex, are_equal)
QUANTITY = AnswerType("quantity with unit", read_quantity, are_equal)
