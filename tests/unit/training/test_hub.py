"""Pushing to a branch of the Hub, against a fake of its API."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from open_r1.errors import ConfigError, RunError
from open_r1.hub.push import check_hub, export_tracker_settings, push_revision
from open_r1.training.named_callbacks import PushRevisionCallback, make_callbacks


class FakeHub:
    """A Hub that remembers what it was asked, with one repository and its branches."""

    def __init__(self, branches: tuple[str, ...] = ("main",), fails: bool = False) -> None:
        self.branches, self.fails, self.calls = branches, fails, []

    def whoami(self) -> dict[str, str]:
        if self.fails:
            raise ConnectionError("no network")
        return {"name": "me"}

    def repo_exists(self, repo_id: str) -> bool:
        return bool(self.branches)

    def list_repo_refs(self, repo_id: str) -> Any:
        return SimpleNamespace(branches=[SimpleNamespace(name=name) for name in self.branches])

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create_repo", repo_id))

    def create_branch(self, repo_id: str, *, branch: str, **options: Any) -> None:
        self.calls.append(("create_branch", branch))

    def upload_folder(self, **options: Any) -> None:
        if self.fails:
            raise ConnectionError("no network")
        self.calls.append(("upload_folder", options["revision"]))
        assert "checkpoint-*" in options["ignore_patterns"]
        self.uploaded = options


def settings(**changes: Any) -> Any:
    defaults = {
        "push_to_hub": False, "push_to_hub_revision": True, "hub_model_id": "me/model", "hub_model_revision": "v1",
        "hub_token": None,
        "overwrite_hub_revision": False, "hub_private_repo": None,
        "wandb_entity": None, "wandb_project": None, "wandb_run_group": None,
    }  # fmt: skip
    return SimpleNamespace(**{**defaults, **changes})


def test_the_finished_model_goes_to_its_branch(tmp_path: Path) -> None:
    hub = FakeHub()
    check_hub(settings(), hub)
    push_revision(tmp_path, settings(), hub)
    assert hub.calls == [("create_repo", "me/model"), ("create_branch", "v1"), ("upload_folder", "v1")]


def test_nothing_is_pushed_unless_asked(tmp_path: Path) -> None:
    hub = FakeHub(fails=True)
    check_hub(settings(push_to_hub_revision=False), hub)
    push_revision(tmp_path, settings(push_to_hub_revision=False), hub)
    assert hub.calls == []


def test_an_existing_branch_is_refused_before_training_unless_it_may_be_overwritten() -> None:
    with pytest.raises(ConfigError, match="revision 'v1' of 'me/model' already exists"):
        check_hub(settings(), FakeHub(branches=("main", "v1")))
    check_hub(settings(overwrite_hub_revision=True), FakeHub(branches=("main", "v1")))
    check_hub(settings(hub_model_revision="main"), FakeHub(branches=("main",)))


def test_a_missing_repository_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="hub_model_id is not"):
        check_hub(settings(hub_model_id=None), FakeHub())


def test_no_network_is_told_before_training_and_loses_nothing_after(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the Hub can't be used: no network"):
        check_hub(settings(), FakeHub(fails=True))
    with pytest.raises(RunError, match="was not pushed: no network; nothing is lost"):
        push_revision(tmp_path, settings(), FakeHub(fails=True))


def test_tracker_settings_reach_their_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("WANDB_ENTITY", "WANDB_PROJECT", "WANDB_RUN_GROUP"):
        monkeypatch.delenv(variable, raising=False)
    export_tracker_settings(settings(wandb_entity="us", wandb_project="r1"))
    assert (os.environ.pop("WANDB_ENTITY"), os.environ.pop("WANDB_PROJECT")) == ("us", "r1")
    assert "WANDB_RUN_GROUP" not in os.environ


def save_step(callback: PushRevisionCallback, folder: Path, is_main: bool = True) -> None:
    state: Any = SimpleNamespace(is_world_process_zero=is_main, global_step=12)
    callback.on_save(settings(output_dir=str(folder)), state, SimpleNamespace())  # type: ignore[arg-type]


def test_each_checkpoint_goes_to_a_branch_of_its_own_without_the_optimizer(tmp_path: Path) -> None:
    hub, said = FakeHub(), []
    save_step(PushRevisionCallback(said.append, hub), tmp_path)
    assert ("upload_folder", "v1-step-000000012") in hub.calls
    assert hub.uploaded["folder_path"] == str(tmp_path / "checkpoint-12")
    assert "*.pt" in hub.uploaded["ignore_patterns"]
    assert said == ["step 12: pushed to me/model, revision v1-step-000000012"]


def test_a_checkpoint_that_is_not_pushed_ends_no_training(tmp_path: Path) -> None:
    said: list[str] = []
    save_step(PushRevisionCallback(said.append, FakeHub(fails=True)), tmp_path)
    assert "was not pushed: no network" in said[0]


def test_one_process_pushes(tmp_path: Path) -> None:
    hub = FakeHub()
    save_step(PushRevisionCallback(print, hub), tmp_path, is_main=False)
    assert hub.calls == []


def test_open_r1s_callback_is_made_by_its_name_and_the_hub_is_asked_before_training() -> None:
    (callback,) = make_callbacks(["push_to_hub_revision"])
    assert isinstance(callback, PushRevisionCallback)
    with pytest.raises(ConfigError, match="the Hub can't be used"):
        check_hub(settings(push_to_hub_revision=False, callbacks=["push_to_hub_revision"]), FakeHub(fails=True))


def test_a_callback_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(ConfigError, match="callback 'nowhere_at_all:Mine': no module named 'nowhere_at_all'"):
        make_callbacks(["nowhere_at_all:Mine"])
