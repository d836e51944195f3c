"""Whatever is wrong with the input: one sentence with the remedy, exit status 2, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SMALL = [
    "--max_steps", "2", "--per_device_train_batch_size", "2", "--gradient_checkpointing", "false",
    "--report_to", "none", "--save_steps", "1",
]  # fmt: skip
GRPO_SMALL = [*SMALL, "--num_generations", "2", "--max_completion_length", "8"]


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    rows = [{"prompt": f"Compute {a}+1", "solution": str(a + 1)} for a in range(20)]
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def assert_refused(ran: Any, *fragments: str, status: int = 2) -> None:
    message = ran.err.strip().splitlines()[-1]
    assert ran.status == status, ran.err
    assert message.startswith("open-r1: ")
    assert "Traceback" not in ran.err
    for fragment in fragments:
        assert fragment in message, message


def train(open_r1: Callable[..., Any], kind: str, model: Path, data: Path, out: Path, *more: object) -> Any:
    settings = SMALL if kind == "sft" else GRPO_SMALL
    return open_r1(kind, "--model_name_or_path", model, "--dataset_name", data, "--output_dir", out, *settings, *more)


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_data_that_cannot_be_used(
    kind: str, open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert_refused(train(open_r1, kind, tiny_model, tmp_path / "no.jsonl", out), "no.jsonl' does not exist")
    traces.write_text(traces.read_text(encoding="utf-8") + '{"prompt": "torn\n', encoding="utf-8")
    assert_refused(train(open_r1, kind, tiny_model, traces, out), "traces.jsonl:21 is not JSON", "mend or remove")
    traces.write_text("", encoding="utf-8")
    assert_refused(train(open_r1, kind, tiny_model, traces, out), "is empty")
    traces.write_text('{"question": "q", "solution": "s"}\n', encoding="utf-8")
    assert_refused(
        train(open_r1, kind, tiny_model, traces, out), "no column 'prompt'", "Found: question, solution",
        "dataset_prompt_column",
    )  # fmt: skip
    assert not (out / "done.json").exists()
    assert not list(out.glob("checkpoint-*"))


def test_a_reward_without_its_column_is_refused_before_the_model_is_loaded(
    open_r1: Callable[..., Any], tmp_path: Path
) -> None:
    data = tmp_path / "p.jsonl"
    data.write_text('{"prompt": "q"}\n')
    ran = train(open_r1, "grpo", Path("Qwen/a-model-that-is-not-there"), data, tmp_path / "out")
    assert_refused(ran, "reward 'accuracy' needs the column 'solution'", "Found: prompt")


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_models_that_are_none(kind: str, open_r1: Callable[..., Any], traces: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    ran = train(open_r1, kind, tmp_path / "folder", traces, tmp_path / "out")
    assert_refused(ran, "is not a model folder: it has no config.json")
    ran = train(open_r1, kind, tmp_path / "nowhere", traces, tmp_path / "out2")
    assert_refused(ran, "model folder", "does not exist")


def test_settings_that_cannot_be_used(
    open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed: 1\nlearnin_rate: 1\n")
    ran = train(open_r1, "sft", tiny_model, traces, out, "--config", recipe)
    assert_refused(ran, "recipe.yaml:2", "did you mean 'learning_rate'?")
    recipe.write_text("seed: [1\n")
    assert_refused(train(open_r1, "sft", tiny_model, traces, out, "--config", recipe), "is not YAML")
    ran = train(open_r1, "grpo", tiny_model, traces, out, "--reward_funcs", "acuracy")
    assert_refused(ran, "did you mean 'accuracy'?")
    assert not out.exists() or not (out / "done.json").exists()


def test_folders_that_cannot_hold_the_run(
    open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert_refused(train(open_r1, "sft", tiny_model, traces, tmp_path / "file" / "x"), "can't be written")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    assert_refused(train(open_r1, "sft", tiny_model, traces, tmp_path / "full"), "holds no run of Open R1")
    out = tmp_path / "out"
    assert train(open_r1, "sft", tiny_model, traces, out).status == 0
    weights = (out / "model.safetensors").read_bytes()
    ran = train(open_r1, "sft", tiny_model, traces, out, "--learning_rate", "0.5")
    assert_refused(ran, "holds a different run: learning_rate was 2e-05 and is now 0.5", "overwrite_output_dir")
    assert (out / "model.safetensors").read_bytes() == weights
    again = train(open_r1, "sft", tiny_model, traces, out)
    assert again.status == 0
    assert "already done" in again.err
    ran = train(open_r1, "sft", tiny_model, traces, out, "--learning_rate", "0.5", "--overwrite_output_dir", "true")
    assert ran.status == 0
    assert (out / "model.safetensors").read_bytes() != weights


def test_changed_data_under_a_run_is_noticed(
    open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    assert train(open_r1, "sft", tiny_model, traces, tmp_path / "out").status == 0
    traces.write_text(traces.read_text(encoding="utf-8") + '{"prompt": "new", "solution": "row"}\n', encoding="utf-8")
    assert_refused(train(open_r1, "sft", tiny_model, traces, tmp_path / "out"), "dataset_file was")


PIPELINES = {
    "name: x\noutput_dir: out\nstages: {}\n": "'stages' must be a mapping",
    "output_dir: out\nstages:\n  a: {kind: problem}\n": "did you mean 'problems'",
    "output_dir: out\nstages:\n  a: {kind: traces, problems: b}\n": "needs 'b', which does not stand before it",
    "output_dir: out\nstages:\n  a: {kind: problems, familes: {sums: [1, 2]}}\n": "did you mean 'families'",
    "output_dir: out\nstages:\n  a: {kind: problems, families: {sum: [1, 2]}}\n": "did you mean 'sums'",
    "output_dir: out\nstages:\n  a: {kind: problems, families: {sums: [0, 99]}}\n": "within [1, 8]",
    "output_dir: out\nstages:\n  a: {kind: problems, families: {sums: [1, 2]}, sft: 0}\n": "at least 1",
    "stages:\n  a: {kind: report}\n": "output_dir is not set",
    "output_dir: out\nseeds: 3\nstages:\n  a: {kind: report}\n": "unknown key 'seeds'; did you mean 'seed'",
    "output_dir: out\nseed: -1\nstages:\n  a: {kind: report}\n": "seed must be a whole number",
    "output_dir: out\nthreads: 0\nstages:\n  a: {kind: report}\n": "threads must be a whole number",
}


@pytest.mark.parametrize("text", PIPELINES)
def test_pipelines_that_cannot_run(text: str, open_r1: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.yaml").write_text(text)
    assert_refused(open_r1("run", "pipeline.yaml"), PIPELINES[text])
    assert not (tmp_path / "out").exists()


def test_a_missing_pipeline_and_an_unknown_verb_are_refused(open_r1: Callable[..., Any]) -> None:
    assert_refused(open_r1("run", "no/such/pipeline.yaml"), "does not exist")
    assert_refused(open_r1("grop"), "unknown verb 'grop'; did you mean 'grpo'?")


def test_an_evaluation_of_what_is_no_model_is_refused(
    open_r1: Callable[..., Any], traces: Path, tmp_path: Path
) -> None:
    assert_refused(open_r1("eval", tmp_path / "none", "--problems", traces), "does not exist")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("FULL DISK NOT TESTED: mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_during_a_checkpoint_loses_nothing_and_the_run_goes_on(
    small_disk: Path, tiny_model: Path, traces: Path
) -> None:
    out = small_disk / "out"
    command = [
        sys.executable, "-m", "open_r1.cli.main", "sft", "--model_name_or_path", str(tiny_model), "--dataset_name",
        str(traces), "--output_dir", str(out), *SMALL[2:], "--max_steps", "30",
    ]  # fmt: skip
    failed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    message = failed.stderr.strip().splitlines()[-1]
    assert failed.returncode == 1 and "Traceback" not in failed.stderr, failed.stderr
    assert "full" in message
    assert "run the same command again" in message
    whole = [path for path in out.glob("checkpoint-*") if (path / "open_r1_complete.json").exists()]
    assert whole, "the checkpoints written before the disk was full are still there"
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    resumed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert f"going on from {max(whole, key=lambda path: int(path.name.split('-')[1])).name}" in resumed.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(
    open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    traces.chmod(0)
    assert_refused(train(open_r1, "sft", tiny_model, traces, tmp_path / "out"), "can't be read")
