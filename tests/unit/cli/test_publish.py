"""Models published: the card, what is checked, what stays here, and what a failed upload leaves."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from open_r1.errors import ModelError
from open_r1.hub import publish, push
from open_r1.hub.card import is_foreign, write_own_card
from open_r1.hub.folders import check_weights, read_header
from open_r1.rundir import hash_files, read_json, write_json


class Hub:
    """A Hub that fails so many uploads, then keeps what it is given."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.uploads, self.calls = failures, [], []

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create_repo", repo_id, options["repo_type"], options["private"]))

    def create_branch(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create_branch", options["branch"]))

    def upload_folder(self, **options: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no network")
        self.uploads.append(options)


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A finished run of ours with a sibling evaluation of its pipeline."""
    folder = tmp_path / "run" / "grpo"
    shutil.copytree(tiny_model, folder)
    settings = {
        "model_name_or_path": "Qwen/Qwen2.5-1.5B-Instruct", "dataset_name": "me/problems", "reward_funcs": ["accuracy"],
        "learning_rate": 1e-6, "seed": 3,
    }  # fmt: skip
    (folder / "resolved.yaml").write_text(yaml.safe_dump(settings))
    write_json(folder / "environment.json", {"versions": {"torch": "2.13.0"}, "commit": "abc123", "accelerators": []})
    write_json(folder / "done.json", {"steps": 7, "weights": hash_files(folder.glob("*.safetensors"))})
    write_json(folder.parent / "pipeline.json", {"stages": []})
    (folder / "checkpoint-7").mkdir()
    (folder / "checkpoint-7" / "optimizer.pt").write_bytes(b"x")
    summarise(folder.parent / "evaluate_grpo", "grpo", 0.527)
    summarise(folder.parent / "evaluate_sft", "sft", 0.111)
    return folder


def summarise(folder: Path, model: str, value: float) -> None:
    accuracy = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 30}
    mode = {
        "accuracy": accuracy,
        "num_samples": 64,
        "temperature": 0.6,
        "max_new_tokens": 32768,
        "truncated_share": 0.02,
    }
    write_json(
        folder / "summary.json", {"name": "aime24", "model": model, "num_problems": 30, "modes": {"sampled": mode}}
    )


def test_the_dry_run_needs_no_token_and_shows_lineage_and_results(open_r1: Callable[..., Any], model: Path) -> None:
    before = hash_files(path for path in model.rglob("*") if path.is_file())
    ran = open_r1("publish", model, "--repo-id", "me/mine", "--dry-run", "--tags", "math")
    assert ran.status == 0
    card = ran.out
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata["base_model"] == "Qwen/Qwen2.5-1.5B-Instruct" and metadata["datasets"] == ["me/problems"]
    assert metadata["tags"] == ["open-r1", "reasoning", "grpo", "math"]
    assert "| aime24 | sampled, T 0.6 | 30 × 64 | 52.7 [42.7, 62.7] | 32,768 | 2.0 |" in card
    assert "11.1" not in card and "abc123" in card and "open-r1 serve me/mine" in card
    assert "model.safetensors" in ran.err and "checkpoint-7" not in ran.err
    assert hash_files(path for path in model.rglob("*") if path.is_file()) == before


def test_a_failed_upload_loses_nothing_and_the_same_command_tries_again(
    open_r1: Callable[..., Any], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(failures=1)
    monkeypatch.setattr(push, "default_api", lambda: hub)
    failed = open_r1("publish", model, "--repo_id", "me/mine", "--revision", "v1", "--private")
    assert failed.status == 1 and "nothing is lost" in failed.err and "no network" in failed.err
    assert open_r1("publish", model, "--repo_id", "me/mine", "--revision", "v1", "--private").status == 0
    (upload,) = hub.uploads
    assert (upload["repo_id"], upload["repo_type"], upload["revision"]) == ("me/mine", "model", "v1")
    assert {"checkpoint-*", ".*", "training_args.bin"} <= set(upload["ignore_patterns"])
    assert ("create_repo", "me/mine", "model", True) in hub.calls and ("create_branch", "v1") in hub.calls
    assert "# mine" in (model / "README.md").read_text()


FOREIGN_CARDS = {
    "written by hand": "# My model\n\nSix months of work.\n",
    "another's, of the same tag": "---\nlibrary_name: transformers\ntags:\n- open-r1\n- trl\n---\n# Model Card for x\n",
    "about ours": "# Notes\n\n## How it was made\n\nWith open-r1.\n",
}


@pytest.mark.parametrize("text", FOREIGN_CARDS.values(), ids=FOREIGN_CARDS)
def test_a_card_that_somebody_wrote_is_not_replaced_unasked(
    open_r1: Callable[..., Any], model: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    hub = Hub()
    monkeypatch.setattr(push, "default_api", lambda: hub)
    card = model / "README.md"
    card.write_text(text)
    for flags in ([], ["--dry-run"]):
        refused = open_r1("publish", model, "--repo_id", "me/mine", *flags)
        assert refused.status == 2 and "--card" in refused.err and "--overwrite_card" in refused.err
    assert open_r1("publish", model, "--repo_id", "me/mine", "--card", card).status == 0
    assert card.read_text() == text
    assert open_r1("publish", model, "--repo_id", "me/mine", "--overwrite_card").status == 0
    assert "# mine" in card.read_text() and len(hub.uploads) == 2


OLDER_CARD = """---
tags:
- open-r1
---

# sft

Every setting, with where it came from, is in `resolved.yaml`; versions and hardware are in `environment.json`.
"""


def test_the_card_of_a_training_is_ours_to_replace(model: Path) -> None:
    card = model / "README.md"
    card.write_text(OLDER_CARD)
    assert not is_foreign(card)
    write_own_card(model)
    assert "Nothing was measured yet." in card.read_text()  # the pipeline's results may be of an earlier training
    summarise(model / "eval" / "aime24", "grpo", 0.527)
    write_own_card(model)
    text = card.read_text()
    assert "# grpo" in text and "| aime24 | sampled, T 0.6 |" in text and not is_foreign(card)
    assert "| started from | Qwen/Qwen2.5-1.5B-Instruct |" in text


@pytest.mark.parametrize("name", ["environment.json", "done.json", "resolved.yaml"])
def test_a_damaged_record_of_an_earlier_run_does_not_stop_a_training_at_its_end(model: Path, name: str) -> None:
    (model / name).write_bytes(b"{\xff")
    write_own_card(model)
    assert "Not recorded." in (model / "README.md").read_text()


@pytest.mark.parametrize("text", FOREIGN_CARDS.values(), ids=FOREIGN_CARDS)
def test_a_training_leaves_a_card_that_somebody_wrote(model: Path, text: str) -> None:
    (model / "README.md").write_text(text)
    write_own_card(model)
    assert (model / "README.md").read_text() == text


def test_python_users_publish_with_a_function(model: Path) -> None:
    hub, said = Hub(), []
    published = publish(model, "me/mine", tags=["math"], dry_run=True, api=hub, report=said.append)
    assert "# mine" in published.card and "- math\n" in published.card and published.parameters > 0
    assert "model.safetensors" in published.files and "README.md" in published.files and not hub.calls
    assert published.size >= (model / "model.safetensors").stat().st_size and "all of them finite" in said[-1]
    publish(model, "me/mine", api=hub)
    assert hub.calls == [("create_repo", "me/mine", "model", None)] and len(hub.uploads) == 1


def test_settings_with_a_token_stay_here(open_r1: Callable[..., Any], model: Path) -> None:
    settings = yaml.safe_load((model / "resolved.yaml").read_text()) | {"hub_token": "hf_secret"}
    (model / "resolved.yaml").write_text(yaml.safe_dump(settings))
    ran = open_r1("publish", model, "--repo_id", "me/mine", "--dry-run")
    assert "resolved.yaml" not in ran.err and "hf_secret" not in ran.out


def test_named_evaluations_must_be_of_this_model(open_r1: Callable[..., Any], model: Path, tmp_path: Path) -> None:
    summarise(tmp_path / "other" / "aime24", "somebody/else", 0.99)
    ran = open_r1("publish", model, "--repo_id", "me/mine", "--dry-run", "--evaluations", tmp_path / "other")
    assert ran.status == 2 and "'somebody/else'" in ran.err
    summarise(tmp_path / "mine" / "aime24", str(model), 0.25)
    ran = open_r1("publish", model, "--repo_id", "me/mine", "--dry-run", "--evaluations", tmp_path / "mine")
    assert "25.0 [15.0, 35.0]" in ran.out
    ran = open_r1("publish", model, "--repo_id", "me/mine", "--dry-run", "--evaluations", tmp_path / "nothing")
    assert ran.status == 2 and "contains no evaluation" in ran.err


def test_a_folder_of_another_maker_says_that_nothing_is_recorded(
    open_r1: Callable[..., Any], tiny_model: Path
) -> None:
    ran = open_r1("publish", tiny_model, "--repo_id", "me/mine", "--dry-run")
    assert ran.status == 0 and "Not recorded." in ran.out and "Nothing was measured yet." in ran.out


@pytest.mark.parametrize("name", ["mine", "a/b/c", "/x", "me/"])
def test_repositories_are_user_and_name(open_r1: Callable[..., Any], tiny_model: Path, name: str) -> None:
    ran = open_r1("publish", tiny_model, "--repo_id", name, "--dry-run")
    assert ran.status == 2 and "user/name" in ran.err


def test_unfinished_runs_and_changed_weights_are_refused(open_r1: Callable[..., Any], model: Path) -> None:
    write_json(model / "done.json", read_json(model / "done.json") | {"weights": "0" * 64})
    ran = open_r1("publish", model, "--repo_id", "me/mine", "--dry-run")
    assert ran.status == 2 and "not those that its training left" in ran.err
    (model / "done.json").unlink()
    ran = open_r1("publish", model, "--repo_id", "me/mine", "--dry-run")
    assert ran.status == 2 and "not finished" in ran.err


def write_weights(path: Path, tensors: dict[str, tuple[str, np.ndarray]]) -> None:
    """A safetensors file by hand, so that values of any type can be put in."""
    header, data = {}, b""
    for name, (dtype, values) in tensors.items():
        raw = values.tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


def test_good_weights_are_counted(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    expected = sum(values.size for values in load_file(tiny_model / "model.safetensors").values())
    assert check_weights(tiny_model) == expected
    write_weights(tmp_path / "model.safetensors", {"a": ("BF16", np.array([[0x3F80, 0x7F7F]], "<u2"))})
    assert check_weights(tmp_path) == 2


BAD_VALUES = [
    ("F32", np.array([1.0, math.nan], "<f4")),
    ("F32", np.array([-math.inf], "<f4")),
    ("F16", np.array([1.0, math.inf], "<f2")),
    ("F64", np.array([math.nan], "<f8")),
    ("BF16", np.array([0x3F80, 0x7FC0], "<u2")),
    ("BF16", np.array([0xFF80], "<u2")),
]


@pytest.mark.parametrize(("dtype", "values"), BAD_VALUES, ids=range(len(BAD_VALUES)))
def test_values_that_are_no_numbers_are_found(tmp_path: Path, dtype: str, values: np.ndarray) -> None:
    write_weights(tmp_path / "model.safetensors", {"good": ("F32", np.ones(9, "<f4")), "bad.weight": (dtype, values)})
    with pytest.raises(ModelError, match=r"not numbers.*bad\.weight"):
        check_weights(tmp_path)


def test_cut_and_missing_files_are_found(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        check_weights(tmp_path)
    path = tmp_path / "model-00001-of-00002.safetensors"
    write_weights(path, {"a": ("F32", np.ones(4, "<f4"))})
    whole = path.read_bytes()
    for size in (0, 5, 20, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match="is damaged"):
            read_header(path)
    path.write_bytes(whole)
    index = tmp_path / "model.safetensors.index.json"
    write_json(index, {"weight_map": {"a": path.name, "b": "model-00002-of-00002.safetensors"}})
    with pytest.raises(ModelError, match="00002-of-00002.safetensors, which is not there"):
        check_weights(tmp_path)
    write_json(index, {"weight_map": {"a": path.name, "b": path.name}})
    with pytest.raises(ModelError, match="does not contain it"):
        check_weights(tmp_path)
    write_json(index, {"weight_map": {"a": path.name}})
    assert check_weights(tmp_path) == 4


def test_a_dry_run_of_a_training_hides_secrets(open_r1: Callable[..., Any], tiny_model: Path) -> None:
    url = "https://me:hunter22@data.example/rows.jsonl"
    ran = open_r1("sft", "--dry-run", "--model_name_or_path", tiny_model, "--dataset_name", url, "--output_dir", "out")
    assert "hunter22" not in ran.out + ran.err and "me:<hidden>@" in ran.out


def test_a_dry_run_of_a_training_shows_what_was_set_and_counts_the_rows(
    open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"prompt": "1+1", "solution": "2"}\n' * 3)
    words = ["--model_name_or_path", tiny_model, "--dataset_name", data, "--output_dir", tmp_path / "out", "--seed", 3]
    ran = open_r1("sft", "--dry-run", *words)
    assert ran.status == 0, ran.err
    lines = ran.out.splitlines()
    assert "seed: 3  # command line" in lines and lines[-1] == "# train: 3 rows with messages"
    assert len(lines) < 12 and not any(line.endswith("# default") for line in lines)
    assert yaml.safe_load(ran.out)["seed"] == 3
    every = open_r1("sft", "--dry-run", "--all", *words).out
    assert "weight_decay: 0.0  # default" in every
    data.write_text('{"question": "1+1"}\n')
    refused = open_r1("grpo", "--dry-run", *words)
    assert refused.status == 2 and "'prompt'" in refused.err
    assert not (tmp_path / "out").exists()


def test_an_adapter_is_published_with_its_base_or_not_at_all(
    open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "lora"
    adapter.mkdir()
    write_weights(adapter / "adapter_model.safetensors", {"a": ("F32", np.ones(4, "<f4"))})
    write_json(adapter / "adapter_config.json", {"base_model_name_or_path": str(tiny_model)})
    refused = open_r1("publish", adapter, "--repo_id", "me/mine", "--dry-run")
    assert refused.status == 2 and f"open-r1 merge {adapter} OUT" in refused.err
    write_json(adapter / "adapter_config.json", {"base_model_name_or_path": "Qwen/Qwen3-0.6B"})
    ran = open_r1("publish", adapter, "--repo_id", "me/mine", "--dry-run")
    assert ran.status == 0, ran.err
    assert yaml.safe_load(ran.out.split("---")[1])["base_model"] == "Qwen/Qwen3-0.6B"
