r"""The value of a formula: exact fractions while they last, then as many digits as the formula's own sizes ask for.

Does: evaluate a tree (see `formula`), and say how far apart the sizes within it are, so that `equality` can ask for enough
digits. Does not: wait: an integer of more than `MAX_EXACT_BITS` bits is never written out, and what would take longer than
an answer is worth is refused (`TooLargeError`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath

from open_r1.answers.formula import LOG_BASE, Node

MAX_EXACT_BITS = 1 << 16
MAX_FACTORIAL = 5000
MAX_DIGITS = 2500
DIGITS = 50
"""So many digits are compared beyond those that a formula's own sizes ask for."""

MAX_SIZES = {"fact": 9, "fact2": 9, "binom": 9, "": 300}
"""The decimal exponents of the largest arguments of factorials, binomials and functions."""

MAX_WORK = 400_000
"""Digits times nodes of one evaluation: what is larger is refused."""

MAX_RATIONAL_DIGITS = 20_000

Value = Any
"""A Fraction, or a real or complex number of mpmath."""


class TooLargeError(Exception):
    """A value that no answer needs: it would take more memory or time than any answer is worth."""


class UndefinedError(Exception):
    """A formula without a finite value: a division by zero, the logarithm of zero."""


class _Context:
    """One evaluation: its point, its precision, and the largest spread of sizes that it met."""

    def __init__(self, point: Mapping[str, Fraction], digits: int) -> None:
        self.point = point
        self.digits = digits
        self.spread = 0
        self.mp = arithmetic(digits)


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
        return _exact(node)
    except (UndefinedError, TooLargeError, RecursionError):
        return None


def is_undefined(node: Node) -> bool:
    """Whether a formula without variables has no finite value, as `\\frac{1}{0}` has none."""
    try:
        evaluate(node, {}, DIGITS)
    except UndefinedError:
        return True
    except TooLargeError:
        pass
    return False


def _exact(node: Node) -> Fraction | None:
    if node.kind == "number":
        return node.value
    if node.kind in {"symbol", "constant", "degree", "fn"} and node.name != "abs":
        return None
    args = [_exact(arg) for arg in node.args]
    if any(arg is None for arg in args):
        return None
    return _exact_operation(node, [arg for arg in args if arg is not None])


def _exact_operation(node: Node, args: list[Fraction]) -> Fraction | None:
    kind = node.kind
    if kind in {"add", "mixed"}:
        return sum(args, Fraction(0))
    if kind == "neg":
        return -args[0]
    if kind == "mul":
        return _bounded(args[0] * args[1])
    if kind == "div":
        if args[1] == 0:
            raise UndefinedError
        return _bounded(args[0] / args[1])
    if kind == "pow":
        return _exact_power(args[0], args[1])
    if kind == "root":
        return _exact_power(args[0], 1 / args[1]) if args[1] else None
    if kind in {"fact", "fact2"}:
        return _exact_factorial(args[0], 1 if kind == "fact" else 2)
    if kind == "binom":
        return _exact_binomial(args[0], args[1])
    if kind == "fn" and node.name == "abs":
        return abs(args[0])
    return _exact_task(node.name, args) if kind == "task" else None


def _bounded(value: Fraction) -> Fraction | None:
    return value if _bits(value) <= MAX_EXACT_BITS else None


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if base in {0, 1} and exponent > 0:
        return base
    if base == 0:
        raise UndefinedError
    if exponent.denominator > 1:
        if base < 0 or exponent.denominator > 64:
            return None
        roots = [_exact_root(part, exponent.denominator) for part in (base.numerator, base.denominator)]
        if None in roots:
            return None
        base = Fraction(*roots)  # pyright: ignore[reportArgumentType, reportCallIssue]
    power = exponent.numerator
    if base in {1, -1}:
        return base**power if power % 2 else Fraction(1)
    return base**power if _bits(base) * abs(power) <= MAX_EXACT_BITS else None


def _exact_root(value: int, degree: int) -> int | None:
    """The whole root of a natural number, if it has one."""
    if value < 2:
        return value
    low, high = 1, 1 << (value.bit_length() // degree + 1)
    if degree == 2:
        low = high = math.isqrt(value)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low if low**degree == value else None


def _exact_factorial(value: Fraction, step: int) -> Fraction | None:
    if value.denominator != 1 or value < 0:
        raise UndefinedError
    if value > MAX_FACTORIAL:
        return None
    return Fraction(math.factorial(int(value)) if step == 1 else math.prod(range(int(value), 0, -2)))


def _exact_binomial(top: Fraction, bottom: Fraction) -> Fraction | None:
    if top.denominator != 1 or bottom.denominator != 1 or top < 0 or bottom < 0:
        return None
    return Fraction(math.comb(int(top), int(bottom))) if top <= MAX_FACTORIAL else None


def _exact_task(name: str, args: list[Fraction]) -> Fraction | None:
    if name in {"floor", "ceil"}:
        return Fraction(math.floor(args[0]) if name == "floor" else math.ceil(args[0]))
    if name in {"max", "min"}:
        return max(args) if name == "max" else min(args)
    if any(arg.denominator != 1 for arg in args):
        return None
    return Fraction((math.gcd if name == "gcd" else math.lcm)(*map(int, args)))


def evaluate(node: Node, point: Mapping[str, Fraction], digits: int) -> tuple[Value, int]:
    """The value at `point` with so many digits, and the spread of sizes within it, as a number of digits.

    Raises UndefinedError where there is no finite value, and TooLargeError where it would cost too much.
    """
    context = _Context(point, digits)
    if len(node.walk()) * digits > MAX_WORK:
        raise TooLargeError
    try:
        value = _value(node, context)
    except (ZeroDivisionError, ValueError, TypeError, ArithmeticError) as error:
        raise UndefinedError from error
    except (OverflowError, MemoryError, NotImplementedError) as error:
        raise TooLargeError from error
    if not isinstance(value, Fraction) and not context.mp.isfinite(value):
        raise UndefinedError
    return value, context.spread


def _value(node: Node, context: _Context) -> Value:
    if node.kind == "number":
        return node.value
    if node.kind == "symbol":
        return context.point[node.name]
    if node.kind == "constant":
        return {"e": context.mp.e, "i": context.mp.j, "pi": context.mp.pi}[node.name] * context.mp.one
    args = [_value(arg, context) for arg in node.args]
    if all(isinstance(arg, Fraction) for arg in args) and not (node.kind == "fn" and node.name != "abs"):
        if node.kind == "add":
            _note_spread(args, context)
        exact = _exact_operation(node, args) if not context.point or node.kind != "pow" else None
        if exact is not None and _bits(exact) <= MAX_EXACT_BITS:
            return exact
    return _operation(node, [_real(arg, context) for arg in args], context)


def _real(value: Value, context: _Context) -> Value:
    return context.mp.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _operation(node: Node, args: list[Value], context: _Context) -> Value:
    mp, kind = context.mp, node.kind
    if kind in {"add", "mixed"}:
        return _sum(args, context)
    if kind == "neg":
        return -args[0]
    if kind == "mul":
        return args[0] * args[1]
    if kind == "div":
        return args[0] / args[1]
    if kind == "degree":
        return args[0] * mp.pi / 180
    if kind == "pow":
        return _power(args[0], args[1], context)
    if kind == "root":
        return _root(args[0], args[1], context)
    _note(args, context)
    _refuse_large(node, args)
    if kind == "fact":
        return mp.factorial(args[0])
    if kind == "fact2":
        return mp.fac2(args[0])
    if kind == "binom":
        return mp.binomial(*args)
    return _function(node.name, args, context) if kind == "fn" else _task(node.name, args, context)


def _refuse_large(node: Node, args: list[Value]) -> None:
    """TooLargeError where a function's argument is so large that its value would take seconds."""
    limit = MAX_SIZES.get(node.kind, MAX_SIZES[""])
    if node.name not in {"ln", "lg", "log", "abs", "Re", "Im", "sgn"} and any(
        (_size(arg) or 0) > limit for arg in args
    ):
        raise TooLargeError


def _sum(terms: list[Value], context: _Context) -> Value:
    sizes = [size for term in terms if (size := _size(term)) is not None]
    total = sum(terms[1:], terms[0])
    if not sizes:
        return total
    context.spread = max(context.spread, max(sizes) - min(sizes))
    size = _size(total)
    if size is None or size < max(sizes) - context.digits + 12:
        return total * 0  # what is left of terms that cancel
    return total


def _note_spread(terms: list[Fraction], context: _Context) -> None:
    """Remember the spread of terms whose sum is exact, for the root or function that may be taken of it."""
    sizes = [term.numerator.bit_length() - term.denominator.bit_length() for term in terms if term]
    if sizes:
        context.spread = max(context.spread, int((max(sizes) - min(sizes)) * 0.30103))


def _size(value: Value) -> int | None:
    """The decimal exponent of a value; None for zero."""
    magnitude = mpmath.mp.mag(value)
    if magnitude in {mpmath.mp.ninf, mpmath.mp.inf} or not mpmath.mp.isfinite(magnitude):
        return None
    return int(magnitude * 0.30103)


def _note(args: list[Value], context: _Context) -> None:
    """Remember how far from 1 the arguments of a function are."""
    for arg in args:
        size = _size(arg)
        if size is not None:
            context.spread = max(context.spread, 2 * abs(size))


def _power(base: Value, exponent: Value, context: _Context) -> Value:
    mp = context.mp
    if not mp.isint(exponent):
        _note([exponent], context)
    size = _size(exponent)
    if size is not None and size > 12:
        raise TooLargeError
    if base == 0 and mp.re(exponent) <= 0:
        raise UndefinedError
    if size is not None and size > 2:
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
        logarithm = mp.log(value)
        if name == "ln":
            return logarithm
        base = args[1] if len(args) > 1 else mp.mpf(10) if name == "lg" else _real(context.point[LOG_BASE], context)
        return logarithm / mp.log(base)
    if name == "abs":
        return abs(value)
    if name in {"Re", "Im"}:
        return mp.re(value) if name == "Re" else mp.im(value)
    if name == "sgn":
        return mp.sign(value)
    if name == "cis":
        return mp.exp(mp.j * value)
    if name == "exp" or name.endswith("h"):
        size = _size(value)
        if size is not None and size > 6:
            raise TooLargeError
    return _noise_free(getattr(mp, name.replace("arc", "a"))(value), context)


def _noise_free(value: Value, context: _Context) -> Value:
    """Zero where a function's value is only the rounding of its argument, as that of `\\sin\\pi` is."""
    size = _size(value)
    return (
        value * 0
        if size is not None and size < 12 - context.digits and context.spread < context.digits // 2
        else value
    )


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


def real_value(node: Node) -> Value | None:
    """The real value of a formula without variables, 50 digits of it; None where it has none."""
    mp = arithmetic(DIGITS)
    try:
        value = evaluate(node, {}, DIGITS)[0]
    except (UndefinedError, TooLargeError, KeyError):
        return None
    if isinstance(value, Fraction):
        return mp.mpf(value.numerator) / value.denominator
    return mp.re(value) if mp.im(value) == 0 else None
