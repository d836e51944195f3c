"""Rows from local files: JSON lines, JSON, CSV, Parquet, Arrow, compressed or not; one, several by pattern, or a folder."""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import lzma
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from open_r1.data import rows as chunks
from open_r1.data.rows import Chunk, LineChunk, RowChunk, Rows, TableChunk, batch_rows, rows_a_chunk, text_rows
from open_r1.data.values import as_text, load_leniently, read_cell
from open_r1.errors import DataError
from open_r1.rundir import read_json

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
SPLITS = {
    "train": {"train", "training"},
    "validation": {"validation", "valid", "val", "dev"},
    "test": {"test", "testing", "eval", "evaluation"},
}
"""Split -> words of the names of its files."""

RECORDS = ("done.json", "identity.json", "provenance.json", "summary.json", "dataset_info.json", "dataset_infos.json")

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def format_of(path: Path) -> str | None:
    """The format of a file, by its suffix; None for an unknown one."""
    suffixes = path.suffixes[:-1] if path.suffix in COMPRESSIONS else path.suffixes
    return FORMATS.get(suffixes[-1]) if suffixes else None


def is_local_name(name: str) -> bool:
    """Whether a name that doesn't exist was meant as a path rather than as a Hub id."""
    return format_of(Path(name)) is not None or name.startswith((".", "/", "~"))


def find_files(name: str) -> list[Path]:
    """The files that a path or a pattern names, in the order of their names; none for a folder or a Hub id.

    What exists means itself: only what follows the last folder that exists is a pattern.
    """
    path = Path(name).expanduser()
    root = next(folder for folder in (path, *path.parents) if folder.exists())
    pattern = str(path.relative_to(root))
    found = (
        [path] if root == path else [root / one for one in sorted(glob.glob(pattern, root_dir=root, recursive=True))]
    )
    return [one for one in found if one.is_file()]


def is_pattern(name: str) -> bool:
    """Whether a name that doesn't exist is a pattern."""
    return any(mark in name for mark in "*?[")


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
        yield from read_csv(path) if format_of(path) == "csv" else read_lines(path)


def read_lines(path: Path) -> Iterator[Chunk]:
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
            names = reader.fieldnames or []
            if twice := [name for name in names if list(names).count(name) > 1]:
                raise DataError(f"'{path}' has two columns '{twice[0]}'; rename one of them in its first line.")
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
    import pyarrow as pa

    from open_r1.data.tables import join_schemas

    schemas = []
    for path in paths:
        with open_table(path) as (schema, _):
            schemas.append(schema)
    common = join_schemas(schemas)
    if pa.float32() in common.types:
        common = pa.schema([(one.name, pa.float64() if one.type == pa.float32() else one.type) for one in common])
    return Rows(name, tuple(common.names), partial(iterate_tables, paths, common), common)


def iterate_tables(paths: Sequence[Path], schema: pa.Schema, needed: tuple[str, ...]) -> Iterator[Chunk]:
    """The batches of Arrow and Parquet files as chunks of one schema."""
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
    """The splits of a folder as `datasets` has them."""
    import datasets

    splits = find_splits(path, config)
    if streaming:
        return datasets.IterableDatasetDict({n: load_files(str(path), f, streaming=True) for n, f in splits.items()})
    loaded = {}
    for name, files in splits.items():
        if all((file.parent / "state.json").exists() for file in files):  # mapped from where they are
            loaded[name] = datasets.concatenate_datasets([datasets.Dataset.from_file(str(file)) for file in files])
        else:
            loaded[name] = load_files(str(path), files)
    return datasets.DatasetDict(loaded)


def find_splits(path: Path, config: str | None = None) -> dict[str, list[Path]]:
    """The files of each split of a folder: one of save_to_disk, one whose card lists them, or one of files named after them.

    DataError where there are none.
    """
    if (path / "dataset_dict.json").exists():
        return {name: saved_files(path / name) for name in read_json(path / "dataset_dict.json")["splits"]}
    if (path / "state.json").exists():
        return {"train": saved_files(path)}
    listed = read_card(path, config)
    found = {name: match_files(path, patterns) for name, patterns in listed} if listed else name_splits(path)
    if not any(found.values()):
        names = ", ".join(sorted(item.name for item in path.iterdir())[:5]) or "nothing"
        raise DataError(
            f"folder '{path}' contains no data set that can be read (found {names}); give a folder of data files "
            f"({', '.join(FORMATS)}) or one written by save_to_disk."
        )
    return {name: files for name, files in found.items() if files}


def saved_files(path: Path) -> list[Path]:
    """The Arrow files that save_to_disk wrote, in their order."""
    return [path / file["filename"] for file in read_json(path / "state.json")["_data_files"]]


def read_card(path: Path, config: str | None) -> list[tuple[str, list[str]]]:
    """The splits and their patterns by the head of README.md; [] where it lists none. DataError for another `config`."""
    if not (path / "README.md").is_file():
        return []
    head = re.match(r"---\n(.*?)\n---", (path / "README.md").read_text("utf-8", "replace"), re.DOTALL)
    configs = {one["config_name"]: one for one in (yaml.safe_load(head[1]) or {}).get("configs", [])} if head else {}
    if config is not None and config not in configs:
        raise DataError(
            f"folder '{path}' has no configuration '{config}'; its README.md has: {', '.join(configs) or 'none'}."
        )
    default = [one for one in configs.values() if one.get("default")] or list(configs.values())[:1]
    files = (configs[config] if config is not None else default[0] if default else {}).get("data_files", [])
    if isinstance(files, list) and all(isinstance(one, dict) for one in files):
        return [(one["split"], one["path"] if isinstance(one["path"], list) else [one["path"]]) for one in files]
    return [("train", files if isinstance(files, list) else [files])]


def match_files(path: Path, patterns: Iterable[str]) -> list[Path]:
    """The files below a folder that match patterns."""
    found = (one for pattern in patterns for one in sorted(glob.glob(pattern, root_dir=path, recursive=True)))
    return [path / one for one in dict.fromkeys(found) if (path / one).is_file()]


def name_splits(path: Path) -> dict[str, list[Path]]:
    """The data files below a folder by the split that their name or folder begins or ends with; else all are `train`."""
    files = [one for one in match_files(path, ["**"]) if format_of(one) and one.name not in RECORDS]
    files = [one for one in files if not one.name.endswith(".steps.json")]
    splits: dict[str, list[Path]] = {}
    for file in files:
        words = re.split(r"[-._ /]", str(file.relative_to(path)).lower())
        named = [split for split, names in SPLITS.items() if not names.isdisjoint(words)]
        splits.setdefault(named[-1] if named else "train", []).append(file)
    return splits


def load_files(name: str, paths: Sequence[Path], *, streaming: bool = False) -> Any:
    """The rows of files as `datasets` has them."""
    from open_r1.data.tables import load_table

    rows = open_files(name, paths)
    if streaming:
        from datasets import IterableDataset

        return IterableDataset.from_generator(rows.read)
    return load_table(paths, rows)
