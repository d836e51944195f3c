"""Rows from local files: every format that `datasets` reads, compressed or not, one by one, by pattern or by folder."""

from __future__ import annotations

import glob
import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from open_r1.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

READERS = {
    ".jsonl": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
}

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
"""What may follow the suffix of a text format; `datasets` unpacks them into its cache."""


def reader_of(path: Path) -> str | None:
    """The name of the reader for a file, by its suffix; None for a file of no known kind."""
    suffixes = path.suffixes[:-1] if path.suffix in COMPRESSIONS else path.suffixes
    return READERS.get(suffixes[-1]) if suffixes else None


def is_local_name(name: str) -> bool:
    """Whether a name that isn't there was meant as a path rather than as a Hub id."""
    return reader_of(Path(name)) is not None or name.startswith((".", "/", "~"))


def is_glob(name: str) -> bool:
    return any(mark in name for mark in "*?[")


def load_files(pattern: str, *, streaming: bool = False) -> Any:
    """The rows of all files that a pattern matches, in the order of their names."""
    paths = sorted(Path(path) for path in glob.glob(str(Path(pattern).expanduser()), recursive=True))
    paths = [path for path in paths if path.is_file()]
    if not paths:
        raise DataError(f"no file matches '{pattern}'; check the pattern (relative paths start at {Path.cwd()}).")
    kinds = {reader_of(path) for path in paths}
    if len(kinds) > 1 or None in kinds:
        names = ", ".join(path.name for path in paths[:5])
        raise DataError(
            f"'{pattern}' matches files that aren't of one known kind ({names}); known: {', '.join(READERS)}; give a "
            "pattern of one kind."
        )
    return _load(paths, streaming)


def load_file(path: Path, *, streaming: bool = False) -> Any:
    if reader_of(path) is None:
        raise DataError(
            f"data file '{path}' is of no known kind; known: {', '.join(READERS)}, also with {', '.join(COMPRESSIONS)}."
        )
    return _load([path], streaming)


def _load(paths: list[Path], streaming: bool) -> Dataset:
    """One table of the rows of files of one kind. DataError names the file that is empty or broken."""
    import datasets

    for path in paths:
        if path.stat().st_size == 0:
            raise DataError(f"data file '{path}' is empty; give a file with at least one row.")
    reader = str(reader_of(paths[0]))
    try:
        for path in paths:
            with path.open("rb"):
                pass
        files = [str(path) for path in paths]
        loaded: Any = datasets.load_dataset(reader, data_files=files, split="train", streaming=streaming)
        is_empty = not streaming and not len(loaded)
    except Exception as error:  # noqa: BLE001 - each reader fails in its own way; all mean a broken file
        raise DataError(diagnose_all(paths, error)) from None
    if is_empty:
        raise DataError(f"data file '{paths[0]}' holds no rows; give a file with at least one row.")
    return loaded


def diagnose_all(paths: list[Path], error: Exception) -> str:
    """What is wrong with the first file, of those that a reader gave up on, with which something can be shown to be."""
    found = (diagnose(path, error) for path in paths)
    return next(
        (message for message in found if "is not JSON" in message or "not an object" in message),
        diagnose(paths[0], error),
    )


def diagnose(path: Path, error: Exception) -> str:
    """What is wrong with a file that a reader gave up on; for JSON lines, which line."""
    if isinstance(error, PermissionError):
        return f"data file '{path}' can't be read: {error.strerror}; change its permissions."
    if path.suffixes[:1] == [".jsonl"]:
        with open_lines(path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = json.loads(line) if line.strip() else {}
                except ValueError as broken:
                    return f"{path}:{number} is not JSON: {broken}; mend or remove that line."
                if not isinstance(row, dict):
                    return f"{path}:{number} is a {type(row).__name__}, not an object with columns; mend that line."
    cause = error.__cause__ or error
    return f"data file '{path}' can't be read as {reader_of(path)}: {' '.join(str(cause).split())}; mend the file."


def open_lines(path: Path) -> BinaryIO:
    """A text file's bytes, unpacked where it is compressed."""
    import bz2
    import gzip
    import lzma

    import zstandard

    if path.suffix == ".zst":
        return io.BufferedReader(zstandard.open(path, "rb"))
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(path.suffix, open)
    return opener(path, "rb")  # pyright: ignore[reportReturnType]


def load_folder(path: Path, config: str | None, *, streaming: bool = False) -> Any:
    import datasets

    try:
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            saved: Any = datasets.load_from_disk(str(path))
            return _as_stream(saved) if streaming else saved
        return datasets.load_dataset(str(path), config, streaming=streaming, cache_dir=cache_of(path))
    except Exception as error:  # noqa: BLE001 - see load_file
        found = ", ".join(sorted(item.name for item in path.iterdir())[:5]) or "nothing"
        raise DataError(
            f"folder '{path}' holds no data set that can be read (found {found}): {' '.join(str(error).split())}; "
            "give a folder of data files or one written by save_to_disk."
        ) from None


def cache_of(folder: Path) -> str:
    """Where `datasets` may keep what it made of a folder: a place for this content alone.

    For a folder whose card lists its files it goes by the folder's name and the card, and would give back rows that
    were there before, or another folder's of that name.
    """
    from datasets import config

    files = sorted((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    seen = [(str(path), status.st_size, status.st_mtime_ns) for path, status in files]
    digest = hashlib.sha256(repr((str(folder.resolve()), seen)).encode()).hexdigest()[:16]
    return str(Path(config.HF_DATASETS_CACHE) / f"folder-{digest}")


def _as_stream(saved: Any) -> Any:
    from datasets import Dataset, IterableDatasetDict

    if isinstance(saved, Dataset):
        return saved.to_iterable_dataset()
    return IterableDatasetDict({name: rows.to_iterable_dataset() for name, rows in saved.items()})
