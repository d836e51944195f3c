"""Pushing a folder to the Hub, for data sets and models alike; it stays complete on disk when a push fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from open_r1.errors import ConfigError, RunError

MODEL_LEFT_OUT = ("checkpoint-*", "rollouts/*", ".lock", "training_args.bin", "identity.json")
"""What of a run folder is not part of the model."""


def check_repo_id(repo_id: str) -> None:
    """ConfigError unless it is user/name."""
    if repo_id.count("/") != 1 or not all(repo_id.split("/")):
        raise ConfigError(f"--repo_id {repo_id} is not of the form user/name; write it so.")


def default_api(token: str | None = None) -> Any:
    """The Hub's own client, with the token of `hf auth login` or HF_TOKEN where none is given."""
    from huggingface_hub import HfApi

    return HfApi(token=token)


def push_folder(
    folder: Path,
    repo_id: str,
    message: str,
    *,
    repo_type: str = "model",
    revision: str = "main",
    private: bool | None = None,
    left_out: Sequence[str] = MODEL_LEFT_OUT,
    api: Any = None,
) -> None:
    """Make the repository and its branch where they are missing, and upload the folder.

    Args:
        message: The commit's message.
        private: Whether a new repository is private; None leaves it to the Hub's own default.
        left_out: Patterns of files that are not uploaded.
        api: The Hub's client; by default one with the user's token.

    Raises:
        RunError: The Hub refuses or can't be reached; the folder stays as it is.
    """
    hub = api or default_api()
    try:
        hub.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True)
        if revision != "main":
            hub.create_branch(repo_id, branch=revision, repo_type=repo_type, exist_ok=True)
        hub.upload_folder(
            repo_id=repo_id,
            repo_type=repo_type,
            folder_path=str(folder),
            revision=revision,
            ignore_patterns=list(left_out),
            commit_message=message,
        )
    except Exception as error:  # noqa: BLE001 - network and access fail in many ways
        raise RunError(
            f"{repo_id} was not pushed: {' '.join(str(error).split())}; nothing is lost: '{folder}' contains everything, "
            "and the same command tries again."
        ) from None
