"""Rows from local files: JSON lines, JSON, CSV, Parquet, Arrow, compressed or not; one, several by pattern, or a folder."""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import lzma
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.data import rows as chunks
from open_r1.data.rows import Chunk, LineChunk, RowChunk, Rows, TableChunk, batch_rows, rows_a_chunk, text_rows
from open_r1.data.values import as_text, load_leniently, read_cell
from open_r1.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
}
"""Suffix -> its format, as `datasets` calls it."""

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".lz4")  # compressions that are unpacked while a file is read
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def format_of(path: Path) -> str | None:
    """The format of a file, by its suffix; None for an unknown one."""
    suffixes = path.suffixes[:-1] if path.suffix in COMPRESSIONS else path.suffixes
    return FORMATS.get(suffixes[-1]) if suffixes else None


def is_local_name(name: str) -> bool:
    """Whether a name that doesn't exist was meant as a path rather than as a Hub id."""
    return format_of(Path(name)) is not None or name.startswith((".", "/", "~"))


def is_glob(name: str) -> bool:
    """Whether a name is a pattern."""
    return any(mark in name for mark in "*?[")


def find_files(name: str) -> list[Path]:
    """The files that a path or a pattern names, in the order of their names; none for a folder or a Hub id."""
    path = Path(name).expanduser()
    paths = [Path(found) for found in sorted(glob.glob(str(path), recursive=True))] if is_glob(name) else []
    return [found for found in ([path] if path.exists() else paths) if found.is_file()]


def open_files(name: str, paths: Sequence[Path]) -> Rows:
    """The rows of files, one after another. DataError for none, or for files of several formats."""
    if not paths:
        raise DataError(f"no file matches '{name}'; check the pattern (relative paths start at {Path.cwd()}).")
    formats = {format_of(path) for path in paths}
    known = f"known: {', '.join(FORMATS)}, also with {', '.join(COMPRESSIONS)}"
    if len(paths) == 1 and None in formats:
        raise DataError(f"data file '{paths[0]}' has an unknown format; {known}.")
    if len(formats) > 1 or None in formats:
        names = ", ".join(path.name for path in paths[:5])
        raise DataError(f"'{name}' matches files that don't have one known format ({names}); {known}.")
    if formats & {"json", "csv"}:
        return text_rows(name, partial(read_texts, paths), csv_text if "csv" in formats else as_text)
    return open_tables(name, paths)


@contextlib.contextmanager
def open_unpacked(path: Path) -> Iterator[Any]:
    """The bytes of a file, decompressed where its suffix says so, as a stream. DataError when it can't be read."""
    import pyarrow as pa

    try:
        with lzma.open(path) if path.suffix == ".xz" else pa.input_stream(str(path), compression="detect") as stream:
            yield stream
    except (pa.ArrowException, OSError, EOFError, lzma.LZMAError) as error:
        if path.suffix in COMPRESSIONS:
            raise DataError(f"'{path}' can't be decompressed: {error}; restore that file.") from None
        raise DataError(f"'{path}' can't be read: {error}; check its permissions.") from None


def csv_text(value: Any) -> str | None:
    """A value that `read_cell` read, as the cell was."""
    return None if value is None else str(value)


def read_texts(paths: Sequence[Path], needed: tuple[str, ...]) -> Iterator[Chunk]:
    """The rows of JSON or CSV files."""
    for path in paths:
        yield from read_csv(path) if format_of(path) == "csv" else read_json(path)


def read_json(path: Path) -> Iterator[Chunk]:
    """JSON lines in chunks that end at the end of a line; or one array of objects, which is read as a whole."""
    rest, num_lines = b"", 0
    with open_unpacked(path) as stream:
        block = stream.read(chunks.CHUNK_BYTES).removeprefix(BYTE_ORDER_MARK)
        if block.lstrip().startswith(b"[") and ".json" in path.suffixes:
            yield RowChunk(parse_array(path, block + stream.read()))
            return
        while block:
            whole, newline, rest = (rest + block).rpartition(b"\n")
            if newline:
                yield LineChunk(path, whole + newline, num_lines)
                num_lines += whole.count(b"\n") + 1
            block = stream.read(chunks.CHUNK_BYTES)
    if rest:
        yield LineChunk(path, rest, num_lines)


def parse_array(path: Path, content: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON array."""
    try:
        rows = load_leniently(content.decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"data file '{path}' is not JSON: {error}; fix the file.") from None
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            kind = type(row).__name__
            raise DataError(f"item {number} of '{path}' is a {kind}, not an object with columns; fix it.")
    return rows


def read_csv(path: Path) -> Iterator[Chunk]:
    """Rows of a CSV file whose first line names the columns."""
    csv.field_size_limit(sys.maxsize)  # a trace is longer than the 128 kB that are allowed otherwise
    with open_unpacked(path) as stream:
        reader = csv.DictReader(io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig", newline=""))
        try:
            for batch in batch_rows((read_record(path, reader, row) for row in reader), len, chunks.BATCH_ROWS):
                yield RowChunk(batch)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}:{reader.line_num} can't be read as CSV: {error}; fix that line.") from None


def read_record(path: Path, reader: csv.DictReader[str], row: dict[str, str]) -> dict[str, Any]:
    """A record of a CSV file, its cells as values."""
    if None in row:
        raise DataError(f"{path}:{reader.line_num} has more cells than there are columns; fix that line.")
    return {name: read_cell(cell or "") for name, cell in row.items()}


def open_tables(name: str, paths: Sequence[Path]) -> Rows:
    """The rows of Parquet or Arrow files."""
    from open_r1.data.tables import join_schemas

    schemas = []
    for path in paths:
        with open_table(path) as (schema, _):
            schemas.append(schema)
    common = join_schemas(schemas)
    return Rows(name, tuple(common.names), partial(iterate_tables, paths, common), common)


def iterate_tables(paths: Sequence[Path], schema: pa.Schema, needed: tuple[str, ...]) -> Iterator[Chunk]:
    import pyarrow as pa

    from open_r1.data.tables import fit

    for path in paths:
        with open_table(path) as (_, batches):
            for batch in batches:
                yield TableChunk(fit(pa.Table.from_batches([batch]), schema), needed)


@contextlib.contextmanager
def open_table(path: Path) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The schema of a Parquet or Arrow file, and its rows some at a time. DataError when it can't be read."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    source: Any = path
    if path.suffix in COMPRESSIONS:
        with open_unpacked(path) as stream:
            source = pa.BufferReader(stream.read())
    try:
        if format_of(path) == "parquet":
            file = ParquetFile(source)
            groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
            size = rows_a_chunk(sum(group.total_byte_size for group in groups), file.metadata.num_rows)
            yield file.schema_arrow, file.iter_batches(size, use_threads=False)
        else:
            mapped = pa.memory_map(str(path)) if source is path else source
            yield open_arrow(mapped)
    except (pa.ArrowException, OSError) as error:
        kind = str(format_of(path)).capitalize()
        raise DataError(f"'{path}' can't be read as {kind}: {error}; restore that file.") from None


def open_arrow(source: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """An Arrow file of either form: a stream, as `datasets` writes, or a file with a footer."""
    import pyarrow as pa

    try:
        stream = pa.ipc.open_stream(source)
        return stream.schema, (part for batch in stream for part in slice_batch(batch))
    except pa.ArrowInvalid:
        file = pa.ipc.open_file(source)
        batches = map(file.get_batch, range(file.num_record_batches))
        return file.schema, (part for batch in batches for part in slice_batch(batch))


def slice_batch(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in parts of the size of a chunk."""
    size = rows_a_chunk(batch.nbytes, batch.num_rows)
    return (batch.slice(start, size) for start in range(0, batch.num_rows, size))


def load_folder(path: Path, config: str | None, *, streaming: bool = False) -> Any:
    """The splits of a folder of data files, laid out as the Hub has them, or of one written by save_to_disk."""
    import datasets

    try:
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            saved: Any = datasets.load_from_disk(str(path))
            return as_stream(saved) if streaming else saved
        builder = datasets.load_dataset_builder(str(path), config, cache_dir=cache_of(path))
        files = {
            str(split): [Path(file) for file in found] for split, found in (builder.config.data_files or {}).items()
        }
        if all(format_of(file) for found in files.values() for file in found):
            kind = datasets.IterableDatasetDict if streaming else datasets.DatasetDict
            return kind({split: load_files(str(path), found, streaming=streaming) for split, found in files.items()})
        return datasets.load_dataset(str(path), config, streaming=streaming, cache_dir=cache_of(path))
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - each reader fails in its own way; all mean a broken folder
        found = ", ".join(sorted(item.name for item in path.iterdir())[:5]) or "nothing"
        raise DataError(
            f"folder '{path}' contains no data set that can be read (found {found}): {' '.join(str(error).split())}; "
            "give a folder of data files or one written by save_to_disk."
        ) from None


def load_files(name: str, paths: Sequence[Path], *, streaming: bool = False) -> Any:
    """The rows of files as `datasets` has them."""
    from open_r1.data.tables import load_table

    rows = open_files(name, paths)
    if streaming:
        from datasets import IterableDataset

        return IterableDataset.from_generator(rows.read)
    return load_table(paths, rows)


def cache_of(folder: Path) -> str:
    """Where `datasets` may keep what it made of a folder: a place for this content alone.

    The cache key of `datasets` for a folder whose card lists its files is the folder's name and the card: it would give
    back rows that were there before, or those of another folder of that name.
    """
    from datasets import config

    from open_r1.data.tables import identify

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return str(Path(config.HF_DATASETS_CACHE) / f"folder-{identify([folder, *files])}")


def as_stream(saved: Any) -> Any:
    from datasets import Dataset, IterableDatasetDict

    if isinstance(saved, Dataset):
        return saved.to_iterable_dataset()
    return IterableDatasetDict({name: rows.to_iterable_dataset() for name, rows in saved.items()})
