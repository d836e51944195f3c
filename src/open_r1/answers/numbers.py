r"""Exact reading of plain numbers: `-3`, `0.5`, `\frac{1}{2}`, `6\frac{1}{6}`, `50%`, `1.5\cdot10^{3}`, `1e-4`,
`0.1\overline{6}`.

Does: turn canonical text (see `latex.canonical`) into an exact fraction, without sympy. Does not: evaluate sums,
roots or anything else that has an operation to be done.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

MAX_DIGITS = 400
"""A longer numeral is not read as a number: exact arithmetic with it would cost more than it could tell."""

_DECIMAL = r"(?:\d+\.?\d*|\.\d+)"
_SIMPLE = re.compile(rf"(?P<sign>[-+]?)(?P<digits>{_DECIMAL})(?P<percent>%?)")
_FRACTION = re.compile(
    rf"(?P<sign>[-+]?)(?:(?P<whole>\d+)(?=\\))?"
    rf"(?:\\frac\{{(?P<top>[-+]?{_DECIMAL})\}}\{{(?P<bottom>[-+]?{_DECIMAL})\}}"
    rf"|(?P<plain_top>{_DECIMAL})/(?P<plain_bottom>{_DECIMAL}))(?P<percent>%?)"
)
_SCIENTIFIC = re.compile(
    rf"(?P<sign>[-+]?)(?:(?P<mantissa>{_DECIMAL})(?:\\cdot|[eE](?=[-+]?\d)))?"
    rf"(?:10\^\{{(?P<power>[-+]?\d+)\}}|(?<=[eE])(?P<exponent>[-+]?\d+))"
)
_REPEATING = re.compile(
    r"(?P<sign>[-+]?)(?P<digits>\d*\.\d*)\\(?:overline|bar|dot)\{?(?P<period>\d+)\}?(?P<percent>%?)"
)


@dataclass(frozen=True)
class Number:
    """A plain number; `decimals` is how many digits follow its point, None when it was not written as a decimal."""

    value: Fraction
    is_percent: bool = False
    decimals: int | None = None


@lru_cache(maxsize=65536)
def read_number(text: str) -> Number | None:
    """The number that canonical `text` is; None when it is anything else or has more than `MAX_DIGITS` digits."""
    if not 0 < len(text) <= MAX_DIGITS:
        return None
    if match := _SIMPLE.fullmatch(text):
        value = _signed(match["sign"], Fraction(match["digits"]))
        decimals = len(match["digits"].partition(".")[2]) or None
        return Number(value, bool(match["percent"]), decimals)
    if match := _REPEATING.fullmatch(text):
        return _read_repeating(match)
    if match := _FRACTION.fullmatch(text):
        return _read_fraction(match)
    if match := _SCIENTIFIC.fullmatch(text):
        return _read_scientific(match)
    return None


def _read_fraction(match: re.Match[str]) -> Number | None:
    top = Fraction(match["top"] or match["plain_top"])
    bottom = Fraction(match["bottom"] or match["plain_bottom"])
    if bottom == 0:
        return None
    value = int(match["whole"] or 0) + top / bottom
    return Number(_signed(match["sign"], value), bool(match["percent"]))


def _read_repeating(match: re.Match[str]) -> Number:
    digits, period = match["digits"], match["period"]
    scale = 10 ** len(digits.partition(".")[2])
    tail = Fraction(int(period), (10 ** len(period) - 1) * scale)
    return Number(_signed(match["sign"], Fraction(digits + "0") + tail), bool(match["percent"]))


def _read_scientific(match: re.Match[str]) -> Number | None:
    power = int(match["power"] or match["exponent"])
    if abs(power) > MAX_DIGITS:
        return None
    value = Fraction(match["mantissa"] or 1) * Fraction(10) ** power
    return Number(_signed(match["sign"], value))


def _signed(sign: str, value: Fraction) -> Fraction:
    return -value if sign == "-" else value


def are_equal(gold: Number, answer: Number) -> bool:
    """Whether two numbers are the same value.

    A percent sign is a unit: `50%` equals both `50` and `1/2`. A fraction with no finite decimal form also equals that
    fraction rounded or cut off after six or more decimals, as in `1/3` and `0.333333`; nothing else is rounded.
    """
    if gold.is_percent == answer.is_percent:
        return _same_value(gold, answer)
    percent, other = (gold, answer) if gold.is_percent else (answer, gold)
    return percent.value == other.value or percent.value / 100 == other.value


def _same_value(gold: Number, answer: Number) -> bool:
    if gold.value == answer.value:
        return True
    for exact, written in ((gold, answer), (answer, gold)):
        decimals = written.decimals or 0
        if exact.decimals is None and decimals >= 6 and _is_endless(exact.value):
            return written.value in _shortenings(exact.value, decimals)
    return False


def _shortenings(value: Fraction, decimals: int) -> set[Fraction]:
    """`value` rounded, and cut off, after so many decimals."""
    scaled = value * 10**decimals
    return {Fraction(whole, 10**decimals) for whole in (round(scaled), math.trunc(scaled))}


def _is_endless(value: Fraction) -> bool:
    """Whether the decimal expansion of `value` never ends: its denominator has a prime factor besides 2 and 5."""
    denominator = value.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator > 1
