"""Where rows come from: a local file or folder, a `save_to_disk` folder, the Hub; one set or a mixture.

What it guarantees: a set that is missing, broken, empty or lacks a column is a DataError that names the file, the
line where it breaks, and the columns that are there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.errors import DataError, nearest

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from open_r1.configs import DatasetConfig, DatasetMixtureConfig, ScriptArguments

logger = logging.getLogger(__name__)

READERS = {
    ".jsonl": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
}


def get_dataset(args: ScriptArguments) -> DatasetDict:
    """The data set or mixture that the settings name, as a DatasetDict of splits."""
    if args.mixture is not None:
        return mix(args.mixture)
    return load_splits(str(args.dataset_name), args.dataset_config, args.dataset_train_split)


def load_splits(name: str, config: str | None, train_split: str) -> DatasetDict:
    """All splits of a source; a single local file becomes the training split."""
    from datasets import Dataset, DatasetDict, IterableDatasetDict

    loaded = load_source(name, config)
    if isinstance(loaded, Dataset):
        loaded = DatasetDict({train_split: loaded})
    if not isinstance(loaded, DatasetDict) or isinstance(loaded, IterableDatasetDict):
        raise DataError(f"data set '{name}' can't be used as a table of rows; give a file, a folder or a Hub id.")
    if train_split not in loaded:
        found = [str(split) for split in loaded]
        raise DataError(
            f"data set '{name}' has no split '{train_split}'{nearest(train_split, found)} "
            f"Found: {', '.join(found)}; set dataset_train_split."
        )
    for split, rows in loaded.items():
        if not len(rows):
            raise DataError(f"split '{split}' of data set '{name}' is empty; give a set with at least one row.")
    return loaded


def load_source(name: str, config: str | None = None) -> Any:
    """Whatever `datasets` makes of a path or Hub id."""
    path = Path(name).expanduser()
    if path.is_file():
        return load_file(path)
    if path.is_dir():
        return load_folder(path, config)
    if path.suffix in READERS or name.startswith((".", "/", "~")):
        raise DataError(f"data file '{name}' does not exist; check the path (relative paths start at {Path.cwd()}).")
    return load_hub(name, config)


def load_file(path: Path) -> Dataset:
    import datasets

    if path.suffix not in READERS:
        raise DataError(f"data file '{path}' is of no known kind; known: {', '.join(READERS)}.")
    if path.stat().st_size == 0:
        raise DataError(f"data file '{path}' is empty; give a file with at least one row.")
    try:
        with path.open("rb"):
            pass
        loaded = datasets.load_dataset(READERS[path.suffix], data_files=str(path), split="train")
    except Exception as error:  # noqa: BLE001 - each reader fails in its own way; all mean a broken file
        raise DataError(diagnose(path, error)) from None
    if not len(loaded):
        raise DataError(f"data file '{path}' holds no rows; give a file with at least one row.")
    return loaded


def diagnose(path: Path, error: Exception) -> str:
    """What is wrong with a file that a reader gave up on; for JSON lines, which line."""
    if isinstance(error, PermissionError):
        return f"data file '{path}' can't be read: {error.strerror}; change its permissions."
    if path.suffix == ".jsonl":
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = json.loads(line) if line.strip() else {}
                except ValueError as broken:
                    return f"{path}:{number} is not JSON: {broken}; mend or remove that line."
                if not isinstance(row, dict):
                    return f"{path}:{number} is a {type(row).__name__}, not an object with columns; mend that line."
    cause = error.__cause__ or error
    return (
        f"data file '{path}' can't be read as {READERS[path.suffix]}: {' '.join(str(cause).split())}; mend the file."
    )


def load_folder(path: Path, config: str | None) -> Any:
    import datasets

    try:
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            return datasets.load_from_disk(str(path))
        return datasets.load_dataset(str(path), config)
    except Exception as error:  # noqa: BLE001 - see load_file
        found = ", ".join(sorted(item.name for item in path.iterdir())[:5]) or "nothing"
        raise DataError(
            f"folder '{path}' holds no data set that can be read (found {found}): {' '.join(str(error).split())}; "
            "give a folder of data files or one written by save_to_disk."
        ) from None


def load_hub(name: str, config: str | None) -> Any:
    import datasets

    try:
        return datasets.load_dataset(name, config)
    except Exception as error:  # noqa: BLE001 - network, access and naming failures all end here
        raise DataError(
            f"data set '{name}' is neither a local path nor could be had from the Hub: {' '.join(str(error).split())}; "
            "check the name, the network and your access."
        ) from None


def mix(mixture: DatasetMixtureConfig) -> DatasetDict:
    """The guide's mixture: a seeded share of each entry, concatenated, shuffled, optionally split.

    Exact counts are logged. The result depends on the entries' order, the seed and nothing else.
    """
    from datasets import DatasetDict, concatenate_datasets

    parts = [take_share(entry, mixture.seed) for entry in mixture.datasets]
    try:
        combined = concatenate_datasets(parts).shuffle(seed=mixture.seed)
    except ValueError as error:
        raise DataError(describe_misfit(mixture, parts, error)) from None
    logger.info("mixture of %d sets: %d rows", len(parts), len(combined))
    if mixture.test_split_size is None:
        return DatasetDict({"train": combined})
    try:
        return combined.train_test_split(test_size=mixture.test_split_size, seed=mixture.seed)
    except ValueError as error:
        raise DataError(
            f"test_split_size = {mixture.test_split_size} leaves no row for training or testing of the {len(combined)} "
            f"rows of the mixture ({error}); choose another."
        ) from None


def describe_misfit(mixture: DatasetMixtureConfig, parts: Sequence[Dataset], error: ValueError) -> str:
    """Which column of which sets has two types, so that the sets can't be put one after another."""
    first = parts[0].features
    for entry, part in zip(mixture.datasets[1:], parts[1:], strict=True):
        for column, kind in part.features.items():
            if column in first and first[column] != kind:
                return (
                    f"column '{column}' is {first[column]} in '{mixture.datasets[0].id}' but {kind} in '{entry.id}', so "
                    "they can't be mixed; give it one type, or leave it out by 'columns'."
                )
    return f"the data sets of the mixture can't be put together: {error}; choose matching 'columns'."


def take_share(entry: DatasetConfig, seed: int) -> Dataset:
    rows = load_splits(entry.id, entry.config, entry.split)[entry.split]
    if entry.columns is not None:
        require_columns(rows.column_names, entry.columns, entry.id)
        rows = rows.select_columns(entry.columns)
    if entry.weight is None:
        return rows
    count = int(len(rows) * entry.weight)
    if count == 0:
        raise DataError(f"weight {entry.weight} of '{entry.id}' ({len(rows)} rows) takes no row; raise it.")
    logger.info("mixture: %d of %d rows of %s", count, len(rows), entry.id)
    return rows.shuffle(seed=seed).select(range(count))


def require_columns(found: Sequence[str], needed: Sequence[str], where: str, setting: str = "columns") -> None:
    """DataError naming the first column that isn't there, those that are, and the setting to change."""
    for column in needed:
        if column not in found:
            raise DataError(
                f"data set '{where}' has no column '{column}'{nearest(column, found)} "
                f"Found: {', '.join(found)}; name the right one with {setting}."
            )
