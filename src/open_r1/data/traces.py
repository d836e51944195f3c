"""The file of traces: a line per sample, appended as soon as it is there, repaired when it is opened.

A line begins with its key and counts, so that a file of any length is surveyed without parsing its texts:

    {"problem_id": …, "sample": 0, "prompt_tokens": …, "completion_tokens": …, "finish_reason": …, "completion": …,
     model, endpoint, seed, seconds, attempts, request_samples, and the problem's own columns}

A kill leaves whole lines and at most one torn last line, which is cut off when the file is next opened. `group_traces`
gives the form of the original's files: a line per problem, its samples in lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.data.columns import batch_rows
from open_r1.data.problems import Locator
from open_r1.data.values import dump, dump_row, load
from open_r1.errors import DataError, RunError
from open_r1.rundir import atomic_file
from open_r1.rundir.jsonl import BLOCK_BYTES, iter_lines

OWN_COLUMNS = """problem_id sample prompt_tokens completion_tokens finish_reason completion model endpoint seed seconds
attempts request_samples""".split()
"""Columns that a trace has; a problem's own column of such a name becomes `source_<name>`."""

HEAD = re.compile(
    rb'\{"problem_id": ?("(?:[^"\\]|\\.)*"), ?"sample": ?(\d+), ?'
    rb'"prompt_tokens": ?(\d+|null), ?"completion_tokens": ?(\d+|null), ?"finish_reason": ?"(\w+)"'
)
HEAD_KEYS = ("problem_id", "sample", "prompt_tokens", "completion_tokens", "finish_reason")
HEADS_AT_ONCE = 65536


@dataclass(frozen=True, slots=True)
class TraceHead:
    """What a line of a trace begins with."""

    problem_id: str
    sample: int
    prompt_tokens: int | None
    completion_tokens: int | None
    finish_reason: str


def read_head(line: bytes, where: str) -> TraceHead:
    """The head of a line. RunError when it is not a trace."""
    match = HEAD.match(line)
    if match and line.endswith(b"}\n"):
        name = match[1]
        problem_id = json.loads(name) if b"\\" in name else name[1:-1].decode("utf-8", "replace")
        return TraceHead(problem_id, int(match[2]), as_count(match[3]), as_count(match[4]), match[5].decode())
    try:
        row: Any = json.loads(line)
        values = [row[key] for key in HEAD_KEYS]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RunError(
            f"{where} is not a trace ({line[:60]!r}); remove that line, and its sample is generated again."
        ) from None
    return TraceHead(*values)


def read_heads(path: Path) -> Iterator[tuple[int, TraceHead]]:
    """Where each line of a file of traces begins, and its head. RunError for a line that is not a trace."""
    with path.open("rb", buffering=BLOCK_BYTES) as file:
        for line in iter_lines(file):
            yield line.start, read_head(line.content, f"{path}:{line.number}")


def as_count(digits: bytes) -> int | None:
    return None if digits == b"null" else int(digits)


def own_name(column: str) -> str:
    """What a problem's own column is called in a trace."""
    return f"source_{column}" if column in OWN_COLUMNS else column


def to_line(row: dict[str, Any], columns: bytes = b"") -> bytes:
    """A row as a line of JSON in UTF-8; `columns` is what `encode_columns` made."""
    head = dump(row)
    return b"%b,%b}\n" % (head[:-1], columns) if columns else head + b"\n"


def encode_columns(columns: dict[str, Any]) -> bytes:
    """A problem's own columns as the inside of a JSON object; NaN becomes null. DataError for what JSON can't express."""
    try:
        return dump({own_name(name): value for name, value in columns.items()})[1:-1]
    except TypeError as error:
        raise DataError(
            f"a column of the problems can't be written as JSON ({error}); leave it out with --columns."
        ) from None


def share_out(total: int | None, lengths: Sequence[int]) -> list[int | None]:
    """A count divided in proportion to `lengths`; the shares add up to it. None each where it is unknown."""
    if total is None:
        return [None] * len(lengths)
    if len(lengths) == 1:
        return [total]
    whole = sum(lengths) or len(lengths)
    shares: list[int | None] = []
    passed = given = 0
    for length in lengths:
        passed += length or (0 if sum(lengths) else 1)
        shares.append(total * passed // whole - given)
        given = total * passed // whole
    return shares


def locate_traces(path: Path, locator: Locator, count: int) -> Iterator[tuple[int, TraceHead, int]]:
    """Where each line begins, its head, and the place of its sample among all `count` per problem that are wanted.

    The place is -1 for a sample that is not wanted.
    """
    for batch in batch_rows(read_heads(path), lambda line: 0, HEADS_AT_ONCE, 1):
        ordinals = locator.find([head.problem_id for _, head in batch]).tolist()
        for (start, head), ordinal in zip(batch, ordinals, strict=True):
            yield start, head, ordinal * count + head.sample if ordinal >= 0 and head.sample < count else -1


Arrange = Callable[[Sequence[dict[str, Any]]], dict[str, Any]]
"""The samples of one problem, in order -> the columns to add to the problem's own."""


def group_traces(traces: Path, grouped: Path, arrange: Arrange) -> int:
    """Write a line for each problem that has a sample, in the order of their first samples; returns their number.

    Memory: some 200 bytes a sample, for where its line begins.
    """
    lines_of: dict[str, list[tuple[int, int]]] = {}
    for start, head in read_heads(traces):
        lines_of.setdefault(head.problem_id, []).append((head.sample, start))
    with atomic_file(grouped) as file, traces.open("rb") as source:
        for lines in lines_of.values():
            rows = []
            for _, start in sorted(lines):
                source.seek(start)
                rows.append(load(source.readline()))
            own = {name.removeprefix("source_"): rows[0][name] for name in rows[0] if name not in OWN_COLUMNS}
            file.write(dump_row(own | arrange(rows)) + b"\n")
    return len(lines_of)
