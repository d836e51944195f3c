"""Rows of any source, in order and in bounded memory: the one way in, for every part of the package that reads rows.

JSON lines and Parquet are read from the file itself, in chunks that any process can read on its own: what passes between
processes is a name and two numbers. CSV and JSON arrays are copied once into a table on the disk (`tables`); the rest is
what `datasets` loads. Every path keeps integers and text as the file has them (`values`). Where a chunk ends depends on
the files alone, never on the number of processes. `row_file` writes the rows that are kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.data.values import dump_row, load, load_leniently
from open_r1.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, IterableDataset
    from pyarrow.parquet import ParquetFile

LINES = (".jsonl", ".ndjson")
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".lz4")
"""Compressions that are unpacked while a file is read."""

PARQUET = ".parquet"

CHUNK_BYTES = 1 << 21
"""Size of a chunk of JSON lines: about 40 ms of work. A longer line is a chunk of its own."""

GROUP_BYTES = 32 << 20
"""Size of a chunk of Parquet, uncompressed, all columns counted; a larger row group is a chunk of its own."""

BATCH_ROWS = 256
"""Rows of a Parquet file or a stream that are read at a time."""

SAMPLED_ROWS = 1000
"""First rows of JSON lines whose keys are the columns: rows of JSON lines may differ."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Changes:
    """What happens to the rows of a chunk, by their numbers within it."""

    dropped: frozenset[int] = frozenset()
    marks: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Column to add -> the rows for which it is true."""


class Chunk(ABC):
    """Some successive rows of a source."""

    @abstractmethod
    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Each row: whole, or `columns` only, None for one that it lacks. DataError names a row that can't be read."""

    def lines(self, changes: Changes) -> Iterator[bytes]:
        """The rows that are kept, as JSON lines."""
        for number, row in enumerate(self.rows()):
            if number not in changes.dropped:
                marks = {column: number in rows for column, rows in changes.marks.items()}
                yield dump_row({**row, **marks}) + b"\n"


@dataclass(frozen=True)
class LineChunk(Chunk):
    """Lines of a JSON lines file, from byte `start` to byte `end`."""

    path: Path
    start: int
    end: int
    content: bytes | None = None
    """The lines themselves, of a compressed file: it can't be opened in the middle."""
    lines_before: int | None = None
    """Lines of the file before `start`; None where a message that needs them counts them."""

    def raw(self) -> bytes:
        """The bytes, without the mark that some editors put at a file's start."""
        if self.content is not None:
            return self.content
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.end - self.start).removeprefix(BYTE_ORDER_MARK if self.start == 0 else b"")

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(self.raw().split(b"\n"), start=1):
            if line and not line.isspace():
                row = self._parse(line, number)
                yield row if columns is None else {column: row.get(column) for column in columns}

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            row = load(line)
        except ValueError:
            row = self._parse_leniently(line, number)
        if not isinstance(row, dict):
            kind = type(row).__name__
            raise DataError(f"{self.place(number)} is a {kind}, not an object with columns; fix or remove that line.")
        return row

    def _parse_leniently(self, line: bytes, number: int) -> Any:
        try:
            return load_leniently(line.decode())
        except UnicodeDecodeError as error:
            raise DataError(f"{self.place(number)} is not UTF-8 text: {error.reason}; convert the file.") from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.place(number)} is not JSON: {error}; fix or remove that line.") from None

    def place(self, number: int) -> str:
        """File and line of line `number` of the chunk, counted from 1."""
        before = count_lines(self.path, self.start) if self.lines_before is None else self.lines_before
        return f"{self.path}:{before + number}"

    def lines(self, changes: Changes) -> Iterator[bytes]:
        """The rows that are kept, byte for byte where no column is added."""
        if changes.marks:
            yield from super().lines(changes)
            return
        filled = (line for line in self.raw().split(b"\n") if line and not line.isspace())
        for number, line in enumerate(filled):
            if number not in changes.dropped:
                yield line + b"\n"


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

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        for table in self.tables(columns):
            yield from table.to_pylist()


@dataclass(frozen=True)
class GroupChunk(TableChunk):
    """Row groups of a Parquet file, from `start` up to `end`."""

    path: Path
    start: int
    end: int

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        import pyarrow as pa

        groups = list(range(self.start, self.end))
        wanted = None if columns is None else list(columns)
        try:
            for batch in open_parquet(self.path).iter_batches(BATCH_ROWS, groups, wanted, use_threads=False):
                yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"row groups {self.start} to {self.end - 1} of '{self.path}' can't be read: {error}; restore that file."
            ) from None


@dataclass(frozen=True)
class SliceChunk(TableChunk):
    """Rows of a loaded data set; other processes get their `needed` columns."""

    table: pa.Table
    needed: tuple[str, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return RowChunk, (tuple(self.rows(self.needed)),)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        yield self.table if columns is None else self.table.select(list(columns))


@dataclass(frozen=True)
class RowChunk(Chunk):
    """Rows in memory, of a stream."""

    content: tuple[dict[str, Any], ...]

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        for row in self.content:
            yield row if columns is None else {column: row.get(column) for column in columns}


class Rows(ABC):
    """A source whose rows can be read, as often as needed; `schema` is its Arrow schema where it has one."""

    schema: pa.Schema | None = None

    def __init__(self, name: str, columns: Sequence[str]) -> None:
        self.name = name
        self.columns = tuple(columns)

    @abstractmethod
    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """All rows in order; `columns` are those that other processes will need."""

    def read(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Every row: whole, or with `columns` only."""
        for chunk in self.chunks(columns or ()):
            yield from chunk.rows(columns)


class LineRows(Rows):
    """JSON lines files, one after another."""

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.paths = paths
        super().__init__(name, ())
        self.columns = tuple({column: None for row in islice(self.read(), SAMPLED_ROWS) for column in row})
        if not self.columns:
            raise DataError(f"data file '{name}' contains no rows; give a file with at least one row.")

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        for path in self.paths:
            yield from split_lines(path)


class ParquetRows(Rows):
    """Parquet files of one schema, one after another."""

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.schema = schema = open_parquet(paths[0]).schema_arrow
        for path in paths[1:]:
            if open_parquet(path).schema_arrow.remove_metadata() != schema.remove_metadata():
                raise DataError(f"'{path}' has other columns than '{paths[0]}'; give files with the same columns.")
        super().__init__(name, schema.names)

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        for path in self.paths:
            yield from split_groups(path)


class LoadedRows(Rows):
    """A data set that `datasets` has loaded: it is mapped from the disk."""

    def __init__(self, name: str, dataset: Dataset) -> None:
        self.dataset = dataset.with_format("arrow")
        self.schema = dataset.features.arrow_schema
        super().__init__(name, dataset.column_names)

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        width = max(1, self.dataset.data.nbytes // max(1, self.dataset.data.num_rows))
        for table in self.dataset.iter(max(1, CHUNK_BYTES // width)):
            yield SliceChunk(table, tuple(columns))  # pyright: ignore[reportArgumentType]


class StreamRows(Rows):
    """A data set that is read from the Hub while its rows are used; no copy is kept."""

    def __init__(self, name: str, dataset: IterableDataset) -> None:
        self.dataset = dataset
        super().__init__(name, list(dataset.column_names or next(iter(dataset), {})))

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        stream = iter(self.dataset)
        while rows := tuple(islice(stream, BATCH_ROWS)):
            yield RowChunk(rows)


def is_lines(path: Path) -> bool:
    """Whether a file has a name of JSON lines, compressed or not."""
    return path.suffix in LINES or (path.suffix in COMPRESSIONS and Path(path.stem).suffix in LINES)


def open_unpacked(path: Path) -> Any:
    """The bytes of a file, decompressed where its suffix says so, as a stream."""
    import lzma

    import pyarrow as pa

    return lzma.open(path) if path.suffix == ".xz" else pa.input_stream(str(path), compression="detect")


def split_lines(path: Path) -> Iterator[LineChunk]:
    """A JSON lines file in chunks that end at the end of a line."""
    if path.suffix in COMPRESSIONS:
        yield from split_compressed(path)
        return
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
    """The same for a compressed file; its chunks contain their lines."""
    import lzma

    import pyarrow as pa

    rest, num_lines = b"", 0
    try:
        with open_unpacked(path) as stream:
            while block := stream.read(CHUNK_BYTES):
                whole, newline, rest = (rest + block).rpartition(b"\n")
                if newline:
                    yield LineChunk(path, 0, 0, whole + newline, num_lines)
                    num_lines += whole.count(b"\n") + 1
    except (pa.ArrowException, OSError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"'{path}' can't be decompressed: {error}; restore that file.") from None
    if rest:
        yield LineChunk(path, 0, 0, rest, num_lines)


def split_groups(path: Path) -> Iterator[GroupChunk]:
    """A Parquet file in runs of row groups."""
    metadata = open_parquet(path).metadata
    start = num_bytes = 0
    for group in range(metadata.num_row_groups):
        num_bytes += metadata.row_group(group).total_byte_size
        if num_bytes >= GROUP_BYTES or group == metadata.num_row_groups - 1:
            yield GroupChunk(path, start, group + 1)
            start, num_bytes = group + 1, 0


@lru_cache(maxsize=2)
def open_parquet(path: Path) -> ParquetFile:
    """A Parquet file; the last two stay open. DataError when it is not one."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{path}' can't be read as Parquet: {error}; restore that file.") from None
