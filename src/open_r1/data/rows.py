"""Rows of any source, in order and in bounded memory: the one way in, for every part of the package that reads rows.

A source gives chunks, which any process can work on. JSON, CSV, Parquet and Arrow are read by `sources.local`, the rest is
what `datasets` loads; every value is what the file says. Where a chunk ends depends on the files alone, never on the number
of processes. `row_file` writes the rows that are kept.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.data.values import as_text, dump_row, load, load_leniently
from open_r1.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_BYTES = 1 << 21  # size of a chunk: about 40 ms of work. A longer line is a chunk of its own.
BATCH_ROWS = 256  # rows of a stream that are read at a time


@dataclass(frozen=True)
class Changes:
    """What happens to the rows of a chunk, by their numbers within it: some are dropped, or all get columns of marks."""

    dropped: frozenset[int] = frozenset()
    marks: Mapping[str, frozenset[int]] = field(default_factory=dict)  # column to add -> the rows for which it is true


class Chunk(ABC):
    """Some successive rows of a source."""

    @abstractmethod
    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Each row: whole, or `columns` only, None for one that it lacks. DataError names a row that can't be read."""

    @abstractmethod
    def count(self) -> int:
        """How many rows it has."""

    @abstractmethod
    def part(self, first: int, end: int) -> Chunk:
        """Its rows from `first` to before `end`."""

    def lines(self, changes: Changes) -> Iterator[bytes]:
        """The rows that are kept, as JSON lines."""
        for number, row in enumerate(self.rows()):
            if number not in changes.dropped:
                marks = {column: number in rows for column, rows in changes.marks.items()}
                yield dump_row({**row, **marks}) + b"\n"


@dataclass(frozen=True)
class LineChunk(Chunk):
    """Whole lines of a JSON lines file, after `lines_before` others."""

    path: Path
    content: bytes
    lines_before: int

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Each row, or its named columns with None for those it lacks; DataError for a line that is not JSON."""
        for number, line in enumerate(self.content.split(b"\n"), start=self.lines_before + 1):
            if line and not line.isspace():
                row = self._parse(line, f"{self.path}:{number}")
                yield row if columns is None else {column: row.get(column) for column in columns}

    def count(self) -> int:
        return sum(1 for line in self.content.split(b"\n") if line and not line.isspace())

    def part(self, first: int, end: int) -> LineChunk:
        lines = self.content.split(b"\n")
        filled = [number for number, line in enumerate(lines) if line and not line.isspace()][first:end]
        start, stop = (filled[0], filled[-1] + 1) if filled else (0, 0)
        return LineChunk(self.path, b"\n".join(lines[start:stop]), self.lines_before + start)

    def _parse(self, line: bytes, where: str) -> dict[str, Any]:
        try:
            row = load(line)
        except ValueError:
            try:
                row = load_leniently(line.decode())
            except UnicodeDecodeError as error:
                raise DataError(f"{where} is not UTF-8 text: {error.reason}; convert the file.") from None
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where} is not JSON: {error}; fix or remove that line.") from None
        if not isinstance(row, dict):
            kind = type(row).__name__
            raise DataError(f"{where} is a {kind}, not an object with columns; fix or remove that line.")
        return row

    def lines(self, changes: Changes) -> Iterator[bytes]:
        """The rows that are kept, byte for byte where no column is added."""
        if changes.marks:
            yield from super().lines(changes)
            return
        filled = (line for line in self.content.split(b"\n") if line and not line.isspace())
        yield from (line + b"\n" for number, line in enumerate(filled) if number not in changes.dropped)


@dataclass(frozen=True)
class RowChunk(Chunk):
    """Rows in memory."""

    content: Sequence[dict[str, Any]]

    def count(self) -> int:
        return len(self.content)

    def part(self, first: int, end: int) -> RowChunk:
        return RowChunk(self.content[first:end])

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        for row in self.content:
            yield row if columns is None else {column: row.get(column) for column in columns}


@dataclass(frozen=True)
class TableChunk(Chunk):
    """Rows that come as an Arrow table; other processes get their `needed` columns."""

    table: pa.Table
    needed: tuple[str, ...]

    def count(self) -> int:
        return self.table.num_rows

    def part(self, first: int, end: int) -> TableChunk:
        return TableChunk(self.table.slice(first, end - first), self.needed)

    def __reduce__(self) -> tuple[Any, ...]:
        return RowChunk, (tuple(self.rows(self.needed)),)

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Each row with its JSON columns read, or the named columns alone."""
        table = self.table if columns is None else self.table.select(list(columns))
        of_json = [field.name for field in table.schema if getattr(field.type, "extension_name", "") == "arrow.json"]
        for row in table.to_pylist():
            yield row | {name: load_leniently(row[name]) for name in of_json if row[name] is not None}


Iterate = Callable[[tuple[str, ...]], Iterator[Chunk]]
"""All chunks of a source in order, made for other processes that need some of its columns."""


@dataclass(frozen=True)
class Rows:
    """A source whose rows can be read, as often as needed; `schema` is its Arrow schema where it has one.

    Of a shard, `first` is the number of its first row in the source.
    """

    name: str
    columns: tuple[str, ...]
    iterate: Iterate = field(repr=False)
    schema: pa.Schema | None = None
    to_text: Callable[[Any], str | None] = as_text  # A value as the file writes it
    first: int | None = None

    def chunks(self, needed: Sequence[str] = ()) -> Iterator[Chunk]:
        """All rows in order; `needed` are the columns that other processes will need."""
        return self.iterate(tuple(needed))

    def read(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Every row: whole, or with `columns` only."""
        for chunk in self.chunks():
            yield from chunk.rows(columns)


def text_rows(name: str, iterate: Iterate, to_text: Callable[[Any], str | None]) -> Rows:
    """Rows without a schema, whose columns are the keys of all rows. DataError where there are none."""
    rows = Rows(name, (), iterate, to_text=to_text)
    columns = tuple(dict.fromkeys(column for row in rows.read() for column in row))
    if not columns:
        raise DataError(f"data file '{name}' contains no rows; give a file with at least one row.")
    return replace(rows, columns=columns)


def loaded_rows(name: str, dataset: Any) -> Rows:
    """Rows of what `datasets` has loaded: a table that is mapped from the disk, or a stream."""
    if not hasattr(dataset, "data"):
        return Rows(name, tuple(dataset.column_names or next(iter(dataset), {})), partial(_iterate_stream, dataset))
    schema = dataset.features.arrow_schema
    return Rows(name, tuple(dataset.column_names), partial(_iterate_table, dataset.with_format("arrow")), schema)


def _iterate_stream(dataset: Any, needed: tuple[str, ...]) -> Iterator[Chunk]:
    yield from map(RowChunk, batch_rows(dataset, len, BATCH_ROWS))


def _iterate_table(dataset: Any, needed: tuple[str, ...]) -> Iterator[Chunk]:
    for table in dataset.iter(rows_a_chunk(dataset.data.nbytes, dataset.data.num_rows)):
        yield TableChunk(table, needed)


def rows_a_chunk(num_bytes: int, num_rows: int) -> int:
    """How many rows of a table of a size make a chunk."""
    return max(1, CHUNK_BYTES // max(1, num_bytes // max(1, num_rows)))


def batch_rows(
    rows: Iterable[Any], size_of: Callable[[Any], int], max_rows: int, max_size: float = math.inf
) -> Iterator[list[Any]]:
    """Rows in batches of at most `max_rows` that end with the row that reaches `max_size` by `size_of`."""
    batch: list[Any] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += size_of(row)
        if len(batch) >= max_rows or size >= max_size:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
