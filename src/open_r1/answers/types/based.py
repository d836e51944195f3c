"""Numerals in a base: `101_2`, `(2021)_9`, `FF_{16}`, `101 base two`. The base may be left out and never be changed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError
from open_r1.answers.words import read_number_words

_INDEXED = re.compile(
    r"\(?(?P<digits>-?[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)\)?_\{?\(?\s*(?P<base>\d{1,2}|[a-z]{3,9})\s*\)?\}?"
)
_SAID = re.compile(r"(?P<digits>-?[0-9A-Fa-f]+)\s*\(?(?:in\s+)?base\s*(?P<base>\d{1,2}|[a-z-]{3,9})\)?")
_PREFIXED = re.compile(r"0(?P<mark>[xXbBoO])(?P<digits>[0-9A-Fa-f]+)")
_BARE = re.compile(r"\(?(-?[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)\)?")
_PREFIX_BASES = {"x": 16, "b": 2, "o": 8}
_NAMED_BASES = {"binary": 2, "octal": 8, "decimal": 10, "hex": 16}


@dataclass(frozen=True)
class Based:
    """Digits in a base; `is_literal` for `0b101`, which nothing without a base means."""

    digits: str
    base: int
    is_literal: bool = False


def read(text: str) -> Based | None:
    if match := _PREFIXED.fullmatch(text):
        return _checked(match["digits"], _PREFIX_BASES[match["mark"].lower()], is_literal=True)
    match = _INDEXED.fullmatch(text) or _SAID.fullmatch(text)
    if match is None or (len(match["digits"]) == 1 and not match["digits"].isdigit()):
        return None
    return _checked(match["digits"], _read_base(match["base"]))


def _read_base(text: str) -> int:
    named = read_number_words(text)
    return int(text) if text.isdigit() else _NAMED_BASES.get(text, int(named) if named else 0)


def _checked(digits: str, base: int, is_literal: bool = False) -> Based | None:
    """The numeral, when its digits are digits of its base."""
    if not 2 <= base <= 36:
        return None
    plain = digits.upper().lstrip("-").replace(".", "")
    return Based(_trimmed(digits), base, is_literal) if all(int(digit, 36) < base for digit in plain) else None


def _trimmed(digits: str) -> str:
    sign = "-" if digits.startswith("-") else ""
    return sign + (digits.upper().lstrip("-").lstrip("0") or "0")


def are_equal(gold: Based, answer: str, comparison: Comparison) -> bool:
    found = read(answer)
    if found is not None:
        return (found.digits, found.base) == (gold.digits, gold.base)
    match = _BARE.fullmatch(answer)
    if match is None:
        raise NotOfTypeError
    return not gold.is_literal and _trimmed(match[1]) == gold.digits


TYPE = AnswerType("numeral in a base", read, are_equal)
