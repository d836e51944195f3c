"""The three small pipelines of R1: the same base, and the paper's order end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from open_r1.cli.main import main
from open_r1.pipeline import read_pipeline
from open_r1.pipeline.runner import fingerprint_stages
from open_r1.rundir import read_json, read_jsonl

SHORT = """problems.sft=400 problems.rl=64 problems.held_out=8 model.shape.hidden_size=32 model.shape.num_layers=1
base.accuracy=[0.02,1] base.max_steps=400 few.traces.traces=200 cold_start.overrides.max_steps=60
reasoning.overrides.max_steps=2 reasoning.overrides.preflight_prompts=0 generate.max_new_tokens=40 mixture.traces.few=20
sft.overrides.max_steps=4 all_problems.rl=32 grpo.overrides.max_steps=1 grpo.overrides.preflight_prompts=0
evaluate.num_samples=1 evaluate_base.num_samples=1 problems.families.sums=[1,2] problems.families.weekdays=[1,2]""".split()


def test_all_three_start_from_the_same_base_and_end_on_the_same_problems(repo: Path) -> None:
    pipelines = {path.stem: read_pipeline(path) for path in (repo / "recipes/pipelines/tiny").glob("*.yaml")}
    assert sorted(pipelines) == ["r1", "r1-distill", "r1-zero"]
    shared = ("problems", "traces", "model", "base", "evaluate_base")
    each = [fingerprint_stages(pipeline) for pipeline in pipelines.values()]
    assert all({one[name] for one in each} == {each[0][name]} for name in shared)
    last = [next(stage for stage in pipeline.stages if stage.name == "evaluate") for pipeline in pipelines.values()]
    assert {(stage.problems, stage.max_new_tokens) for stage in last} == {("problems", 64)}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_r1_runs_from_cold_start_to_the_last_reinforcement(repo: Path, tmp_path: Path) -> None:
    recipe, changes = repo / "recipes/pipelines/tiny/r1.yaml", [word for one in SHORT for word in ("--set", one)]
    out = tmp_path / "run"
    assert main(["run", str(recipe), "--output_dir", str(out), *changes]) == 0
    assert {stage["status"] for stage in read_json(out / "pipeline.json")["stages"]} == {"done"}

    started_from = {
        name: Path(yaml.safe_load((out / name / "resolved.yaml").read_text())["model_name_or_path"]).name
        for name in ("cold_start", "reasoning", "sft", "grpo")
    }
    assert started_from == {"cold_start": "base", "reasoning": "cold_start", "sft": "base", "grpo": "sft"}
    kept, asked = read_jsonl(out / "select" / "traces.jsonl"), read_jsonl(out / "problems" / "rl.jsonl")
    assert 1 <= len(kept) <= len(asked)
    assert all(row["verified"] for row in kept)
    assert len(read_jsonl(out / "mixture" / "traces.jsonl")) == len(kept) + 20
    assert (out / "report.html").exists()
