"""`hf://datasets/USER/NAME/PATTERN.jsonl`: files of JSON lines on the Hub, for sets that can't be loaded by their id."""

from __future__ import annotations

from typing import Any

from open_r1.data.sources.base import SourceSpec
from open_r1.errors import DataError

PREFIX = "hf"


def load(spec: SourceSpec) -> Any:
    """The rows of all files that match."""
    import datasets

    try:
        return datasets.load_dataset("json", data_files=spec.name, split="train", streaming=spec.streaming)
    except Exception as error:  # noqa: BLE001 - network, access and naming failures all end here
        raise DataError(
            f"'{spec.name}' can't be loaded from the Hub: {' '.join(str(error).split())}; check the network, or give a "
            "local file instead."
        ) from None
