"""The file of traces: a line per sample, appended as soon as it is there, repaired when it is opened.

    {"problem_id": …, "sample": 0, "prompt_tokens": …, "completion_tokens": …, "finish_reason": …, "completion": …,
     model, endpoint, seed, seconds, attempts, request_samples, and the problem's own columns}

`group_traces` gives the form of the original's files: a line per problem, its samples in lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from open_r1.data.problems import Locator
from open_r1.data.rows import batch_rows
from open_r1.data.values import dump, dump_row, load
from open_r1.errors import DataError, RunError
from open_r1.rundir import atomic_file
from open_r1.rundir.jsonl import BLOCK_BYTES, iter_lines

OWN_COLUMNS = """problem_id sample prompt_tokens completion_tokens finish_reason completion model endpoint seed seconds
attempts request_samples""".split()
"""Columns that a trace has; a problem's own column of such a name becomes `source_<name>`."""

HEADS_AT_ONCE = 65536


class TraceHead(NamedTuple):
    """What a trace is, without its text."""

    problem_id: str
    sample: int
    prompt_tokens: int | None
    completion_tokens: int | None
    finish_reason: str


def read_heads(path: Path) -> Iterator[tuple[int, TraceHead]]:
    """Where each line of a file of traces begins, and its head. RunError for a line that is not a trace."""
    with path.open("rb", buffering=BLOCK_BYTES) as file:
        for line in iter_lines(file):
            try:
                row: Any = json.loads(line.content)
                yield line.start, TraceHead(*(row[key] for key in TraceHead._fields))
            except (ValueError, KeyError, TypeError, RecursionError):
                raise RunError(
                    f"{path}:{line.number} is not a trace ({line.content[:60]!r}); remove that line, and its sample is "
                    "generated again."
                ) from None


def to_line(trace: Mapping[str, Any], columns: Mapping[str, Any]) -> bytes:
    """A trace with its problem's own columns as a line of JSON. DataError for what JSON can't express; NaN is null."""
    own = {f"source_{name}" if name in OWN_COLUMNS else name: value for name, value in columns.items()}
    try:
        return dump({**trace, **own}) + b"\n"
    except TypeError as error:
        raise DataError(
            f"a column of the problems can't be written as JSON ({error}); leave it out with --columns."
        ) from None


def share_out(total: int | None, lengths: Sequence[int]) -> list[int | None]:
    """A count divided in proportion to `lengths`; the shares add up to it. None each where it is unknown."""
    if total is None:
        return [None] * len(lengths)
    weights = lengths if any(lengths) else [1] * len(lengths)
    ends = [total * passed // sum(weights) for passed in accumulate(weights)]
    return [end - start for start, end in pairwise([0, *ends])]


def locate_traces(path: Path, locator: Locator, count: int) -> Iterator[tuple[int, TraceHead, int]]:
    """Where each line begins, its head, and the place of its sample among all `count` per problem that are wanted.

    The place is -1 for a sample that is not wanted.
    """
    for batch in batch_rows(read_heads(path), len, HEADS_AT_ONCE):
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
