r"""Numbers, real and complex: `42`, `\frac12`, `\sqrt2`, `1+i`. An answer is a number in any finished form.

Work that is left undone (`7+5`, `17(23)`, `\max(3,5)`) is not a number where the gold is a rational one, nor is anything
with a variable, an equation other than `name = value`, a list or a relation.
"""

from __future__ import annotations

import math
from fractions import Fraction

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.evaluation import TooLargeError, UndefinedError, evaluate, exact_value, is_undefined, real_value
from open_r1.answers.formula import Node, number
from open_r1.answers.names import value_of_name
from open_r1.answers.structure import without_brackets
from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError, UnreadableGoldError
from open_r1.answers.types.measure import Measure, read_measure
from open_r1.answers.units import UNITS, agree

ROUNDED_DECIMALS = 6
"""A number without a finite decimal form equals itself rounded or cut off after so many decimals, and not after fewer."""


def read(gold: str) -> Measure | None:
    measure = read_measure(without_brackets(gold))
    return measure if measure is not None and measure.unit is None and _is_real(measure.node) else None


def read_complex(gold: str) -> Measure | None:
    measure = read_measure(without_brackets(gold))
    return measure if measure is not None and measure.unit is None else None


def read_quantity(gold: str) -> Measure | None:
    return read_measure(without_brackets(gold))


def _is_real(node: Node) -> bool:
    return exact_value(node) is not None or not _has_imaginary(node) or real_value(node) is not None


def _has_imaginary(node: Node) -> bool:
    return any(part.name in {"i", "cis"} or part.kind in {"root", "pow"} for part in node.walk())


def are_equal(gold: Measure, answer: str, comparison: Comparison) -> bool:
    """Whether an answer is the number, with a unit that agrees where both have one."""
    found = read_measure(without_brackets(value_of_name(answer)))
    if found is None:
        raise NotOfTypeError
    return are_measures_equal(gold, found)


def are_measures_equal(gold: Measure, answer: Measure) -> bool:
    if _is_undone(answer.node, gold.node):
        return False
    try:
        is_equal = _compare(gold, answer)
        if not is_equal and answer.node.kind != "number" and is_undefined(answer.node):
            raise NotOfTypeError(is_broken=True)
        return is_equal
    except (TooLargeError, UndefinedError):
        _raise_for(gold.node)
        raise NotOfTypeError(is_broken=True) from None


def _raise_for(gold: Node) -> None:
    """UnreadableGoldError where the gold itself has no value."""
    try:
        evaluate(gold, {}, 60)
    except (TooLargeError, UndefinedError):
        raise UnreadableGoldError from None


def _compare(gold: Measure, answer: Measure) -> bool:
    if answer.is_compound and gold.unit is None and answer.unit != UNITS["°"]:
        return False  # in which of its units would it count?
    if gold.unit is not None and answer.unit is not None:
        if not agree(gold.unit, answer.unit):
            return False
        return _same(_in_base_unit(gold), _in_base_unit(answer))
    if answer.unit == UNITS["°"] and _is_multiple_of_pi(gold.node):
        return are_values_equal(gold.node, Node("degree", (answer.node,)))
    return _same(gold, answer)


def _in_base_unit(measure: Measure) -> Measure:
    factor = measure.unit.factor if measure.unit else Fraction(1)
    if factor == 1:
        return measure
    return Measure(Node("mul", (measure.node, number(factor))), None, measure.is_percent, None)


def _is_multiple_of_pi(node: Node) -> bool:
    return any(part.name == "pi" for part in node.walk())


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
    if written is None or decimals is None or decimals > 40 or (value is not None and not _is_endless(value)):
        return False
    if value is not None:
        scaled = value * 10**decimals
        nearest = {round(scaled), math.trunc(scaled)}
    elif (real := real_value(exact)) is not None:
        nearest = {int(real * 10**decimals), int(real * 10**decimals + (0.5 if real > 0 else -0.5))}
    else:
        return False
    return written * 10**decimals in nearest


def _is_endless(value: Fraction) -> bool:
    """Whether the decimal expansion of `value` never ends: its denominator has a prime factor besides 2 and 5."""
    denominator = value.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator > 1


def _is_undone(answer: Node, gold: Node) -> bool:
    """Whether an answer is work that is left to be done, where the gold is a number that needs none."""
    parts = answer.walk()
    if any(part.kind == "task" or (part.kind == "fn" and part.name == "abs") for part in parts):
        return not any(part.kind == "task" or part.name == "abs" for part in gold.walk())
    if exact_value(gold) is None or "add" in gold.kinds() or _is_product_of_numerals(gold):
        return False
    return any(part.kind == "add" and part.name != "degrees" for part in parts) or _is_product_of_numerals(answer)


def _is_product_of_numerals(node: Node) -> bool:
    while node.kind == "neg":
        node = node.args[0]
    if node.kind != "mul":
        return False
    open_nodes, factors = [node], []
    while open_nodes:
        part = open_nodes.pop()
        if part.kind in {"mul", "neg"}:
            open_nodes.extend(part.args)
        else:
            factors.append(part)
    return all(factor.kind == "number" for factor in factors)


NUMBER = AnswerType("number", read, are_equal)
COMPLEX = AnswerType("complex number", read_complex, are_equal)
QUANTITY = AnswerType("quantity with unit", read_quantity, are_equal)
