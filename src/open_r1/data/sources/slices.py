"""Parts and sums of splits, as `datasets` writes them: train[:10], train[10%:20%], train+test."""

from __future__ import annotations

from typing import Any

from open_r1.errors import DataError


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
