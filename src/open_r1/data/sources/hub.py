"""Rows from the Hub, or from a server of its protocol at HF_ENDPOINT.

A set that can't be loaded by its id is read from its files: `hf://datasets/USER/NAME/PATTERN.jsonl`.
"""

from __future__ import annotations

from typing import Any

from open_r1.data.sources.base import SourceSpec
from open_r1.errors import DataError

PREFIX = "hf"


def load(spec: SourceSpec) -> Any:
    """The rows of all files of JSON lines that match."""
    return load_remote(spec.name, "json", data_files=spec.name, split="train", streaming=spec.streaming)


def load_hub(name: str, config: str | None, revision: str | None, *, streaming: bool = False) -> Any:
    """All splits of a data set on the Hub. `revision` is a branch, a tag or a commit; a commit never changes."""
    return load_remote(name, name, config, revision=revision, streaming=streaming)


def load_remote(name: str, *arguments: Any, **options: Any) -> Any:
    """What `datasets` loads. DataError, which names the set, where it can't."""
    import datasets

    try:
        return datasets.load_dataset(*arguments, **options)
    except Exception as error:  # noqa: BLE001 - network, access and naming failures all end here
        raise DataError(
            f"data set '{name}' is not a local path and can't be loaded from the Hub: {' '.join(str(error).split())}; "
            "check the name, the network and your access."
        ) from None
