"""Two steps of the recipe for a real pretrained model, where the model can be had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from open_r1.pipeline.kinds.evaluate import EvaluationStage
from open_r1.pipeline.recipe import read_pipeline
from open_r1.rundir import read_jsonl

SMALL = {
    "problems.held_out": 4,
    "grpo.overrides.preflight_prompts": 0,  # twelve tokens are too few for an answer
    "grpo.overrides.max_steps": 2,
    "grpo.overrides.per_device_train_batch_size": 8,
    "grpo.overrides.num_generations": 4,
    "grpo.overrides.max_completion_length": 12,
    "evaluate_base.max_new_tokens": 12,
    "evaluate_grpo.max_new_tokens": 12,
}


@pytest.fixture(scope="module")
def pretrained(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct: the folder that the recipe names, or one made from the package index."""
    folder = repo / "models" / "SmolLM2-135M-Instruct"
    if folder.is_dir():
        return folder
    folder = tmp_path_factory.mktemp("models") / folder.name
    made = subprocess.run(
        [sys.executable, repo / "scripts" / "make_smollm2.py", folder], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"SMOLLM2 ABSENT, ITS RECIPE UNTESTED: {made.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.mark.slow
def test_a_real_model_takes_two_steps_of_r1_zero(repo: Path, pretrained: Path, tmp_path: Path) -> None:
    recipe = repo / "recipes" / "SmolLM2-135M-Instruct" / "r1_zero.yaml"
    models = {f"{stage}.model": pretrained for stage in ("evaluate_base", "grpo")}
    settings = [f"--set={key}={value}" for key, value in {**SMALL, **models}.items()]
    command = [sys.executable, "-m", "open_r1.cli.main", "run", recipe, "--output_dir", tmp_path / "run", *settings]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    rows = [row for row in read_jsonl(tmp_path / "run" / "grpo" / "metrics.jsonl") if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2]
    assert all(0 < row["completions/mean_length"] <= 12 for row in rows)
    assert (tmp_path / "run" / "evaluate_grpo" / "comparison.json").is_file()


@pytest.mark.parametrize("name", ["r1_zero", "sft_grpo"])
def test_the_recipes_measure_the_gain_over_the_model_before(repo: Path, name: str) -> None:
    pipeline = read_pipeline(repo / "recipes" / "SmolLM2-135M-Instruct" / f"{name}.yaml")
    evaluations = {stage.model: stage for stage in pipeline.stages if isinstance(stage, EvaluationStage)}
    assert evaluations["grpo"].baseline in {stage.name for stage in evaluations.values()}
    assert len({(one.max_new_tokens, one.system_prompt, one.temperature) for one in evaluations.values()}) == 1
