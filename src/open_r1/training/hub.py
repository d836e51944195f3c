"""Pushing to a branch of a Hub repository, and the trackers' settings."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from open_r1.errors import ConfigError
from open_r1.hub.push import default_api, push_folder

logger = logging.getLogger(__name__)


def export_tracker_settings(training_args: Any) -> None:
    """Weights & Biases reads its entity, project and group from the environment."""
    for setting in ("wandb_entity", "wandb_project", "wandb_run_group"):
        if value := getattr(training_args, setting):
            os.environ[setting.upper()] = value


def check_hub(training_args: Any, api: Any = None) -> None:
    """Before anything is spent: whoever pushes is known to the Hub, and the branch may be written.

    ConfigError when the Hub can't be reached, knows no token, or already has the branch.
    """
    if not training_args.push_to_hub and not training_args.push_to_hub_revision:
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
