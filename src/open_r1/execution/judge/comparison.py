"""Whether a program's output is the expected output, in time linear in their size, and where they first differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from io import BytesIO
from itertools import zip_longest
from typing import Literal, get_args

from open_r1.errors import ConfigError

Mode = Literal["tokens", "lines", "exact", "numeric"]

MODES: tuple[Mode, ...] = get_args(Mode)

DEFAULT_TOLERANCE = 1e-9

_TOKEN = re.compile(rb"\S+")
_NUMBER = re.compile(rb"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,18})?|nan|inf(?:inity)?)", re.IGNORECASE)
_ARITHMETIC = Context(prec=60, Emax=10**18 - 1, Emin=1 - 10**18, traps=[])
"""Wide enough for 1e400, too narrow for a number of a million digits to cost more than reading it."""

_INTEGER = re.compile(rb"[+-]?\d+")

ROUNDS_TO_INTEGER = 0.49
"""The default tolerance never reaches from one integer to the next."""

SHOWN_BYTES = 40


@dataclass(frozen=True)
class Comparison:
    """How outputs are compared.

    Args:
        mode: "tokens": the words between white space, as most judges do it. "lines": line by line, but white space
            at a line's end and empty lines at the end don't count. "exact": every byte. "numeric": by tokens, of which
            those that are numbers may differ by a tolerance.
        absolute, relative: The tolerance: |actual - expected| ≤ max(absolute, relative · |expected|). Two integers are
            compared exactly. With the default tolerance, so is a number with a fraction that would round to another
            integer than the expected one.
        ignores_case: Letters of either case are the same.
    """

    mode: Mode = "tokens"
    absolute: float = DEFAULT_TOLERANCE
    relative: float = DEFAULT_TOLERANCE
    ignores_case: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"a comparison can't be by '{self.mode}'; choose one of {', '.join(MODES)}.")
        for name, value in (("absolute", self.absolute), ("relative", self.relative)):
            if not 0.0 <= value < float("inf"):
                raise ConfigError(f"a comparison's {name} tolerance must be a number from 0 up, got {value}.")

    def difference(self, expected: bytes, actual: bytes) -> str | None:
        """Where `actual` first differs from `expected`, in words; None where it is as good as equal."""
        if expected == actual:
            return None
        if self.ignores_case:
            expected, actual = _fold_case(expected), _fold_case(actual)
        if self.mode == "exact":
            return _first_difference("line", BytesIO(expected), BytesIO(actual), bytes.__eq__)
        if self.mode == "lines":
            return _first_difference("line", _lines(expected), _lines(actual), bytes.__eq__, filler=b"")
        are_alike = self._are_close if self.mode == "numeric" else bytes.__eq__
        return _first_difference("token", _tokens(expected), _tokens(actual), are_alike)

    def _are_close(self, expected: bytes, actual: bytes) -> bool:
        return expected == actual or are_close(expected, actual, self.absolute, self.relative)


def are_close(expected: bytes, actual: bytes, absolute: float, relative: float) -> bool:
    """Whether two numerals are within a tolerance of each other; False where either is not a numeral.

    Two integers are close only if they are equal, and from an integer the default relative tolerance never reaches the
    next one: 1000000006.0 is not 1000000007. Infinities are close to themselves, and what isn't a number to what isn't
    one. Takes time linear in the numerals' length, so a million digits cost no more than reading them.
    """
    if not (_NUMBER.fullmatch(expected) and _NUMBER.fullmatch(actual)):
        return False
    is_integer = _INTEGER.fullmatch(expected) is not None
    if is_integer and _INTEGER.fullmatch(actual):
        return _canonical_integer(expected) == _canonical_integer(actual)
    right, found = (_ARITHMETIC.create_decimal(numeral.decode("ascii")) for numeral in (expected, actual))
    if not (right.is_finite() and found.is_finite()):
        return (right.is_nan() and found.is_nan()) or bool(right.is_infinite() and right == found)
    distance = _ARITHMETIC.abs(_ARITHMETIC.subtract(found, right))
    reach = _ARITHMETIC.multiply(Decimal(relative), _ARITHMETIC.abs(right))
    if is_integer and relative <= DEFAULT_TOLERANCE:
        reach = min(reach, Decimal(ROUNDS_TO_INTEGER))
    return distance <= max(Decimal(absolute), reach)


def _canonical_integer(numeral: bytes) -> tuple[bool, bytes]:
    digits = numeral.lstrip(b"+-").lstrip(b"0")
    return numeral.startswith(b"-") and bool(digits), digits


def _tokens(output: bytes) -> Iterator[bytes]:
    return (match.group() for match in _TOKEN.finditer(output))


def _lines(output: bytes) -> Iterator[bytes]:
    """The lines without white space at their ends."""
    return (line.rstrip() for line in BytesIO(output))


def _first_difference(
    unit: str,
    expected: Iterable[bytes],
    actual: Iterable[bytes],
    are_alike: Callable[[bytes, bytes], bool],
    filler: bytes | None = None,
) -> str | None:
    for number, (right, found) in enumerate(zip_longest(expected, actual, fillvalue=filler), start=1):
        if right is None or found is None or not are_alike(right, found):
            return f"{unit} {number}: expected {_shown(right)}, got {_shown(found)}"
    return None


def _shown(part: bytes | None) -> str:
    if part is None:
        return "nothing"
    text = part[:SHOWN_BYTES].decode("utf-8", "replace")
    return f"{text!r}{'…' if len(part) > SHOWN_BYTES else ''}"


def _fold_case(output: bytes) -> bytes:
    """Letters in one case; bytes that are no UTF-8 stay what they are."""
    return output.decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")
