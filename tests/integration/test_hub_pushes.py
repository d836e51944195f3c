"""Pushes to the Hub while training goes on: a failure is reported, and loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.utils import filter_repo_objects

from open_r1.rundir import read_json

STEPS = 4


class FakeHub:
    """A Hub that takes what it is given, or fails: at once ("now"), or in the background ("later")."""

    def __init__(self, fails: str = "") -> None:
        self.fails, self.commits = fails, []
        self.uploaded: set[str] = set()

    def whoami(self) -> dict[str, str]:
        return {"name": "me"}

    def repo_exists(self, repo_id: str) -> bool:
        return False

    def create_repo(self, repo_id: str, **_: Any) -> Any:
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(
        self,
        *,
        commit_message: str,
        folder_path: Any,
        run_as_future: bool = False,
        ignore_patterns: Any = (),
        **_: Any,
    ) -> Any:
        self.commits.append(commit_message)
        files = [str(file.relative_to(folder_path)) for file in Path(folder_path).rglob("*") if file.is_file()]
        self.uploaded |= set(filter_repo_objects(files, ignore_patterns=list(ignore_patterns)))
        error = ConnectionError("no network\nat all") if self.fails else None
        if error is not None and (self.fails == "now" or not run_as_future):
            raise error
        job: Future[str] = Future()
        job.set_exception(error) if error is not None else job.set_result("done")
        return job


@pytest.fixture
def train(open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trains the tiny model for a few steps, with a Hub, and returns how the command ended."""
    rows = [
        {"messages": [{"role": "user", "content": f"{n}+1"}, {"role": "assistant", "content": f"{n + 1}"}]}
        for n in range(16)
    ]
    data = tmp_path / "traces.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = (
        f"--per_device_train_batch_size 2 --max_steps {STEPS} --save_steps 2 --logging_steps 1 --report_to none "
        "--gradient_checkpointing false --push_to_hub --hub_model_id me/model --hub_strategy every_save"
    ).split()

    def run(hub: FakeHub) -> Any:
        monkeypatch.setattr("transformers.trainer.hf_api", lambda *_, **__: hub)
        monkeypatch.setattr("open_r1.hub.push.default_api", lambda *_: hub)
        paths = ["--model_name_or_path", tiny_model, "--dataset_name", data, "--output_dir", tmp_path / "out"]
        return open_r1("sft", *paths, *words)

    return run


def test_checkpoints_go_to_the_hub_in_the_background_and_the_model_when_all_is_written(
    train: Callable[[FakeHub], Any], tmp_path: Path
) -> None:
    hub = FakeHub()
    ran = train(hub)
    assert ran.status == 0, ran.err
    assert hub.commits == ["Training in progress, step 2", "Training in progress, step 4", "Model save"]
    assert read_json(tmp_path / "out" / "done.json")["steps"] == STEPS
    assert {"model.safetensors", "config.json", "README.md", "resolved.yaml"} <= hub.uploaded
    assert (tmp_path / "out" / "identity.json").exists()
    assert not {"identity.json", ".lock", "training_args.bin"} & hub.uploaded


@pytest.mark.parametrize("fails", ["now", "later"])
def test_a_hub_that_fails_costs_nothing_but_the_push(
    fails: str, train: Callable[[FakeHub], Any], tmp_path: Path
) -> None:
    ran = train(FakeHub(fails))
    assert ran.status == 1
    assert "was not pushed to the Hub: no network at all; training goes on" in ran.err
    assert "the model was not pushed: no network at all; nothing is lost" in ran.err
    assert f"open-r1 publish {tmp_path / 'out'} --repo_id me/model" in ran.err
    assert read_json(tmp_path / "out" / "done.json")["steps"] == STEPS
    assert (tmp_path / "out" / "checkpoint-4").is_dir()
