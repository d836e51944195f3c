"""Presets: a paper's values under one key, what is given beside them, and the notice of defaults that changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import yaml

from open_r1.errors import ConfigError
from open_r1.rundir import read_jsonl
from open_r1.training.parse import parse_stage
from open_r1.training.presets import CHANGED, PRESETS

BASE = ["--model_name_or_path", "m", "--dataset_name", "d", "--output_dir", "out"]
RECIPES = Path(__file__).parents[3] / "recipes"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_its_values_and_resolved_yaml_says_where_they_come_from(name: Any) -> None:
    parsed = parse_stage("grpo", [*BASE, "--preset", name])
    lines = parsed.as_yaml().splitlines()
    for key, value in PRESETS[name].values.items():
        assert getattr(parsed.training, key) == value
        assert any(line.startswith(f"{key}: ") and line.endswith(f"# preset {name}") for line in lines)
    assert all(len(paper.split(".")) == 2 for paper in PRESETS[name].papers)


@pytest.mark.parametrize("name", PRESETS)
def test_resolved_yaml_of_a_preset_gives_the_same_settings_again(name: str, tmp_path: Path) -> None:
    parsed = parse_stage("grpo", [*BASE, "--preset", name, "--epsilon_high", "0.5"])
    (tmp_path / "resolved.yaml").write_text(parsed.as_yaml(), encoding="utf-8")
    assert parse_stage("grpo", ["--config", str(tmp_path / "resolved.yaml")]).values() == parsed.values()


def test_a_key_that_is_given_wins_over_the_preset_wherever_it_stands(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("beta: 0.01\npreset: grpo\nepsilon_high: 0.3\n", encoding="utf-8")
    parsed = parse_stage("grpo", [*BASE, "--config", str(recipe), "--preset", "dapo", "--epsilon", "0.1"])
    found = {key: getattr(parsed.training, key) for key in ("beta", "epsilon", "epsilon_high", "loss_type")}
    assert found == {"beta": 0.01, "epsilon": 0.1, "epsilon_high": 0.3, "loss_type": "dapo"}
    assert parsed.origins["beta"].endswith("recipe.yaml:1")
    assert parsed.origins["loss_type"] == "preset dapo"
    assert parse_stage("grpo", [*BASE, "--preset", "null"]).origins["loss_type"] == "default"


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="preset must be grpo or dapo or dr_grpo or gspo or cispo or null, but is 'ppo'"
    ):
        parse_stage("grpo", [*BASE, "--preset", "ppo"])
    with pytest.raises(ConfigError, match="unknown setting --preset"):
        parse_stage("sft", [*BASE, "--preset", "dapo"])


def test_a_recipe_that_leaves_out_changed_defaults_is_told_once_what_it_gets(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("use_vllm: true\nbeta: 0.04\n", encoding="utf-8")
    (notice,) = parse_stage("grpo", [*BASE, "--config", str(recipe)]).notices
    assert "loss_type is dapo (was bnpo), vllm_mode is colocate (was server), " in notice
    assert "max_completion_length is 512 (was 256), gradient_checkpointing is true (was false)" in notice
    assert "beta" not in notice
    assert not parse_stage("grpo", BASE).notices, "there is no recipe"


STAGES = sorted(
    path
    for path in RECIPES.rglob("*.yaml")
    if not {"accelerate_configs", "dataset_filtering"}.intersection(path.parts)
    and "stages" not in yaml.safe_load(path.read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("path", STAGES, ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_shipped_recipe_states_the_defaults_that_changed(path: Path) -> None:
    stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    wanted = {"gradient_checkpointing"} if "sft" in (path.stem, path.parent.name) else set(CHANGED)
    assert wanted - stated.keys() <= ({"vllm_mode"} if not stated.get("use_vllm") else set())


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_learns(
    name: str, open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits.py").write_text(
        "def share_of_digits(completions, **columns):\n"
        "    texts = [completion[0]['content'] for completion in completions]\n"
        "    return [sum(map(str.isdigit, text)) / max(1, len(text)) for text in texts]\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"Say {n}"}) + "\n" for n in range(64)), encoding="utf-8")
    words = (
        "--reward_funcs digits:share_of_digits --max_steps 25 --per_device_train_batch_size 64 --num_generations 8 "
        "--max_completion_length 12 --learning_rate 1e-2 --lr_scheduler_type constant --gradient_checkpointing false "
        "--report_to none --logging_steps 1 --save_strategy no --mask_truncated_completions false"
    ).split()
    paths = ["--model_name_or_path", tiny_model, "--dataset_name", data, "--output_dir", tmp_path / "out"]
    ran = open_r1("grpo", "--preset", name, *paths, *words)
    assert ran.status == 0, ran.err
    rewards = [row["reward"] for row in read_jsonl(tmp_path / "out" / "metrics.jsonl") if "reward" in row]
    assert mean(rewards[-5:]) > mean(rewards[:3]) + 0.2, rewards


def test_the_loss_of_sft_is_not_taken_for_that_of_grpo(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("gradient_checkpointing: true\n", encoding="utf-8")
    assert parse_stage("sft", [*BASE, "--config", str(recipe)]).notices == ()
