"""Reading a row of a contest's data set: the values of the published columns, what is wrong with one, and its limits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from open_r1.errors import nearest
from open_r1.execution.judge.results import ProblemError
from open_r1.execution.programs import Limits

Row = Mapping[str, Any]

BYTES_PER_MB = 1024 * 1024


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


MAX_TIME_S = 120.0
MIN_MEMORY_MB, MAX_MEMORY_MB = 32, 8192
"""A provider counts a program's libraries too, which contests don't."""

WALL_FACTOR, WALL_EXTRA_S = 2.0, 3.0
"""Time limits are of CPU time, which a busy machine doesn't stretch. Waiting ends after so much more on the clock."""

DISK_MB = 16
OUTPUT_FACTOR, OUTPUT_EXTRA_KB = 2, 4096


def contest_limits(time_s: float, memory_mb: float, test: TestData) -> Limits:
    """The limits of one test: those of the problem, and room for its input and for outputs like the expected one."""
    time_s = min(time_s, MAX_TIME_S)
    output_kb = OUTPUT_FACTOR * len(test.expected) // 1024 + OUTPUT_EXTRA_KB
    return Limits(
        wall_s=WALL_FACTOR * time_s + WALL_EXTRA_S,
        cpu_s=time_s,
        memory_mb=math.ceil(min(max(memory_mb, MIN_MEMORY_MB), MAX_MEMORY_MB)),
        output_kb=output_kb,
        disk_mb=DISK_MB + test.size // BYTES_PER_MB + output_kb // 1024,
    )
