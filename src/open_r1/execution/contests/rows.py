"""Reading a row of a contest's data set: the values of the published columns, and what is wrong with one, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from open_r1.errors import DataError, nearest

Row = Mapping[str, Any]

BYTES_PER_MB = 1024 * 1024


class ProblemError(DataError):
    """A problem that can't be judged: its row or its tests are at fault, or its kind isn't supported.

    `reason` is a code in snake_case, for metrics.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class TestData:
    """A test's input and its expected output, line ends as LF."""

    __test__ = False  # not a test of pytest's

    input: bytes
    expected: bytes

    @property
    def size(self) -> int:
        """Bytes of the input and the expected output together."""
        return len(self.input) + len(self.expected)


def _need(record: Row, columns: Sequence[str], reason: str, owner: str, quote: str = "") -> None:
    """ProblemError unless all of these columns are there and not None."""
    for column in columns:
        if record.get(column) is None:
            found = sorted(str(name) for name, value in record.items() if value is not None)
            raise ProblemError(
                reason,
                f"{owner} has no {quote}{column}{quote}{nearest(column, found)} Found: {', '.join(found) or 'nothing'}.",
            )


def value_of(row: Row, column: str, problem: str) -> Any:
    """The value of a column that must be there and not be None."""
    _need(row, [column], "missing_column", f"problem '{problem}'")
    return row[column]


def positive_number(row: Row, column: str, problem: str) -> float:
    """A column that must hold a finite number above 0."""
    value = value_of(row, column, problem)
    number = number_or(row, column, 0.0)
    if number <= 0:
        raise ProblemError("bad_limit", f"problem '{problem}' has {column} = {value!r}; it must be a number above 0.")
    return number


def number_or(row: Row, column: str, default: float) -> float:
    """A column that may be missing, or hold no finite number."""
    try:
        number = float(row[column])
    except (KeyError, TypeError, ValueError):
        return default
    return number if math.isfinite(number) else default


def text_of(row: Row, column: str) -> str:
    """A column of text that may be missing; "" then."""
    return str(row.get(column) or "").strip()


def parse_test(record: Any, where: str, names: tuple[str, str] = ("input", "output")) -> TestData:
    """One test of a column or a file: a mapping with the two names, or a pair."""
    if isinstance(record, Mapping):
        _need(record, names, "bad_test", where, quote="'")
        return TestData(encode(record[names[0]]), encode(record[names[1]]))
    if isinstance(record, list | tuple) and len(record) == 2 and None not in record:
        return TestData(encode(record[0]), encode(record[1]))
    raise ProblemError("bad_test", f"{where} is {_kind(record)}; a test has '{names[0]}' and '{names[1]}'.")


def parse_tests(records: Any, where: str) -> list[TestData]:
    """A column of tests, as a list of them or as an object of lists; empty where it is None."""
    if records is None:
        return []
    if isinstance(records, Mapping) and records and all(isinstance(values, list) for values in records.values()):
        count = max(map(len, records.values()))
        columns = {key: [*values, *[None] * (count - len(values))] for key, values in records.items()}
        records = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if not isinstance(records, Iterable) or isinstance(records, str | bytes | Mapping):
        raise ProblemError("bad_test", f"{where} is {_kind(records)}, not a list of tests.")
    return [parse_test(record, f"{where}, test {number}") for number, record in enumerate(records, start=1)]


def encode(text: Any) -> bytes:
    """The text of a test as bytes, with line ends as LF: Codeforces' tests come with CRLF."""
    data = text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogatepass")
    return data.replace(b"\r\n", b"\n")


def _kind(value: Any) -> str:
    return f"{value!r:.60} ({type(value).__name__})"
