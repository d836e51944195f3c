"""Rows from local files: JSON lines, JSON, CSV, Parquet, Arrow, compressed or not; one, several by pattern, or a folder."""

from __future__ import annotations

import csv
import glob
import hashlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from open_r1.data.rows import COMPRESSIONS, is_lines, open_unpacked, split_lines
from open_r1.data.values import as_text, load_leniently, read_cell
from open_r1.errors import DataError

FORMATS = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
}
"""Suffix -> its format, as `datasets` calls it."""

CSV_ROWS = 1000
"""Rows of a CSV file that are read at a time."""

Batch = list[dict[str, Any]]


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


def load_files(name: str, *, streaming: bool = False) -> Any:
    """The rows of the files that a path or a pattern names. DataError for none, or for files of several formats."""
    paths = find_files(name)
    if not paths:
        raise DataError(f"no file matches '{name}'; check the pattern (relative paths start at {Path.cwd()}).")
    formats = {format_of(path) for path in paths}
    known = f"known: {', '.join(FORMATS)}, also with {', '.join(COMPRESSIONS)}"
    if len(paths) == 1 and None in formats:
        raise DataError(f"data file '{paths[0]}' has an unknown format; {known}.")
    if len(formats) > 1 or None in formats:
        names = ", ".join(path.name for path in paths[:5])
        raise DataError(f"'{name}' matches files that don't have one known format ({names}); {known}.")
    return load_paths(paths, streaming)


def load_paths(paths: Sequence[Path], streaming: bool = False) -> Any:
    """One table of the rows of files of one format. DataError names the file that is empty or broken."""
    try:
        for path in paths:
            with path.open("rb") as file:
                if not file.read(1):
                    raise DataError(f"data file '{path}' is empty; give a file with at least one row.")
    except OSError as error:
        raise DataError(f"data file '{path}' can't be read: {error.strerror}; change its permissions.") from None
    format = str(format_of(paths[0]))
    loaded = load_text(paths, format, streaming) if format in ("json", "csv") else load_arrow(paths, format, streaming)
    if not streaming and not len(loaded):
        raise DataError(f"data file '{paths[0]}' contains no rows; give a file with at least one row.")
    return loaded


def load_arrow(paths: Sequence[Path], format: str, streaming: bool) -> Any:
    """The rows of Parquet or Arrow files. DataError for a broken file."""
    import datasets

    files = [str(path) for path in paths]
    try:
        return datasets.load_dataset(format, data_files=files, split="train", streaming=streaming)
    except Exception as error:  # noqa: BLE001 - each reader fails in its own way; all mean a broken file
        cause = " ".join(str(error.__cause__ or error).split())
        raise DataError(f"data file '{paths[0]}' can't be read as {format}: {cause}; restore the file.") from None


def load_text(paths: Sequence[Path], format: str, streaming: bool) -> Any:
    """The rows of JSON or CSV files, numbers and text whole."""
    from datasets import IterableDataset

    from open_r1.data.tables import load_table

    if streaming:
        return IterableDataset.from_generator(read_one_by_one, gen_kwargs={"paths": list(paths)})
    return load_table(paths, partial(read_batches, paths), csv_text if format == "csv" else as_text)


def csv_text(value: Any) -> str | None:
    """A value that `read_cell` read, as the cell was."""
    return None if value is None else str(value)


def read_one_by_one(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for batch in read_batches(paths):
        yield from batch


def read_batches(paths: Sequence[Path]) -> Iterator[Batch]:
    """The rows of files of one text format, some hundred or thousand at a time."""
    for path in paths:
        read: Callable[[Path], Iterator[Batch]] = read_csv if format_of(path) == "csv" else read_json
        yield from read(path)


def read_json(path: Path) -> Iterator[Batch]:
    """JSON lines; or one array of objects, which is read as a whole."""
    if is_lines(path) or not (content := read_array(path)):
        for chunk in split_lines(path):
            yield list(chunk.rows())
        return
    try:
        rows = load_leniently(content.decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"data file '{path}' is not JSON: {error}; fix the file.") from None
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DataError(
                f"item {number} of '{path}' is a {type(row).__name__}, not an object with columns; fix it."
            )
    yield rows


def read_array(path: Path) -> bytes | None:
    """The content of a JSON file that is an array; None for any other."""
    with open_unpacked(path) as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
        return start + file.read() if start.startswith(b"[") else None


def read_csv(path: Path) -> Iterator[Batch]:
    """Rows of a CSV file whose first line names the columns."""
    csv.field_size_limit(sys.maxsize)  # a trace is longer than the 128 kB that are allowed otherwise
    with open_unpacked(path) as file:
        reader = csv.DictReader(io.TextIOWrapper(io.BufferedReader(file), "utf-8-sig", newline=""))
        batch: Batch = []
        try:
            for row in reader:
                if None in row:
                    raise DataError(f"{path}:{reader.line_num} has more cells than there are columns; fix that line.")
                batch.append({name: read_cell(cell or "") for name, cell in row.items()})
                if len(batch) == CSV_ROWS:
                    yield batch
                    batch = []
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}:{reader.line_num} can't be read as CSV: {error}; fix that line.") from None
    if batch:
        yield batch


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
        if all(format_of(file) in ("json", "csv") for found in files.values() for file in found):
            kind = datasets.IterableDatasetDict if streaming else datasets.DatasetDict
            return kind({split: load_paths(found, streaming) for split, found in files.items()})
        return datasets.load_dataset(str(path), config, streaming=streaming, cache_dir=cache_of(path))
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - see load_arrow
        found = ", ".join(sorted(item.name for item in path.iterdir())[:5]) or "nothing"
        raise DataError(
            f"folder '{path}' contains no data set that can be read (found {found}): {' '.join(str(error).split())}; "
            "give a folder of data files or one written by save_to_disk."
        ) from None


def cache_of(folder: Path) -> str:
    """Where `datasets` may keep what it made of a folder: a place for this content alone.

    The cache key of `datasets` for a folder whose card lists its files is the folder's name and the card: it would give
    back rows that were there before, or those of another folder of that name.
    """
    from datasets import config

    files = sorted((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    seen = [(str(path), status.st_size, status.st_mtime_ns) for path, status in files]
    digest = hashlib.sha256(repr((str(folder.resolve()), seen)).encode()).hexdigest()[:16]
    return str(Path(config.HF_DATASETS_CACHE) / f"folder-{digest}")


def as_stream(saved: Any) -> Any:
    from datasets import Dataset, IterableDatasetDict

    if isinstance(saved, Dataset):
        return saved.to_iterable_dataset()
    return IterableDatasetDict({name: rows.to_iterable_dataset() for name, rows in saved.items()})
