"""A trace as a line of its file: what stands in it, and which of the wanted samples it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from open_r1.data.trace_file import TraceHead
from open_r1.data.trace_problems import Locator
from open_r1.errors import DataError

OWN_COLUMNS = """problem_id sample prompt_tokens completion_tokens finish_reason completion model endpoint seed seconds
attempts request_samples""".split()
"""Columns that we write; a problem's own column of such a name becomes `source_<name>`."""

HEADS_AT_ONCE = 65536


def own_name(column: str) -> str:
    return f"source_{column}" if column in OWN_COLUMNS else column


def to_line(row: dict[str, Any], columns: bytes = b"") -> bytes:
    """A row as a line of JSON in UTF-8; `columns` is what `encode_columns` made."""
    head = orjson.dumps(row)
    return b"%b,%b}\n" % (head[:-1], columns) if columns else head + b"\n"


def encode_columns(columns: dict[str, Any]) -> bytes:
    """A problem's own columns as the inside of a JSON object; numbers that JSON lacks become null.

    DataError for a value that JSON can't hold.
    """
    named = {own_name(name): value for name, value in columns.items()}
    try:
        return orjson.dumps(named, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    except TypeError as error:
        raise DataError(
            f"a column of the problems can't be written as JSON ({error}); leave it out with --columns."
        ) from None


def share_out(total: int | None, lengths: Sequence[int]) -> list[int | None]:
    """A count divided by length, adding up to the whole; Nones for an unknown one."""
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


def place_of(heads: Sequence[TraceHead], locator: Locator, count: int) -> Sequence[int]:
    """Where each sample stands among all that are wanted, -1 for those that are not."""
    ordinals = locator.find([head.problem_id for head in heads])
    return [
        int(ordinal) * count + head.sample if ordinal >= 0 and head.sample < count else -1
        for ordinal, head in zip(ordinals, heads, strict=True)
    ]


def in_batches(heads: Iterator[TraceHead], size: int) -> Iterator[list[TraceHead]]:
    batch: list[TraceHead] = []
    for head in heads:
        batch.append(head)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
