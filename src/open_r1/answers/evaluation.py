r"""The value of a formula: exact fractions while they last, then as many digits as the formula's own sizes ask for.

Nothing here waits: an integer of more than `MAX_EXACT_BITS` bits is never written out, and what would take longer than an
answer is worth is refused (`TooLargeError`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath

from open_r1.answers.formula import LOG_BASE, Node
from open_r1.answers.reasons import NoValueError, TooLargeError, UndefinedError

MAX_EXACT_BITS = 1 << 16
MAX_FACTORIAL = 5000
MAX_DIGITS = 2500
DIGITS = 50
"""So many digits are compared beyond those that a formula's own sizes ask for."""

MAX_SIZES = {"fact": 9, "fact2": 9, "binom": 9, "": 300}
"""The decimal exponents of the largest arguments of factorials, binomials and functions."""

MAX_WORK = 400_000
"""Digits times nodes of one evaluation: what is larger is refused."""

Value = Any
"""A Fraction, or a real or complex number of mpmath."""


class _Context:
    """One evaluation: its point, its precision, and the largest spread of sizes that it met."""

    def __init__(self, point: Mapping[str, Fraction], digits: int) -> None:
        self.point = point
        self.digits = digits
        self.spread = 0
        self.mp = arithmetic(digits)

    def note_arguments(self, args: list[Value]) -> None:
        """Remember how far from 1 the arguments of a function are."""
        self.spread = max([self.spread, *(2 * abs(size) for size in map(_size, args) if size is not None)])

    def note_terms(self, terms: list[Fraction]) -> None:
        """Remember the spread of terms whose sum is exact, for the root or function that may be taken of it."""
        sizes = [term.numerator.bit_length() - term.denominator.bit_length() for term in terms if term]
        if sizes:
            self.spread = max(self.spread, int((max(sizes) - min(sizes)) * 0.30103))


@lru_cache(maxsize=64)
def arithmetic(digits: int) -> Any:
    """mpmath's functions with so many digits."""
    context = mpmath.mp.clone()
    context.dps = digits
    return context


@lru_cache(maxsize=32768)
def exact_value(node: Node) -> Fraction | None:
    """The value as a fraction, where only rational operations of bearable size lead to it; else None."""
    try:
        value = evaluate(node, {}, 15)[0]
    except (NoValueError, KeyError, RecursionError):
        return None
    return value if isinstance(value, Fraction) else None


def real_value(node: Node) -> Value | None:
    """The real value of a formula without variables, 50 digits of it; None where it has none."""
    mp = arithmetic(DIGITS)
    try:
        value = evaluate(node, {}, DIGITS)[0]
    except (NoValueError, KeyError):
        return None
    if isinstance(value, Fraction):
        return mp.mpf(value.numerator) / value.denominator
    return mp.re(value) if mp.im(value) == 0 else None


def evaluate(node: Node, point: Mapping[str, Fraction], digits: int) -> tuple[Value, int]:
    """The value at `point` with so many digits, and the spread of sizes within it, as a number of digits.

    Raises UndefinedError where there is no finite value, and TooLargeError where it would cost too much.
    """
    context = _Context(point, digits)
    if len(node.walk()) * digits > MAX_WORK:
        raise TooLargeError
    try:
        value = _value(node, context)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UndefinedError from error
    except (MemoryError, NotImplementedError) as error:
        raise TooLargeError from error
    if not isinstance(value, Fraction) and not context.mp.isfinite(value):
        raise UndefinedError
    return value, context.spread


def _value(node: Node, context: _Context) -> Value:
    mp = context.mp
    if node.kind == "number":
        return node.value
    if node.kind == "symbol":
        return context.point[node.name]
    if node.kind == "constant":
        return {"e": mp.e, "i": mp.j, "pi": mp.pi}[node.name] * mp.one
    args = [_value(arg, context) for arg in node.args]
    if all(isinstance(arg, Fraction) for arg in args):
        if node.kind == "add":
            context.note_terms(args)
        exact = _exact(node, args) if not context.point or node.kind != "pow" else None
        if exact is not None and _bits(exact) <= MAX_EXACT_BITS:
            return exact
    return _operation(node, [_real(arg, context) for arg in args], context)


def _real(value: Value, context: _Context) -> Value:
    return context.mp.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _exact(node: Node, args: list[Fraction]) -> Fraction | None:
    """The operation on fractions; None where its value is not one, or is too large to be written out."""
    match node.kind, node.name, args:
        case "add" | "mixed", _, _:
            return sum(args, Fraction(0))
        case "neg", _, [value]:
            return -value
        case "mul", _, [first, second]:
            return first * second
        case "div", _, [top, bottom]:
            return top / bottom
        case "pow", _, [base, exponent]:
            return _exact_power(base, exponent)
        case "root", _, [value, degree] if degree:
            return _exact_power(value, 1 / degree)
        case "fact" | "fact2", _, [value]:
            return _exact_factorial(value, 1 if node.kind == "fact" else 2)
        case "binom", _, [top, bottom] if _are_whole(args) and min(args) >= 0 and top <= MAX_FACTORIAL:
            return Fraction(math.comb(int(top), int(bottom)))
        case "fn", "abs", [value]:
            return abs(value)
        case "task", "floor" | "ceil", [value]:
            return Fraction(math.floor(value) if node.name == "floor" else math.ceil(value))
        case "task", "max" | "min", _:
            return max(args) if node.name == "max" else min(args)
        case "task", "gcd" | "lcm", _ if _are_whole(args):
            return Fraction((math.gcd if node.name == "gcd" else math.lcm)(*map(int, args)))
    return None


def _are_whole(args: list[Fraction]) -> bool:
    return all(arg.denominator == 1 for arg in args)


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if base in {0, 1} and exponent > 0:
        return base
    if base == 0:
        raise UndefinedError
    if exponent.denominator > 1:
        if base < 0 or exponent.denominator > 64:
            return None
        top, bottom = (_exact_root(part, exponent.denominator) for part in (base.numerator, base.denominator))
        if top is None or bottom is None:
            return None
        base = Fraction(top, bottom)
    power = exponent.numerator
    if base in {1, -1}:
        return base**power if power % 2 else Fraction(1)
    return base**power if _bits(base) * abs(power) <= MAX_EXACT_BITS else None


def _exact_root(value: int, degree: int) -> int | None:
    mp = arithmetic(20 + value.bit_length() // degree // 3)
    root = int(mp.nint(mp.root(value, degree)))
    return root if root**degree == value else None


def _exact_factorial(value: Fraction, step: int) -> Fraction | None:
    if value.denominator != 1 or value > MAX_FACTORIAL:
        return None
    if value < 0:
        raise UndefinedError
    return Fraction(math.factorial(int(value)) if step == 1 else math.prod(range(int(value), 0, -2)))


def _operation(node: Node, args: list[Value], context: _Context) -> Value:
    mp = context.mp
    match node.kind, args:
        case "add" | "mixed", _:
            return _sum(args, context)
        case "neg", [value]:
            return -value
        case "mul", [first, second]:
            return first * second
        case "div", [top, bottom]:
            return top / bottom
        case "degree", [value]:
            return value * mp.pi / 180
        case "pow", [base, exponent]:
            return _power(base, exponent, context)
        case "root", [value, degree]:
            return _root(value, degree, context)
    context.note_arguments(args)
    limit = MAX_SIZES.get(node.kind, MAX_SIZES[""])
    is_tame = node.name in {"ln", "lg", "log", "abs", "Re", "Im", "sgn"}
    if not is_tame and any((_size(arg) or 0) > limit for arg in args):
        raise TooLargeError
    if node.kind in {"fact", "fact2", "binom"}:
        return {"fact": mp.factorial, "fact2": mp.fac2, "binom": mp.binomial}[node.kind](*args)
    return _function(node.name, args, context) if node.kind == "fn" else _task(node.name, args, context)


def _sum(terms: list[Value], context: _Context) -> Value:
    sizes = [size for term in terms if (size := _size(term)) is not None]
    total = sum(terms[1:], terms[0])
    if not sizes:
        return total
    context.spread = max(context.spread, max(sizes) - min(sizes))
    size = _size(total)
    is_cancelled = size is None or size < max(sizes) - context.digits + 12
    return total * 0 if is_cancelled else total


def _size(value: Value) -> int | None:
    """The decimal exponent of a value; None for zero."""
    magnitude = mpmath.mp.mag(value)
    return int(magnitude * 0.30103) if mpmath.mp.isfinite(magnitude) else None


def _power(base: Value, exponent: Value, context: _Context) -> Value:
    mp = context.mp
    if not mp.isint(exponent):
        context.note_arguments([exponent])
    size = _size(exponent) or 0
    if size > 12:
        raise TooLargeError
    if base == 0 and mp.re(exponent) <= 0:
        raise UndefinedError
    if size > 2:
        context.spread = max(context.spread, size)
    return mp.power(base, exponent)


def _root(value: Value, degree: Value, context: _Context) -> Value:
    mp = context.mp
    if degree == 0:
        raise UndefinedError
    if mp.im(value) == 0 and mp.re(value) < 0 and mp.isint(degree) and int(degree) % 2:
        return -mp.power(-value, 1 / degree)
    return mp.sqrt(value) if degree == 2 else _power(value, 1 / degree, context)


def _function(name: str, args: list[Value], context: _Context) -> Value:
    mp, value = context.mp, args[0]
    if name in {"ln", "lg", "log"}:
        if value == 0:
            raise UndefinedError
        if name == "ln":
            return mp.log(value)
        base = args[1] if len(args) > 1 else mp.mpf(10) if name == "lg" else _real(context.point[LOG_BASE], context)
        return mp.log(value) / mp.log(base)
    if name in {"abs", "Re", "Im", "sgn"}:
        return {"abs": abs, "Re": mp.re, "Im": mp.im, "sgn": mp.sign}[name](value)
    if name == "cis":
        return mp.exp(mp.j * value)
    if (name == "exp" or name.endswith("h")) and (_size(value) or 0) > 6:
        raise TooLargeError
    result = getattr(mp, name.replace("arc", "a"))(value)
    size = _size(result)  # \sin\pi is zero, and its value only the rounding of \pi
    is_tiny = size is not None and size < 12 - context.digits and context.spread < context.digits // 2
    is_noise = is_tiny and name in {"sin", "cos", "tan", "cot"}
    return result * 0 if is_noise else result


def _task(name: str, args: list[Value], context: _Context) -> Value:
    mp = context.mp
    if any(mp.im(arg) != 0 for arg in args):
        raise UndefinedError
    if name in {"max", "min"}:
        return max(args) if name == "max" else min(args)
    if name not in {"floor", "ceil"}:
        raise UndefinedError
    nearest = mp.nint(args[0])
    if abs(args[0] - nearest) < mp.mpf(10) ** (20 - context.digits):
        return nearest
    return mp.floor(args[0]) if name == "floor" else mp.ceil(args[0])
