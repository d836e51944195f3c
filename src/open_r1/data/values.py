"""Values of text formats as the file writes them: JSON and CSV in, JSON out.

Guarantees: integers of any length and decimals of any precision keep every digit, and text stays text, never a date.
`str` of a value is what the file says, so that a gold answer stays what the file says.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

LONG_NUMBER = re.compile(rb"(?:^|[:\[,])\s*-?\d[\d.]{16}")
"""Perhaps a number with more digits than 64 bits can represent, which orjson would round."""

INTEGER_LIMIT = 2**63
FLOAT_DIGITS = 16  # A decimal of at most so many characters survives the way through a 64-bit float


class LongInteger(int):
    """An integer beyond 64 bits; `dump` writes it whole."""


class LongDecimal(float):
    """A decimal with more digits than a float has; `str` and `dump` give it as the file has it."""

    def __new__(cls, text: str | float) -> LongDecimal:
        value = super().__new__(cls, text)
        value.text = str(text)  # pyright: ignore[reportAttributeAccessIssue]
        return value

    def __str__(self) -> str:
        return self.text  # pyright: ignore[reportAttributeAccessIssue]


def read_integer(text: str) -> int:
    """An integer of any length."""
    value = int(text)
    return value if -INTEGER_LIMIT <= value < INTEGER_LIMIT else LongInteger(value)


def read_decimal(text: str) -> float:
    """A decimal that keeps its digits."""
    return float(text) if len(text) <= FLOAT_DIGITS and math.isfinite(float(text)) else LongDecimal(text)


def load(line: bytes) -> Any:
    """The value of a piece of JSON. ValueError when it is not JSON that orjson knows (see `load_leniently`)."""
    value = orjson.loads(line)
    return load_leniently(line.decode()) if _may_be_rounded(value) and LONG_NUMBER.search(line) else value


def _may_be_rounded(value: Any) -> bool:
    """Whether a number in it may have lost digits: a float, or an integer beyond 64 bits. Cheaper than the text's search."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, float) or (isinstance(value, int) and not -INTEGER_LIMIT <= value < INTEGER_LIMIT):
            return True
    return False


def load_leniently(text: str) -> Any:
    """The same by Python's reader, which also knows NaN and half of a surrogate pair. ValueError, RecursionError."""
    return json.loads(text, parse_int=read_integer, parse_float=read_decimal)


def read_cell(text: str) -> Any:
    """A cell of a CSV file: a number or truth value where that is written back as the same text, None for "", else text."""
    if text in ("", "True", "False"):
        return None if text == "" else text == "True"
    for read in (read_integer, float):
        try:
            value = read(text)
        except ValueError:
            continue
        if str(value) == text and math.isfinite(value):
            return value
    return text


def dump(value: Any) -> bytes:
    """A value as JSON in UTF-8, long numbers whole. TypeError for what JSON can't express; NaN becomes null."""
    return orjson.dumps(
        value, default=_dump_number, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_SUBCLASS
    )


def dump_row(row: Mapping[str, Any]) -> bytes:
    """A row as JSON in UTF-8, whatever it contains: what `dump` refuses is written as text."""
    try:
        return dump(row)
    except (TypeError, ValueError):
        return json.dumps(row, ensure_ascii=False, default=str).encode("utf-8", "replace")


def hash_text(text: str) -> int:
    """64 bits of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def as_text(value: Any) -> str | None:
    """A value of JSON as the text that the file has for it; None for null."""
    return value if value is None or isinstance(value, str) else dump(value).decode()


def _dump_number(value: Any) -> orjson.Fragment:
    if isinstance(value, LongInteger | LongDecimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} is not JSON")
