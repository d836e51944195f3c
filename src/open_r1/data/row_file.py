"""Where kept rows and reports are written: JSON lines or Parquet, by the name of the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from open_r1.data.rows import Changes, Chunk, Rows, TableChunk
from open_r1.data.sources.local import find_files
from open_r1.errors import ConfigError, RunFolderError
from open_r1.rundir import atomic_file


@dataclass(frozen=True)
class Destination:
    """Where the results are written; None for nowhere."""

    output: Path | None = None
    report: Path | None = None
    marks: bool = False  # whether rows with hits are kept, and a column per set says which they are
    overwrite: bool = False  # whether files that exist are replaced


NOWHERE = Destination()


class RowFile:
    """Writes the rows that are kept to an open file, in the format that `path` names."""

    def __init__(self, file: IO[bytes], path: Path, rows: Rows, marks: Sequence[str] = ()) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        check_output(path, rows)
        self.file = file
        self.writer = self.schema = None
        if path.suffix == ".parquet" and rows.schema is not None:
            fields = [*rows.schema, *(pa.field(column, pa.bool_()) for column in marks)]
            self.schema = pa.schema(fields) if marks else rows.schema  # what `datasets` noted is of the old columns
            self.writer = ParquetWriter(file, self.schema, compression="zstd")

    def write(self, chunk: Chunk, changes: Changes) -> None:
        """Write the rows of a chunk that are kept."""
        if self.writer is None:
            self.file.writelines(chunk.lines(changes))
            return
        assert isinstance(chunk, TableChunk), "check_output has seen to it"
        table, numbers = chunk.table, range(chunk.table.num_rows)
        for column, rows in changes.marks.items():
            table = table.append_column(column, [[number in rows for number in numbers]])
        if changes.dropped:
            table = table.filter([number not in changes.dropped for number in numbers])
        self.writer.write_table(table.cast(self.schema))

    def close(self) -> None:
        """Finish the file; one of Parquet is a table also when no row was written."""
        if self.writer is not None:
            self.writer.close()


@contextlib.contextmanager
def open_results(
    destination: Destination, rows: Rows, marks: Sequence[str] = ()
) -> Iterator[tuple[IO[bytes] | None, RowFile | None]]:
    """The report and the file of rows, None where there is none; both appear when both are whole."""
    with contextlib.ExitStack() as stack:
        report = stack.enter_context(atomic_file(destination.report)) if destination.report else None
        output = None
        if destination.output:
            file = stack.enter_context(atomic_file(destination.output))
            output = RowFile(file, destination.output, rows, marks)
        yield report, output
        if output:
            output.close()


def check_output(path: Path, rows: Rows) -> None:
    """ConfigError when the rows can't be written under that name."""
    if path.suffix not in (".jsonl", ".ndjson", ".parquet"):
        raise ConfigError(f"--output {path} has an unknown format; end it in .jsonl or .parquet.")
    if path.suffix == ".parquet" and rows.schema is None:
        raise ConfigError(f"--output {path}: rows of JSON and CSV files are copied as they are; end it in .jsonl.")


def check_destination(destination: Destination, rows: Rows, marks: Sequence[str] = ()) -> None:
    """ConfigError, RunFolderError for results that can't be written where they are meant to go."""
    if destination.output:
        check_output(destination.output, rows)
    paths = [path.resolve() for path in (destination.output, destination.report) if path]
    if len(set(paths)) < len(paths):
        raise ConfigError(f"output and report are the same file ({paths[0]}); give them two names.")
    for path in paths:
        check_free(path, rows.name, destination.overwrite)
    for column in marks:
        if column in rows.columns:
            raise ConfigError(f"'{rows.name}' already has a column '{column}'; remove it, or drop rows instead.")


def check_free(path: Path, source: str, overwrite: bool) -> None:
    """ConfigError for a path that is among what is read; RunFolderError for a file that exists and must stay."""
    read = Path(source).expanduser()
    is_in_folder = read.is_dir() and path.resolve().parent == read.resolve()
    is_matched = not read.exists() and path.resolve().match(str(read.absolute()))
    if is_in_folder or is_matched or path.resolve() in {found.resolve() for found in find_files(source)}:
        raise ConfigError(f"'{source}' is what is read; write the result to another file.")
    if path.exists() and not overwrite:
        raise RunFolderError(f"'{path}' already exists; give another name, or replace it with --overwrite.")
