r"""The value of a simple expression: numbers, letters, `+ - \cdot / ^`, `\frac`, `\sqrt`, `\pi`, brackets.

Does: evaluate canonical text (see `latex.canonical`) at one fixed point of its variables, in microseconds: exactly as
long as only fractions occur, else approximately. Two values that are far apart prove the expressions different; only
exact ones can prove them equal. Does not: read anything else; whatever is not certain to mean one thing gives None.
"""

from __future__ import annotations

import cmath
import math
import re
from fractions import Fraction
from functools import lru_cache

MAX_TOKENS = 400
MAX_DEPTH = 40
MAX_EXACT_BITS = 4096
"""Fractions grow no larger than this; beyond it a value is approximate."""

RELATIVE_TOLERANCE = 1e-4

_TOKEN = re.compile(
    r"(?P<mixed>\d\\frac\{\d+\}\{\d+\})|(?P<number>\d+\.?\d*|\.\d+)|(?P<letter>[A-Za-z])(?![A-Za-z']{2})"
    r"|(?P<command>\\(?:frac|sqrt|cdot|pi)(?![a-z]))|(?P<mark>[-+/^(){}\[\]])|(?P<space> )"
)
_ENDS_OF_PRODUCT = frozenset({"", "+", "-", ")", "]", "}"})
Value = Fraction | float | complex

_CONSTANTS: dict[str, complex] = {"e": math.e, "i": 1j, r"\pi": math.pi}


class _UnreadableError(Exception):
    pass


def compare_values(first: str, second: str) -> bool | None:
    """True when both texts have the same exact value, False when their values differ, None when that can't be told."""
    first_value, second_value = value_of(first), value_of(second)
    if first_value is None or second_value is None:
        return None
    if isinstance(first_value, Fraction) and isinstance(second_value, Fraction):
        return first_value == second_value
    larger = max(abs(first_value), abs(second_value))
    is_far = larger > 1e-9 and abs(first_value - second_value) > RELATIVE_TOLERANCE * larger
    return False if is_far else None


@lru_cache(maxsize=65536)
def value_of(text: str) -> Value | None:
    """The value of `text` with each letter at its own fixed value, capitals as small letters; None if it has none."""
    tokens = _read_tokens(text)
    if not tokens:
        return None
    try:
        reader = _Reader(tokens)
        value = reader.read_sum(0)
        is_finite = cmath.isfinite(value)
    except (_UnreadableError, ArithmeticError, ValueError):
        return None
    return value if reader.is_at_end and is_finite else None


def letter_value(letter: str) -> float:
    """Where a variable is evaluated: positive, unlike any other's, and nothing that an answer would hold by chance."""
    return 0.7310585786300049 + 0.618033988749895 * ord(letter) % 1


def _read_tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match["mixed"] or len(tokens) > MAX_TOKENS:
            return []
        if not match["space"]:
            tokens.append(match.group())
        position = match.end()
    return tokens


def _power(base: Value, exponent: Value) -> Value:
    """The power, exact where it is a fraction of bearable size; else approximate, the principal branch."""
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if bits * abs(exponent.numerator) <= MAX_EXACT_BITS:
            return base**exponent
    return complex(base) ** complex(exponent)


class _Reader:
    """Recursive descent over the tokens; `depth` counts open brackets."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def is_at_end(self) -> bool:
        return self._position == len(self._tokens)

    def read_sum(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise _UnreadableError
        sign = self._read_sign()
        value = sign * self._read_product(depth)
        while self._next in {"+", "-"}:
            sign = self._read_sign()
            value += sign * self._read_product(depth)
        return value

    def _read_product(self, depth: int) -> Value:
        value = self._read_power(depth)
        mark = ""
        while self._next not in _ENDS_OF_PRODUCT:
            if mark == "/" and self._next not in {"/", r"\cdot"}:
                raise _UnreadableError  # 1/2x is read in two ways
            mark = self._next
            if mark in {r"\cdot", "/"}:
                self._take()
            sign = self._read_sign() if mark in {r"\cdot", "/"} else 1
            factor = sign * self._read_power(depth)
            value = value / factor if mark == "/" else value * factor
        return value

    def _read_power(self, depth: int) -> Value:
        base = self._read_atom(depth)
        if self._next != "^":
            return base
        self._take()
        return _power(base, self._read_bracket("{", "}", depth))

    def _read_atom(self, depth: int) -> Value:
        token = self._take()
        if token[0].isdigit() or token[0] == ".":
            return Fraction(token)
        if (constant := _CONSTANTS.get(token)) is not None:
            return constant
        if token.isalpha():
            return letter_value(token.lower())
        if token == r"\frac":
            top = self._read_bracket("{", "}", depth)
            return top / self._read_bracket("{", "}", depth)
        if token == r"\sqrt":
            degree = self._read_bracket("[", "]", depth) if self._next == "[" else Fraction(2)
            return _power(self._read_bracket("{", "}", depth), 1 / degree)
        if token in {"(", "{"}:
            self._position -= 1
            return self._read_bracket(token, {"(": ")", "{": "}"}[token], depth)
        raise _UnreadableError

    def _read_bracket(self, opening: str, closing: str, depth: int) -> Value:
        if self._take() != opening:
            raise _UnreadableError
        value = self.read_sum(depth + 1)
        if self._take() != closing:
            raise _UnreadableError
        return value

    def _read_sign(self) -> int:
        sign = 1
        while self._next in {"+", "-"}:
            sign = -sign if self._take() == "-" else sign
        return sign

    @property
    def _next(self) -> str:
        return "" if self.is_at_end else self._tokens[self._position]

    def _take(self) -> str:
        if self.is_at_end:
            raise _UnreadableError
        self._position += 1
        return self._tokens[self._position - 1]
