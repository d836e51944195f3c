"""R1's pipelines for GPUs: checked without network, planned to fit, and linked from the guide about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_r1.errors import ConfigError
from open_r1.pipeline import read_pipeline

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "recipes" / "pipelines"
FOR_GPUS = [f"{size}/{name}.yaml" for size in ("1.5B", "7B") for name in ("r1-zero", "r1-distill", "r1")]


@pytest.mark.parametrize("name", [*FOR_GPUS, "progressive.yaml"])
def test_every_training_of_it_fits_eight_gpus_as_its_job_runs(name: str, open_r1: Callable[..., Any]) -> None:
    ran = open_r1("plan", PIPELINES / name, "--gpus", "8xH100-80GB", "--json")
    assert ran.status == 0, ran.err
    assert all(plan["fits"] for plan in json.loads(ran.out)["plans"]), ran.out[:2000]


@pytest.mark.parametrize("size", ["1.5B", "7B", "tiny"])
def test_r1_has_the_paper_s_stages_in_the_paper_s_order(size: str) -> None:
    stages = {stage.name: stage for stage in read_pipeline(PIPELINES / size / "r1.yaml").stages}
    order = [name for name in stages if stages[name].kind in ("sft", "grpo", "generate", "verify", "select")]
    assert order == ["cold_start", "reasoning", "generate", "verify", "select", "sft", "grpo"]
    assert stages["sft"].model == stages["cold_start"].model  # type: ignore[attr-defined]
    assert stages["generate"].model == "reasoning"  # type: ignore[attr-defined]


def test_each_larger_size_waits_for_a_gate() -> None:
    stages = {stage.name: stage for stage in read_pipeline(PIPELINES / "progressive.yaml").stages}
    for training, gate in (
        ("sft_medium", "small_works"),
        ("sft_large", "medium_works"),
        ("grpo_large", "large_works"),
    ):
        assert stages[training].after == [gate]
        assert stages[gate].kind == "gate"


def test_a_number_of_rows_of_a_hub_data_set_is_refused_with_the_way_to_write_it(tmp_path: Path) -> None:
    recipe = tmp_path / "p.yaml"
    recipe.write_text("output_dir: out\nstages:\n  m: {kind: mix, traces: {'org/set?config=all': 500}}\n")
    with pytest.raises(ConfigError, match=r"write 'org/set\?split=train\[:500\]' with the share 1"):
        read_pipeline(recipe)
    recipe.write_text("output_dir: out\nstages:\n  m: {kind: mix, traces: {'org/set?part=all': 1}}\n")
    with pytest.raises(ConfigError, match="unknown option 'part'"):
        read_pipeline(recipe)


def test_the_guide_names_every_file(repo: Path) -> None:
    guide = (repo / "docs" / "guides" / "r1.md").read_text(encoding="utf-8")
    for path in PIPELINES.rglob("*.yaml"):
        if path.parent.name != "stages":
            assert str(path.relative_to(repo)) in guide
