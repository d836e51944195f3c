r"""Whether two formulas have the same value, or are the same function.

Rational values are compared as fractions, and others with a precision that grows with the formulas: where a sum adds terms
of sizes 1 and 10^-60, so many digits more are computed, so that no term is lost in rounding. Formulas with variables are
compared at fixed points, near zero and far from it, on both sides of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

import mpmath

from open_r1.answers.evaluation import DIGITS, MAX_DIGITS, Value, arithmetic, evaluate, exact_value
from open_r1.answers.formula import LOG_BASE, Node
from open_r1.answers.reasons import TooLargeError, UndefinedError

MIN_AGREEMENTS = 5
"""Functions must agree at so many points where others are refused as too large."""


def are_equal_at(first: Node, second: Node, point: Mapping[str, Fraction]) -> tuple[bool, bool]:
    """Whether two formulas have the same value at `point`, and whether the first is real there.

    Raises UndefinedError where the first has no value there, and TooLargeError where it would cost too much.
    """
    digits = DIGITS + 10
    for _ in range(5):
        first_value, first_spread = evaluate(first, point, digits)
        is_real = isinstance(first_value, Fraction) or mpmath.mp.im(first_value) == 0
        try:
            second_value, second_spread = evaluate(second, point, digits)
        except UndefinedError:
            return False, is_real
        if isinstance(first_value, Fraction) and isinstance(second_value, Fraction):
            return first_value == second_value, is_real
        spread = max(first_spread, second_spread)
        if digits - spread > 20 and not _agree(first_value, second_value, digits - spread, 0):
            return False, is_real  # more digits can't bring them together
        needed = DIGITS + 10 + 2 * spread
        if needed <= digits:
            return _agree(first_value, second_value, digits, spread), is_real
        digits = needed
        if digits > MAX_DIGITS:
            break
    raise TooLargeError


def _agree(first: Value, second: Value, digits: int, spread: int) -> bool:
    mp = arithmetic(digits)
    first, second = (mp.mpf(v.numerator) / v.denominator if isinstance(v, Fraction) else v for v in (first, second))
    larger = max(abs(first), abs(second))
    if larger == 0:
        return True
    tolerance = mp.mpf(10) ** -min(digits - 10, spread + DIGITS - 10)
    return bool(abs(first - second) <= tolerance * larger)


_BASES = tuple(
    Fraction(text)
    for text in (
        "0.7310585786300048792", "1.3247179572447460260", "7.1391876543210987654", "123.45678901234567891",
        "-0.5671432904097838730", "-3.1987654321098765432", "-41.765432109876543211", "-2417.9012345678912345",
        "0.0137035999206310987", "5003.1234567890123456",
    )
)  # fmt: skip


def probe_points(names: list[str]) -> list[dict[str, Fraction]]:
    """Fixed points to compare functions at: near and far, positive, negative and mixed, nothing met by chance."""
    points = []
    for turn in range(len(_BASES)):
        point = {}
        for index, name in enumerate(names):
            base = _BASES[(turn + index * 3) % len(_BASES)] if turn > 3 or not index else _BASES[(turn + index) % 4]
            point[name] = base * (1 + _spread(name)) if name != LOG_BASE else Fraction(7, 3)
        points.append(point)
    return points


def _spread(name: str) -> Fraction:
    """A number in [0, 1) that belongs to a variable's name."""
    return Fraction(
        sum(ord(character) * 618033 * (place + 1) for place, character in enumerate(name)) % 999983, 999983
    )


@lru_cache(maxsize=32768)
def are_equal(first: Node, second: Node) -> bool:
    """Whether two formulas have the same value, or are the same function wherever the first is real.

    Raises TooLargeError where that can't be decided, UndefinedError where the first has no value.
    """
    if first == second:
        return True
    names = sorted(first.symbols() | second.symbols())
    if not names:
        exact = exact_value(first), exact_value(second)
        if None not in exact:
            return exact[0] == exact[1]
        return are_equal_at(first, second, {})[0]
    return _are_equal_functions(first, second, names)


def _are_equal_functions(first: Node, second: Node, names: list[str]) -> bool:
    complex_agreements = real_agreements = refused = 0
    disagrees_off_real = False
    for point in probe_points(names):
        try:
            is_equal, is_real = are_equal_at(first, second, point)
        except UndefinedError:
            continue
        except TooLargeError:
            refused += 1
            continue
        if is_real and not is_equal:
            return False
        real_agreements += is_real
        complex_agreements += is_equal and not is_real
        disagrees_off_real |= not is_equal
    if real_agreements + complex_agreements < MIN_AGREEMENTS and refused:
        raise TooLargeError
    return real_agreements >= 2 or (complex_agreements >= 2 and not disagrees_off_real)


def constant_ratio(first: Node, second: Node) -> int | None:
    """The sign of the constant that `first` is a multiple of `second` by; None where there is no such constant."""
    for point in probe_points(sorted(first.symbols() | second.symbols())):
        parts = (at_point(first, point), at_point(second, point))
        try:
            if any(evaluate(part, {}, DIGITS)[0] == 0 for part in parts):
                continue
        except UndefinedError:
            continue
        ratio = Node("div", parts)
        return _sign_of(ratio) if are_equal(first, Node("mul", (ratio, second))) else None
    return None


def at_point(node: Node, point: Mapping[str, Fraction]) -> Node:
    """The formula with a number for each variable, and for the base of a logarithm without one."""
    if node.kind == "symbol":
        return Node("number", value=point[node.name])
    args = tuple(at_point(arg, point) for arg in node.args)
    if node.name == "log" and len(args) == 1:
        args = (*args, Node("number", value=point[LOG_BASE]))
    return Node(node.kind, args, node.name, node.value)


def _sign_of(node: Node) -> int | None:
    value = evaluate(node, {}, DIGITS)[0]
    if not isinstance(value, Fraction) and mpmath.mp.im(value) != 0:
        return None
    return 1 if value > 0 else -1
