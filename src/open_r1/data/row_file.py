"""The file that kept rows go to: JSON lines or Parquet, by the name that it will have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from open_r1.data.rows import LINES, PARQUET, Changes, Chunk, LoadedRows, ParquetRows, Rows, TableChunk
from open_r1.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter


class RowFile:
    """Where rows go: JSON lines or Parquet, by the name of the file that it will be."""

    def __init__(self, file: IO[bytes], path: Path, rows: Rows, marks: Sequence[str] = ()) -> None:
        check_output(path, rows)
        self.file = file
        self.is_parquet = path.suffix == PARQUET
        self.schema = with_marks(rows.schema, marks) if isinstance(rows, ParquetRows | LoadedRows) else None
        self.writer: ParquetWriter | None = None

    def write(self, chunk: Chunk, changes: Changes) -> None:
        if not self.is_parquet:
            self.file.writelines(chunk.lines(changes))
            return
        assert isinstance(chunk, TableChunk), "check_output has seen to it"
        first = 0
        for table in chunk.tables():
            self._write_table(table, first, changes)
            first += table.num_rows

    def _write_table(self, table: pa.Table, first: int, changes: Changes) -> None:
        numbers = range(first, first + table.num_rows)
        for column, rows in changes.marks.items():
            table = table.append_column(column, [[number in rows for number in numbers]])
        if not changes.dropped.isdisjoint(numbers):
            table = table.filter([number not in changes.dropped for number in numbers])
        self._open().write_table(table.cast(self.schema))

    def _open(self) -> ParquetWriter:
        from pyarrow.parquet import ParquetWriter

        if self.writer is None:
            assert self.schema is not None, "check_output has seen to it"
            self.writer = ParquetWriter(self.file, self.schema, compression="zstd")
        return self.writer

    def close(self) -> None:
        """Finish the file; one of Parquet is a table also when no row was written."""
        if self.is_parquet:
            self._open().close()


def check_output(path: Path, rows: Rows) -> None:
    """ConfigError when the rows can't be written under that name."""
    if path.suffix not in (*LINES, PARQUET):
        raise ConfigError(f"--output {path} is of no known kind; end it in .jsonl or .parquet.")
    if path.suffix == PARQUET and rows.kind == "lines":
        raise ConfigError(f"--output {path}: rows of JSON lines are copied as they are; end it in .jsonl.")


def with_marks(schema: pa.Schema, marks: Sequence[str]) -> pa.Schema:
    """The schema with true-or-false columns added; without what `datasets` noted about it, where that isn't so any more."""
    import pyarrow as pa

    for column in marks:
        schema = schema.append(pa.field(column, pa.bool_()))
    return schema.remove_metadata() if marks else schema
