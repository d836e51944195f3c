"""Rows from the Hub, or from a server of its protocol at HF_ENDPOINT."""

from __future__ import annotations

import errno
from typing import Any

from open_r1.errors import DataError, RunError

CACHE_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)

FILES = "hf://"
"""How the name of files begins: a set that can't be loaded by its id is read as `hf://datasets/USER/NAME/PATTERN.jsonl`."""


def load_hub(name: str, config: str | None, revision: str | None, *, streaming: bool = False) -> Any:
    """All splits of a data set, or the rows of files. `revision` is a branch, a tag or a commit; a commit never changes."""
    if name.startswith(FILES):
        return load_remote(name, "json", data_files=name, split="train", streaming=streaming)
    return load_remote(name, name, config, revision=revision, streaming=streaming)


def load_remote(name: str, *arguments: Any, **options: Any) -> Any:
    """What `datasets` loads. DataError, which names the set, where it can't; RunError where its cache can't be written."""
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        return datasets.load_dataset(*arguments, **options)
    except (OSError, ValueError, DatasetsError) as error:  # network, access, naming
        cause = error.__cause__ or error
        if isinstance(cause, OSError) and cause.errno in CACHE_FAULTS:
            raise cache_failed(cause) from error
        raise DataError(
            f"data set '{name}' is not a local path and can't be loaded from the Hub: {' '.join(str(error).split())}; "
            "check the name, the network and your access."
        ) from None


def cache_failed(error: OSError) -> RunError:
    """What it means that the cache of `datasets` can't be written: the data are not at fault."""
    from datasets import config

    return RunError(
        f"the cache of data sets, '{config.HF_DATASETS_CACHE}', can't be written: {error.strerror or error}; free some "
        "space, or name another folder by the environment variable HF_DATASETS_CACHE."
    )
