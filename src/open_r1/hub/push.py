"""Pushing a folder to the Hub, for data sets and models alike; it stays complete on disk when a push fails."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from open_r1.configs.checks import PUSH_REVISION
from open_r1.errors import ConfigError, RunError

logger = logging.getLogger(__name__)

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


def export_tracker_settings(training_args: Any) -> None:
    """Weights & Biases reads its entity, project and group from the environment."""
    for setting in ("wandb_entity", "wandb_project", "wandb_run_group"):
        if value := getattr(training_args, setting):
            os.environ[setting.upper()] = value


def check_hub(training_args: Any, api: Any = None) -> None:
    """Before anything is spent: whoever pushes is known to the Hub, and the branch may be written.

    ConfigError when the Hub can't be reached, knows no token, or already has the branch.
    """
    is_pushed = training_args.push_to_hub or training_args.push_to_hub_revision
    if not is_pushed and PUSH_REVISION not in getattr(training_args, "callbacks", ()):
        return
    repo, branch = training_args.hub_model_id, training_args.hub_model_revision
    if training_args.push_to_hub_revision and not repo:
        raise ConfigError("push_to_hub_revision is set but hub_model_id is not; name the repository as 'user/model'.")
    hub = api or default_api(training_args.hub_token)
    try:
        hub.whoami()
        branches = [ref.name for ref in hub.list_repo_refs(repo).branches] if repo and hub.repo_exists(repo) else []
    except Exception as error:  # noqa: BLE001 - network and access fail in many ways; all mean the same here
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"the model is to be pushed, but the Hub can't be used: {reason}; check network and token, "
            "or set push_to_hub and push_to_hub_revision false."
        ) from None
    is_taken = branch in branches and branch != "main"
    if training_args.push_to_hub_revision and is_taken and not training_args.overwrite_hub_revision:
        raise ConfigError(
            f"revision '{branch}' of '{repo}' already exists; choose another hub_model_revision or set "
            "overwrite_hub_revision true."
        )


def push_revision(folder: Path, training_args: Any, api: Any = None) -> None:
    """Upload the finished model to its branch; RunError when that fails, with the model kept where it is."""
    if not training_args.push_to_hub_revision:
        return
    repo, branch = training_args.hub_model_id, training_args.hub_model_revision
    api, private = api or default_api(training_args.hub_token), training_args.hub_private_repo
    push_folder(folder, repo, f"Add {folder.name}", revision=branch, private=private, api=api)
    logger.info("pushed %s to %s, revision %s", folder, repo, branch)
