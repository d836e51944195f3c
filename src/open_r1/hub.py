"""Uploading a folder to the Hub, for data sets and models alike: made ready on disk first, so that a failed upload loses
nothing and the same command tries again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from open_r1.errors import ConfigError, RunError

MODEL_LEFT_OUT = ["checkpoint-*", "rollouts/*", ".lock", "training_args.bin", "identity.json"]
"""What of a run folder is not part of the model."""


def check_repo_id(repo_id: str) -> None:
    """ConfigError unless it is user/name."""
    if repo_id.count("/") != 1 or not all(repo_id.split("/")):
        raise ConfigError(f"--repo_id {repo_id} is not of the form user/name; write it so.")


def default_api(token: str | None = None) -> Any:
    """The real Hub."""
    from huggingface_hub import HfApi

    return HfApi(token=token)


def push_folder(
    api: Any,
    folder: Path,
    repo_id: str,
    repo_type: str,
    revision: str,
    private: bool | None,
    ignore_patterns: Sequence[str],
    message: str,
) -> None:
    """Make the repository and its branch where they are missing, and upload. RunError when the Hub doesn't take it."""
    try:
        api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True)
        if revision != "main":
            api.create_branch(repo_id, branch=revision, repo_type=repo_type, exist_ok=True)
        api.upload_folder(
            repo_id=repo_id,
            repo_type=repo_type,
            folder_path=str(folder),
            revision=revision,
            ignore_patterns=list(ignore_patterns),
            commit_message=message,
        )
    except Exception as error:  # noqa: BLE001 - network and access fail in many ways
        raise RunError(
            f"{repo_id} was not pushed: {' '.join(str(error).split())}; nothing is lost: '{folder}' holds everything, and "
            "the same command tries again."
        ) from None
