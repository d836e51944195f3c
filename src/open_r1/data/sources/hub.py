"""Rows from the Hub, or from a server of its protocol at HF_ENDPOINT."""

from __future__ import annotations

from typing import Any

from open_r1.errors import DataError

FILES = "hf://"
"""How the name of files begins: a set that can't be loaded by its id is read as `hf://datasets/USER/NAME/PATTERN.jsonl`."""


def load_hub(name: str, config: str | None, revision: str | None, *, streaming: bool = False) -> Any:
    """All splits of a data set, or the rows of files. `revision` is a branch, a tag or a commit; a commit never changes."""
    if name.startswith(FILES):
        return load_remote(name, "json", data_files=name, split="train", streaming=streaming)
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
