"""Where rows come from: local files and folders, the Hub, procedural tasks, reasoning-gym.

    data/train.jsonl, 'data/shard-*.parquet', data/         files (JSON lines, JSON, CSV, Parquet, Arrow), save_to_disk
    open-r1/OpenR1-Math-220k                                the Hub, with its configuration, split and revision
    tasks:linear_equation?level=2&n=5000&seed=1             a source with a prefix: a module here with
                                                            PREFIX and load(SourceReference) -> rows

`open_rows` is the way in for whatever reads rows; `load_splits` gives the same rows as tables of `datasets`.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from open_r1.configs.references import modules_in, read_source
from open_r1.data.rows import Rows, loaded_rows
from open_r1.data.sources.hub import FILES, load_hub
from open_r1.data.sources.local import (
    find_files,
    find_splits,
    is_local_name,
    is_pattern,
    load_files,
    load_folder,
    open_files,
)
from open_r1.errors import DataError, nearest

if TYPE_CHECKING:
    from datasets import DatasetDict


def sources_by_prefix() -> dict[str, ModuleType]:
    """Prefix -> the module of this package that loads such sources."""
    return {module.PREFIX: module for module in modules_in(__name__) if hasattr(module, "PREFIX")}


def has_prefix(name: str) -> bool:
    """Whether a name is that of a source with a prefix of its own."""
    prefix, colon, _ = name.partition(":")
    return name.startswith(FILES) or (bool(colon) and prefix in sources_by_prefix())


def open_rows(
    name: str,
    config: str | None = None,
    split: str = "train",
    *,
    revision: str | None = None,
    streaming: bool = False,
    setting: str = "--split",
) -> Rows:
    """The rows of a source. DataError when it is missing, broken or empty.

    `revision` and `streaming` matter for a data set on the Hub; `setting` is what chooses the split, for messages.
    """
    is_whole = not is_slice(split)
    if is_whole and (paths := find_files(name)):
        return open_files(name, paths)
    if is_whole and (folder := Path(name).expanduser()).is_dir():
        splits = find_splits(folder, config)
        require_split(name, list(splits), split, setting)
        return open_files(name, splits[split])
    loaded: Any = load_splits(name, config, split, revision=revision, streaming=streaming, setting=setting)[split]
    return loaded_rows(name, loaded)


def as_rows(source: Rows | str) -> Rows:
    """The rows of a source that may be given by its name."""
    return open_rows(source) if isinstance(source, str) else source


def load_splits(
    name: str,
    config: str | None = None,
    train_split: str = "train",
    *,
    revision: str | None = None,
    streaming: bool = False,
    setting: str = "dataset_train_split",
) -> DatasetDict:
    """All splits of a source; a source of one table becomes the training split.

    A `train_split` written as a part or sum of splits (`slices`) is one more.
    With `streaming`, splits are `IterableDataset`s that are read while they are used, and their length is unknown.
    DataError when the training split is missing (`setting` is what chooses it) or a split is empty.
    """
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    loaded = load_source(name, config, revision=revision, streaming=streaming)
    wanted = names_in(train_split) if is_slice(train_split) else [train_split]
    if isinstance(loaded, Dataset):
        loaded = DatasetDict({wanted[0]: loaded})
    if isinstance(loaded, IterableDataset):
        loaded = IterableDatasetDict({wanted[0]: loaded})
    if not isinstance(loaded, DatasetDict | IterableDatasetDict):
        raise DataError(f"data set '{name}' can't be used as a table of rows; give a file, a folder or a Hub id.")
    for split in wanted:
        require_split(name, [str(split) for split in loaded], split, setting)
    if is_slice(train_split):
        loaded[train_split] = take_slice(name, loaded, train_split)
    for split, rows in loaded.items():
        if isinstance(rows, Dataset) and not len(rows):
            raise DataError(f"split '{split}' of data set '{name}' is empty; give a set with at least one row.")
    return loaded  # pyright: ignore[reportReturnType]


def require_split(name: str, found: list[str], split: str, setting: str) -> None:
    """DataError for a split that isn't there."""
    if split not in found:
        raise DataError(
            f"data set '{name}' has no split '{split}'{nearest(split, found)} Found: {', '.join(found)}; set {setting}."
        )


def load_source(name: str, config: str | None = None, *, revision: str | None = None, streaming: bool = False) -> Any:
    """A source as `datasets` has it: a table, a stream, or several by split."""
    from datasets import Dataset

    if name.startswith(FILES):
        return load_hub(name, config, revision, streaming=streaming)
    if has_prefix(name):
        loaded = sources_by_prefix()[name.partition(":")[0]].load(read_source(name))
        loaded = Dataset.from_list(loaded) if isinstance(loaded, list) else loaded
        return loaded.to_iterable_dataset() if streaming and isinstance(loaded, Dataset) else loaded
    path = Path(name).expanduser()
    if path.is_dir():
        return load_folder(path, config, streaming=streaming)
    if path.is_file() or is_pattern(name):
        return load_files(name, find_files(name), streaming=streaming)
    if is_local_name(name):
        raise DataError(f"data file '{name}' does not exist; check the path (relative paths start at {Path.cwd()}).")
    return load_hub(name, config, revision, streaming=streaming)


def is_slice(split: str) -> bool:
    """Whether a split is written as a part of one, or as a sum of several."""
    return "[" in split or "+" in split


def names_in(split: str) -> list[str]:
    """The splits that a part or sum takes rows from, each once."""
    return list(dict.fromkeys(term.partition("[")[0].strip() for term in split.split("+")))


def take_slice(name: str, loaded: Any, split: str) -> Any:
    """The rows of a part or sum of the splits `loaded`, in the order in which they are written.

    DataError for what can't be read, or asks for more rows than there are; `name` is the data set's.
    """
    from datasets import Dataset, ReadInstruction, concatenate_datasets

    if not all(isinstance(rows, Dataset) for rows in loaded.values()):
        raise DataError(
            f"split '{split}' of data set '{name}' needs the whole set, but it is streamed; name one split."
        )
    lengths = {str(found): len(rows) for found, rows in loaded.items()}
    try:
        parts = ReadInstruction.from_spec(split).to_absolute(lengths)
    except (ValueError, AssertionError) as error:
        listed = ", ".join(f"{found} with {count:,} rows" for found, count in lengths.items())
        raise DataError(
            f"split '{split}' of data set '{name}' can't be taken: {' '.join(str(error).split()).rstrip('.')}; it has "
            f"{listed}. Write train[:10], train[10%:20%] or train+test."
        ) from None
    return concatenate_datasets([loaded[part.splitname].select(range(part.from_, part.to)) for part in parts])
