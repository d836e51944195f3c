"""Where rows come from: local files and folders, the Hub, procedural tasks, reasoning-gym; one set or a mixture.

    data/train.jsonl                                        a file: JSON lines, JSON, Parquet, CSV, Arrow, compressed too
    data/shard-*.parquet                                    files of one kind, in the order of their names
    data/                                                   a folder of files, or one written by save_to_disk
    open-r1/OpenR1-Math-220k                                the Hub, with its configuration, split and revision
    tasks:linear_equation?level=2&n=5000&seed=1             problems of this package's own families
    reasoning_gym:chain_sum?size=1000&seed=1                problems of reasoning-gym, scored by the reward reasoning_gym

What it guarantees: a set that is missing, broken, empty or lacks a column is a DataError that names the file, the
line where it breaks, and the columns that are there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.data.sources.columns import rename_columns, require_columns
from open_r1.data.sources.generated import GENERATORS, generate, is_generated
from open_r1.data.sources.hub import load_hub
from open_r1.data.sources.local import is_glob, is_local_name, load_file, load_files, load_folder
from open_r1.errors import DataError, nearest

if TYPE_CHECKING:
    from datasets import DatasetDict

    from open_r1.configs import ScriptArguments

__all__ = ["GENERATORS", "get_dataset", "load_source", "load_splits", "rename_columns", "require_columns"]


def get_dataset(args: ScriptArguments) -> DatasetDict:
    """The data set or mixture that the settings name, as a DatasetDict of splits."""
    from open_r1.data.mixtures import mix

    if args.mixture is not None:
        return mix(args.mixture)
    splits = load_splits(
        str(args.dataset_name),
        args.dataset_config,
        args.dataset_train_split,
        revision=getattr(args, "dataset_revision", None),
        streaming=getattr(args, "dataset_streaming", False),
    )
    mapping = getattr(args, "dataset_column_map", None) or {}
    for split in splits:
        splits[split] = rename_columns(splits[split], mapping, str(args.dataset_name), "dataset_column_map")
    return splits


def load_splits(
    name: str, config: str | None, train_split: str, *, revision: str | None = None, streaming: bool = False
) -> DatasetDict:
    """All splits of a source; a source of one table becomes the training split.

    With `streaming`, splits are `IterableDataset`s that are read as they are used, and nothing is known of their length.
    """
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    loaded = load_source(name, config, revision=revision, streaming=streaming)
    if isinstance(loaded, Dataset):
        loaded = DatasetDict({train_split: loaded})
    if isinstance(loaded, IterableDataset):
        loaded = IterableDatasetDict({train_split: loaded})
    if not isinstance(loaded, DatasetDict | IterableDatasetDict):
        raise DataError(f"data set '{name}' can't be used as a table of rows; give a file, a folder or a Hub id.")
    if train_split not in loaded:
        found = [str(split) for split in loaded]
        raise DataError(
            f"data set '{name}' has no split '{train_split}'{nearest(train_split, found)} "
            f"Found: {', '.join(found)}; set dataset_train_split."
        )
    for split, rows in loaded.items():
        if isinstance(rows, Dataset) and not len(rows):
            raise DataError(f"split '{split}' of data set '{name}' is empty; give a set with at least one row.")
    return loaded  # pyright: ignore[reportReturnType]


def load_source(name: str, config: str | None = None, *, revision: str | None = None, streaming: bool = False) -> Any:
    """Whatever `datasets` makes of a path, a pattern or a Hub id; or the problems of a generator."""
    if is_generated(name):
        rows = generate(name)
        return rows.to_iterable_dataset() if streaming else rows
    path = Path(name).expanduser()
    if path.is_file():
        return load_file(path, streaming=streaming)
    if path.is_dir():
        return load_folder(path, config, streaming=streaming)
    if is_glob(name):
        return load_files(name, streaming=streaming)
    if is_local_name(name):
        raise DataError(f"data file '{name}' does not exist; check the path (relative paths start at {Path.cwd()}).")
    return load_hub(name, config, revision, streaming=streaming)
