"""A short pipeline, run once for all tests that only look at what it left."""

from __future__ import annotations

from pathlib import Path

import pytest
from short_recipe import write_short_recipe

from open_r1.cli.main import main


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished short pipeline; its recipe stands in `../recipe/pipeline.yaml`."""
    folder = tmp_path_factory.mktemp("finished")
    recipe = write_short_recipe(folder / "recipe", folder / "run")
    assert main(["run", str(recipe)]) == 0
    return folder / "run"
