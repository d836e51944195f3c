"""Every recipe that ships parses, and every pipeline plans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from open_r1.configs.parse import parse_stage

RECIPES = Path(__file__).parents[2] / "recipes"
PIPELINES = sorted(path for path in RECIPES.rglob("*.yaml") if "stages" in (yaml.safe_load(path.read_text()) or {}))
STAGES = sorted(
    path for path in RECIPES.rglob("*.yaml") if path not in PIPELINES and "accelerate_configs" not in path.parts
)


def kind_of(path: Path) -> Any:
    return "grpo" if "grpo" in (path.stem, path.parent.name) else "sft"


@pytest.mark.parametrize("path", STAGES, ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_recipe_parses(path: Path, tmp_path: Path) -> None:
    given = {"model_name_or_path": "m", "dataset_name": "d", "output_dir": str(tmp_path)}
    named = yaml.safe_load(path.read_text(encoding="utf-8"))
    missing = [word for key, value in given.items() if key not in named for word in (f"--{key}", value)]
    if "dataset_mixture" in named:
        missing = [word for word in missing if word not in ("--dataset_name", "d")]
    assert parse_stage(kind_of(path), ["--config", str(path), *missing])


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_pipeline_plans(path: Path, open_r1: Callable[..., Any], tmp_path: Path) -> None:
    ran = open_r1("run", path, "--dry-run", "--output_dir", tmp_path / "run")
    assert ran.status == 0, ran.err
    assert "nothing was run" in ran.out
    assert not (tmp_path / "run").exists()


def test_there_are_recipes_to_test() -> None:
    assert len(STAGES) >= 2
    assert len(PIPELINES) >= 1
