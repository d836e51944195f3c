"""Every recipe that ships parses, and every pipeline plans."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from open_r1.training.parse import parse_stage

RECIPES = Path(__file__).parents[2] / "recipes"
PIPELINES = sorted(path for path in RECIPES.rglob("*.yaml") if "stages" in (yaml.safe_load(path.read_text()) or {}))
STAGES = sorted(
    path
    for path in RECIPES.rglob("*.yaml")
    if path not in PIPELINES and not {"accelerate_configs", "dataset_filtering"}.intersection(path.parts)
)
FILTERS = sorted((RECIPES / "dataset_filtering").glob("*.yaml"))


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


@pytest.mark.parametrize("path", FILTERS, ids=lambda path: path.stem)
def test_every_filter_of_pass_rates_plans(path: Path, open_r1: Callable[..., Any], tmp_path: Path) -> None:
    asked = yaml.safe_load(path.read_text(encoding="utf-8"))
    column = asked.get("dataset_prompt_column", "prompt")
    row = {column: "What is 2+2?", "solution": "4", "verification_info": {"language": "python", "test_cases": []}}
    problems = tmp_path / "problems.jsonl"
    problems.write_text(json.dumps(row) + "\n", encoding="utf-8")
    rewards = ["--rewards", "accuracy"] if asked["reward_funcs"] == ["binary_code"] else []  # no sandbox everywhere
    ran = open_r1(
        "data", "pass-rate", problems, "--config", path, "--dry-run", "--output_dir", tmp_path / "out", *rewards
    )
    assert ran.status == 0, ran.err
    assert f"1 problems × {asked['num_generations']} samples" in ran.out
    assert f"{asked['pass_rate_min']:g} < pass_rate < {asked['pass_rate_max']:g}" in ran.out
    assert not (tmp_path / "out").exists()


def test_there_are_recipes_to_test() -> None:
    assert len(FILTERS) == 3
    assert len(STAGES) >= 2
    assert len(PIPELINES) >= 1


@pytest.mark.parametrize("path", sorted((RECIPES / "accelerate_configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_accelerate_file_is_one_for_accelerate(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.num_processes == 8
    assert config.mixed_precision == "bf16"


def test_the_shipped_chat_template_keeps_thinking_and_marks_the_loss(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    from open_r1.training.models import CHATML, check_template

    recipe = yaml.safe_load((RECIPES / "OpenR1-Distill-7B/sft/config_distill.yaml").read_text())
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>\nt\n</think>\na"}]
    expected = tokenizer.apply_chat_template(messages, tokenize=False, chat_template=CHATML)
    tokenizer.chat_template = recipe["chat_template"]
    check_template(tokenizer)
    assert tokenizer.apply_chat_template(messages, tokenize=False) == expected
