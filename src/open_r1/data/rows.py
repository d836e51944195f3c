"""Rows of a source in chunks that any process can read by itself: one pass, in order, in bounded memory.

Does: part JSON lines at line ends and Parquet files between row groups, by pattern too (`shards/*.jsonl`), so that what
passes between processes is a name and two numbers; read anything else through `sources`. Does not: depend on the number
of processes: where chunks end is a matter of the files alone. `row_file` writes what is kept.
"""

from __future__ import annotations

import glob
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from open_r1.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from pyarrow.parquet import ParquetFile

LINES = (".jsonl", ".ndjson")
UNPACKED = (".gz", ".bz2", ".zst", ".lz4")
"""Compressions that are unpacked while a file is read; others are left to `datasets`, which unpacks into its cache."""

PARQUET = ".parquet"

CHUNK_BYTES = 1 << 21
"""Of JSON lines: some 40 ms of work, beside which handing a chunk out is nothing. A longer line is a chunk of its own."""

_LONG_NUMBER = re.compile(rb"[:\[,]\s*-?\d{19}")
"""Perhaps an integer of more than 64 bits, which orjson would round."""

BLOCK_BYTES = 1 << 19
"""Of a chunk, read at a time: what stays in a processor's cache while it is looked through."""

GROUP_BYTES = 32 << 20
"""Of Parquet, before compression and with all columns; a larger row group is a chunk of its own."""

BATCH_ROWS = 256
"""Rows of a Parquet file that are read at a time."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Kind = Literal["lines", "tables"]


@dataclass(frozen=True)
class Changes:
    """What becomes of the rows of a chunk, by their numbers within it."""

    dropped: frozenset[int] = frozenset()
    marks: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Column to add -> the rows for which it is true."""


class Chunk(ABC):
    """Some successive rows of a source."""

    @abstractmethod
    def blocks(self, columns: Sequence[str]) -> Iterator[list[list[Any]]]:
        """The rows in blocks, each a list of values a column. DataError names the row that can't be read."""

    @abstractmethod
    def place(self, row: int) -> str:
        """Where row number `row` of the chunk is, for a message."""

    @abstractmethod
    def rows(self) -> Iterator[dict[str, Any]]:
        """Each row whole."""

    def lines(self, changes: Changes) -> Iterator[bytes]:
        """The rows that are left, as JSON lines."""
        for number, row in enumerate(self.rows()):
            if number not in changes.dropped:
                marks = {column: number in rows for column, rows in changes.marks.items()}
                yield json.dumps({**row, **marks}, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"


@dataclass(frozen=True)
class LineChunk(Chunk):
    """Lines of a JSON lines file, from byte `start` to byte `end`."""

    path: Path
    start: int
    end: int
    content: bytes | None = None
    """Of a compressed file, which can't be opened in the middle."""
    lines_before: int | None = None
    """None where they are counted when a message needs them."""

    def raw(self) -> bytes:
        """The bytes, without the mark that some editors put at a file's start."""
        if self.content is not None:
            return self.content
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.end - self.start).removeprefix(BYTE_ORDER_MARK if self.start == 0 else b"")

    def blocks(self, columns: Sequence[str]) -> Iterator[list[list[Any]]]:
        for rows in self._parse():
            yield [[row.get(column) for row in rows] for column in columns]

    def rows(self) -> Iterator[dict[str, Any]]:
        for rows in self._parse():
            yield from rows

    def _parse(self) -> Iterator[list[dict[str, Any]]]:
        lines = filled_lines(self.raw())
        step = max(1, len(lines) * BLOCK_BYTES // max(1, sum(map(len, lines))))
        for first in range(0, len(lines), step):
            yield self._parse_lines(lines[first : first + step], first)

    def _parse_lines(self, lines: list[bytes], first: int) -> list[dict[str, Any]]:
        try:
            rows = [(json if _LONG_NUMBER.search(line) else orjson).loads(line) for line in lines]
        except ValueError:
            rows = [self._parse_carefully(number, line) for number, line in enumerate(lines, first)]
        if not set(map(type, rows)) <= {dict}:
            number, row = next((number, row) for number, row in enumerate(rows, first) if not isinstance(row, dict))
            place, kind = self.place(number), type(row).__name__
            raise DataError(f"{place} is a {kind}, not an object with columns; mend that line.")
        return rows

    def _parse_carefully(self, number: int, line: bytes) -> Any:
        """What Python's own reader makes of a line: it knows NaN and half a surrogate pair, which orjson doesn't."""
        try:
            return json.loads(line.decode())
        except UnicodeDecodeError as error:
            raise DataError(f"{self.place(number)} is not UTF-8 text: {error.reason}; convert the file.") from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.place(number)} is not JSON: {error}; mend or remove that line.") from None

    def place(self, row: int) -> str:
        lines = enumerate(self.raw().split(b"\n"), start=1)
        number = [number for number, line in lines if line and not line.isspace()][row]
        before = count_lines(self.path, self.start) if self.lines_before is None else self.lines_before
        return f"{self.path}:{before + number}"

    def lines(self, changes: Changes) -> Iterator[bytes]:
        if changes.marks:
            yield from super().lines(changes)
        elif changes.dropped:
            lines = enumerate(filled_lines(self.raw()))
            kept = [line for number, line in lines if number not in changes.dropped]
            yield b"\n".join([*kept, b""])
        else:
            raw = self.raw()
            yield raw if not raw or raw.endswith(b"\n") else raw + b"\n"


def filled_lines(raw: bytes) -> list[bytes]:
    """The lines that hold a row, without their ends."""
    return [line for line in raw.split(b"\n") if line and not line.isspace()]


def count_lines(path: Path, end: int) -> int:
    """Lines of a file before byte `end`."""
    count = 0
    with path.open("rb") as file:
        while file.tell() < end:
            count += file.read(min(CHUNK_BYTES, end - file.tell())).count(b"\n")
    return count


class TableChunk(Chunk):
    """Rows that come as Arrow tables."""

    @abstractmethod
    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows, some hundred at a time; all columns unless named."""

    def rows(self) -> Iterator[dict[str, Any]]:
        for table in self.tables():
            yield from table.to_pylist()

    def blocks(self, columns: Sequence[str]) -> Iterator[list[list[Any]]]:
        for table in self.tables(columns):
            yield [table.column(column).to_pylist() for column in columns]


@dataclass(frozen=True)
class GroupChunk(TableChunk):
    """Row groups of a Parquet file, from `start` up to `end`."""

    path: Path
    start: int
    end: int
    first_row: int

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        import pyarrow as pa

        groups = list(range(self.start, self.end))
        wanted = None if columns is None else list(columns)
        try:
            for batch in open_parquet(self.path).iter_batches(BATCH_ROWS, groups, wanted, use_threads=False):
                yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"row groups {self.start} to {self.end - 1} of '{self.path}' can't be read: {error}; make that file anew."
            ) from None

    def place(self, row: int) -> str:
        return f"row {self.first_row + row} of '{self.path}'"


@dataclass(frozen=True)
class SliceChunk(TableChunk):
    """Rows of a loaded data set from `start` on; other processes get the columns that they need and no more."""

    name: str
    start: int
    columns: Mapping[str, list[Any]]
    table: pa.Table | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return SliceChunk, (self.name, self.start, self.columns)

    def blocks(self, columns: Sequence[str]) -> Iterator[list[list[Any]]]:
        yield [self.columns[column] for column in columns]

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        assert self.table is not None, "the whole rows stay in the process that loaded them"
        yield self.table if columns is None else self.table.select(list(columns))

    def place(self, row: int) -> str:
        return f"row {self.start + row} of data set '{self.name}'"


class Rows(ABC):
    """A source whose rows can be gone through."""

    kind: Kind

    def __init__(self, name: str, columns: Sequence[str]) -> None:
        self.name = name
        self.columns = tuple(columns)

    @abstractmethod
    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """All rows in order; `columns` are those whose `blocks` will be asked for."""


class LineRows(Rows):
    """JSON lines files, one after another."""

    kind = "lines"

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.paths = paths
        first = next((row for chunk in self.chunks(()) for row in chunk.rows()), None)
        if first is None:
            raise DataError(f"data file '{name}' holds no rows; give a file with at least one row.")
        super().__init__(name, list(first))

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        for path in self.paths:
            yield from split_compressed(path) if path.suffix in UNPACKED else split_lines(path)


class ParquetRows(Rows):
    """Parquet files of one schema, one after another."""

    kind = "tables"

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.schema = open_parquet(paths[0]).schema_arrow
        for path in paths[1:]:
            if open_parquet(path).schema_arrow.remove_metadata() != self.schema.remove_metadata():
                raise DataError(f"'{path}' has other columns than '{paths[0]}'; give files of one kind.")
        super().__init__(name, self.schema.names)

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        for path in self.paths:
            yield from split_groups(path)


class LoadedRows(Rows):
    """A data set that `datasets` has loaded: mapped from disk, not held in memory."""

    kind = "tables"

    def __init__(self, name: str, dataset: Dataset) -> None:
        self.dataset = dataset.with_format("arrow")
        self.schema = dataset.features.arrow_schema
        super().__init__(name, dataset.column_names)

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        width = max(1, self.dataset.data.nbytes // max(1, self.dataset.data.num_rows))
        step = max(1, CHUNK_BYTES // width)
        for start in range(0, len(self.dataset), step):
            table: Any = self.dataset[start : start + step]
            yield SliceChunk(self.name, start, table.select(list(columns)).to_pydict(), table)


def open_rows(name: str, config: str | None = None, split: str = "train") -> Rows:
    """The rows of a source. DataError when it is missing, broken or empty."""
    from open_r1.data.sources import load_splits
    from open_r1.data.sources.local import is_glob

    path = Path(name).expanduser()
    is_pattern = is_glob(name) and not path.exists()
    paths = [Path(found) for found in sorted(glob.glob(str(path), recursive=True))] if is_pattern else [path]
    try:
        if paths and all(path.is_file() and is_lines(path) for path in paths):
            return LineRows(name, paths)
        if paths and all(path.is_file() and path.suffix == PARQUET for path in paths):
            return ParquetRows(name, paths)
    except OSError as error:
        raise DataError(f"'{error.filename or name}' can't be read: {error.strerror or error}; mend that.") from None
    return LoadedRows(name, load_splits(name, config, split)[split])


def is_lines(path: Path) -> bool:
    """Whether a file's name says that it holds JSON lines, compressed or not."""
    return path.suffix in LINES or (path.suffix in UNPACKED and Path(path.stem).suffix in LINES)


def split_lines(path: Path) -> Iterator[LineChunk]:
    """A JSON lines file in chunks that end at the end of a line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = 0
        while start < size:
            file.seek(min(start + CHUNK_BYTES, size))
            file.readline()
            end = file.tell()
            yield LineChunk(path, start, end)
            start = end


def split_compressed(path: Path) -> Iterator[LineChunk]:
    """The same for a compressed file; its chunks carry their content."""
    import pyarrow as pa

    rest, num_lines = b"", 0
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            while block := stream.read(CHUNK_BYTES):
                whole, newline, rest = (rest + block).rpartition(b"\n")
                if newline:
                    yield LineChunk(path, 0, 0, whole + newline, num_lines)
                    num_lines += whole.count(b"\n") + 1
    except (pa.ArrowException, OSError, EOFError) as error:
        raise DataError(f"'{path}' can't be decompressed: {error}; make that file anew.") from None
    if rest:
        yield LineChunk(path, 0, 0, rest, num_lines)


def split_groups(path: Path) -> Iterator[GroupChunk]:
    """A Parquet file in runs of row groups."""
    metadata = open_parquet(path).metadata
    start = first_row = num_bytes = num_rows = 0
    for group in range(metadata.num_row_groups):
        num_bytes += metadata.row_group(group).total_byte_size
        num_rows += metadata.row_group(group).num_rows
        if num_bytes >= GROUP_BYTES or group == metadata.num_row_groups - 1:
            yield GroupChunk(path, start, group + 1, first_row)
            start, first_row = group + 1, first_row + num_rows
            num_bytes = num_rows = 0


@lru_cache(maxsize=2)
def open_parquet(path: Path) -> ParquetFile:
    """A Parquet file; the last ones stay open. DataError when it is none."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{path}' can't be read as Parquet: {error}; make that file anew.") from None
