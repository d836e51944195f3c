"""Rows from the Hub, or from a server of its protocol at HF_ENDPOINT."""

from __future__ import annotations

from typing import Any

from open_r1.errors import DataError


def load_hub(name: str, config: str | None, revision: str | None, *, streaming: bool = False) -> Any:
    """All splits of a data set on the Hub. `revision` is a branch, a tag or a commit; a commit never changes."""
    import datasets

    try:
        return datasets.load_dataset(name, config, revision=revision, streaming=streaming)
    except Exception as error:  # noqa: BLE001 - network, access and naming failures all end here
        raise DataError(
            f"data set '{name}' is not a local path and can't be loaded from the Hub: {' '.join(str(error).split())}; "
            "check the name, the network and your access."
        ) from None
