"""The whole path: what it leaves, what running it again does, and that being killed changes nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from short_recipe import write_short_recipe

from open_r1.rundir import hash_files, read_json, read_jsonl


def fingerprint_of_results(run: Path) -> dict[str, object]:
    """What must not depend on being killed: weights, every sample, every rollout's reward, the metrics' steps."""
    import pyarrow.parquet

    rollouts = {
        path.name: pyarrow.parquet.read_table(path).to_pylist() for path in sorted((run / "grpo/rollouts").iterdir())
    }
    return {
        "sft": hash_files((run / "sft").glob("*.safetensors")),
        "grpo": hash_files((run / "grpo").glob("*.safetensors")),
        "samples": (run / "evaluate_grpo" / "samples.jsonl").read_text(),
        "rollouts": rollouts,
        "steps": [row["step"] for row in read_jsonl(run / "grpo" / "metrics.jsonl")],
    }


def test_every_stage_leaves_its_records(finished_run: Path) -> None:
    for stage in read_json(finished_run / "pipeline.json")["stages"]:
        assert stage["status"] == "done", stage
        assert (finished_run / stage["folder"] / "done.json").exists()
    for stage in ("sft", "grpo"):
        folder = finished_run / stage
        for name in ("resolved.yaml", "environment.json", "metrics.jsonl", "README.md", "generation_config.json",
                     "config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):  # fmt: skip
            assert (folder / name).exists(), (stage, name)
        assert not list(folder.glob(".*partial"))
    assert "<html" in (finished_run / "report.html").read_text()


def test_held_out_problems_are_in_no_training_file(finished_run: Path) -> None:
    prompts = {
        name: {row["prompt"] for row in read_jsonl(finished_run / "problems" / f"{name}.jsonl")}
        for name in ("sft", "rl", "held_out")
    }
    assert len(prompts["held_out"]) == 16
    assert not prompts["held_out"] & (prompts["sft"] | prompts["rl"])


def test_rollouts_hold_each_reward_its_reason_and_the_advantage(finished_run: Path) -> None:
    import pyarrow.parquet

    files = sorted((finished_run / "grpo" / "rollouts").iterdir())
    assert [path.name for path in files] == [f"step-{step:06d}.parquet" for step in range(1, 10)]
    rows = pyarrow.parquet.read_table(files[0]).to_pylist()
    assert len(rows) == 16
    for row in rows:
        assert {"step", "prompt", "completion", "advantage"} <= row.keys()
        for reward in ("accuracy_reward", "format_reward", "tag_count_reward"):
            assert row[reward] is None or isinstance(row[reward], float)
            assert row[f"{reward}_reason"]


def test_each_reward_is_logged_with_its_variance_and_its_reasons(finished_run: Path) -> None:
    rows = [row for row in read_jsonl(finished_run / "grpo" / "metrics.jsonl") if "reward" in row]
    assert len(rows) == 9
    for row in rows:
        for name in ("accuracy_reward", "format_reward"):
            assert {f"rewards/{name}/{key}" for key in ("mean", "std", "zero_variance", "unscored")} <= row.keys()
            reasons = [value for key, value in row.items() if key.startswith(f"rewards/{name}/reason/")]
            assert sum(reasons) == pytest.approx(1)
    assert read_json(finished_run / "grpo" / "preflight.json")["completions"] >= 32
    assert "Before training, " in (finished_run / "report.html").read_text()


def test_the_model_card_tells_the_lineage(finished_run: Path) -> None:
    card = (finished_run / "grpo" / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata == {
        "library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["open-r1", "reasoning", "sft", "grpo"]
    }  # fmt: skip
    assert f"| started from | {finished_run / 'base'} |" in card
    assert f"| started from | {finished_run / 'sft'} |" in card
    assert "| rewards | accuracy, format, tag_count |" in card
    assert "None" not in card


def test_the_model_stops_where_its_tokenizer_says(finished_run: Path) -> None:
    generation = read_json(finished_run / "grpo" / "generation_config.json")
    from transformers import AutoTokenizer

    assert generation["eos_token_id"] == AutoTokenizer.from_pretrained(finished_run / "grpo").eos_token_id


def test_resolved_settings_say_where_they_came_from(finished_run: Path) -> None:
    text = (finished_run / "grpo" / "resolved.yaml").read_text()
    assert yaml.safe_load(text)["reward_weights"] == [1.0, 0.1, 0.1]
    line = next(line for line in text.splitlines() if line.startswith("learning_rate:"))
    assert line.endswith("grpo.yaml:9")


def test_the_evaluation_has_intervals_and_a_paired_difference(finished_run: Path) -> None:
    summary = read_json(finished_run / "evaluate_grpo" / "summary.json")
    accuracy = summary["modes"]["sampled"]["accuracy"]
    assert 0 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    assert accuracy["n"] == 16
    comparison = read_json(finished_run / "evaluate_grpo" / "comparison.json")
    assert comparison["baseline"] == "sft"
    assert "difference" in comparison["modes"]["greedy"]


def test_running_it_again_skips_every_finished_stage(finished_run: Path, open_r1: Callable[..., object]) -> None:
    before = fingerprint_of_results(finished_run)
    ran = open_r1("run", finished_run.parent / "recipe" / "pipeline.yaml")
    assert ran.status == 0
    assert ran.err.count("already done in") == 8
    assert fingerprint_of_results(finished_run) == before


def test_other_settings_are_refused_and_made_anew_only_when_asked(
    finished_run: Path, tmp_path: Path, open_r1: Callable[..., object]
) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "run")
    recipe = finished_run.parent / "recipe" / "pipeline.yaml"
    changed = ["run", recipe, "--output_dir", copy, "--set", "grpo.overrides.max_steps=4"]
    before = fingerprint_of_results(copy)
    refused = open_r1(*changed)
    assert refused.status == 2  # type: ignore[attr-defined]
    assert "grpo, evaluate_grpo have changed since" in refused.err  # type: ignore[attr-defined]
    assert fingerprint_of_results(copy) == before
    typo = open_r1(*changed, "--set", "grpo.overrides.max_stepz=4", "--overwrite")
    assert typo.status == 2 and "did you mean 'max_steps'" in typo.err  # type: ignore[attr-defined]
    assert fingerprint_of_results(copy) == before
    made = open_r1(*changed, "--overwrite")
    assert made.status == 0 and made.err.count("already done in") == 6  # type: ignore[attr-defined]
    assert read_json(copy / "grpo" / "done.json")["steps"] == 4
    assert fingerprint_of_results(copy)["sft"] == before["sft"]


def test_a_checkpoint_cut_off_in_writing_is_not_resumed_from(finished_run: Path, tmp_path: Path) -> None:
    from open_r1.cli.main import main

    copy = shutil.copytree(finished_run, tmp_path / "run")
    expected = fingerprint_of_results(finished_run)
    last = copy / "grpo" / "checkpoint-9"
    (last / "open_r1_complete.json").unlink()
    (last / "optimizer.pt").write_bytes(b"cut")
    for name in ("grpo/done.json", "grpo/model.safetensors", "evaluate_grpo/done.json"):
        (copy / name).unlink()
    recipe = finished_run.parent / "recipe" / "pipeline.yaml"
    assert main(["run", str(recipe), "--output_dir", str(copy)]) == 0
    assert fingerprint_of_results(copy) == expected


@pytest.mark.timeout(900)
def test_killed_at_random_moments_it_ends_with_the_same_weights(finished_run: Path, tmp_path: Path) -> None:
    recipe = write_short_recipe(tmp_path / "recipe", tmp_path / "run")
    command = [sys.executable, "-m", "open_r1.cli.main", "run", str(recipe)]
    moments = random.Random(20261122)
    kills = 0
    for _attempt in range(12):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        if kills < 5 and wait_for_work(process, moments.uniform(0.0, 2.0)):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        assert process.wait(timeout=300) == 0
        break
    assert kills >= 3, f"only {kills} kills landed in 12 tries"
    assert fingerprint_of_results(tmp_path / "run") == fingerprint_of_results(finished_run)


def wait_for_work(process: subprocess.Popen[str], seconds: float) -> bool:
    """Wait until the process begins or continues a stage, then `seconds` more; False when it has ended by then."""
    assert process.stderr is not None
    for line in process.stderr:
        if "starts" in line or "goes on" in line:
            break
    time.sleep(seconds)
    return process.poll() is None


def test_two_runs_of_one_folder_at_once_are_refused(tmp_path: Path, open_r1: Callable[..., object]) -> None:
    from open_r1.rundir import RunDir

    recipe = write_short_recipe(tmp_path / "recipe", tmp_path / "run")
    with RunDir(tmp_path / "run").locked():
        ran = open_r1("run", recipe)
    assert ran.status == 2
    assert "another run is writing" in ran.err


def test_metrics_are_json_with_a_step_in_every_line(finished_run: Path) -> None:
    for stage in ("sft", "grpo"):
        for line in (finished_run / stage / "metrics.jsonl").read_text().splitlines():
            assert "step" in json.loads(line)


def test_a_file_changed_after_its_stage_was_done_is_noticed(
    finished_run: Path, tmp_path: Path, open_r1: Callable[..., object]
) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "run")
    traces = copy / "traces" / "traces.jsonl"
    traces.write_text(traces.read_text().replace("The total", "The sum", 1))
    ran = open_r1("run", finished_run.parent / "recipe" / "pipeline.yaml", "--output_dir", copy)
    assert ran.status == 2  # type: ignore[attr-defined]
    assert "traces.jsonl' was changed or removed since stage 'traces' made it" in ran.err  # type: ignore[attr-defined]
