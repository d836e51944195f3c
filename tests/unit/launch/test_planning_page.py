"""The page on planning has the tables that are computed now, and every shipped recipe has a plan."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from open_r1.configs.reader import read_values
from open_r1.launch.plan import plan, plan_pipeline
from open_r1.launch.plan.stages import is_pipeline

RECIPES = Path(__file__).parents[3] / "recipes"
SHIPPED = sorted(
    path for path in RECIPES.rglob("*.yaml") if not {"accelerate_configs", "dataset_filtering"} & {*path.parts}
)


def test_the_page_on_planning_is_current(repo: Path) -> None:
    script = repo / "scripts" / "make_planning_page.py"
    ran = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_shipped_recipe_has_a_plan_without_network(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if is_pipeline(path):
        plans = plan_pipeline(path)
    else:
        model = str(read_values(path).get("model_name_or_path", "runs/"))
        changes = ["model_name_or_path=HuggingFaceTB/SmolLM2-135M"] if model.startswith("runs/") else []
        plans = [plan(path, accelerator="zero3", changes=changes)]
    assert all(one.memory.total > 0 and (one.fits or one.change) for one in plans)
