"""`sft.main` and `grpo.main` of the guide, with dataclasses that a program made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trl

from open_r1 import grpo, sft
from open_r1.configs import GRPOConfig, GRPOScriptArguments, ModelConfig, ScriptArguments, SFTConfig
from open_r1.errors import ConfigError
from open_r1.rundir import read_json
from open_r1.training.parse import parse_stage


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: Path) -> Path:
    rows = [{"prompt": f"Compute {a}+{b}", "solution": str(a + b)} for a in range(1, 6) for b in range(1, 6)]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"model_name_or_path: {tiny_model}\n"
        f"dataset_mixture: {{datasets: [{{id: {data}, split: 'train[:20]'}}]}}\n"
        f"output_dir: {tmp_path / 'out'}\n"
        "max_steps: 2\nper_device_train_batch_size: 4\nuse_cpu: true\nbf16: false\ngradient_checkpointing: false\n"
        "report_to: none\nlogging_steps: 1\nsave_strategy: 'no'\n"
    )
    return path


@pytest.mark.slow
def test_sft_main_trains_with_what_trls_parser_made(recipe: Path, tmp_path: Path) -> None:
    parser = trl.TrlParser((ScriptArguments, SFTConfig, ModelConfig))
    script, training, model = parser.parse_args_and_config(["--config", str(recipe)])
    stage = sft.main(script, training, model)
    assert (stage.folder, stage.steps) == (tmp_path / "out", 2)
    assert read_json(tmp_path / "out" / "done.json")["weights"] == stage.weights
    again = parse_stage("sft", ["--config", str(stage.folder / "resolved.yaml")])
    as_recipe = parse_stage("sft", ["--config", str(recipe)])
    assert again.script == as_recipe.script
    assert again.values() == as_recipe.values() | {"dataset_mixture": again.values()["dataset_mixture"]}


@pytest.mark.slow
def test_grpo_main_trains_with_what_trls_parser_made(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(
        recipe.read_text()
        + "num_generations: 2\nmax_completion_length: 8\nreward_funcs: [format]\npreflight_prompts: 0\n"
    )
    parser = trl.TrlParser((GRPOScriptArguments, GRPOConfig, ModelConfig))
    stage = grpo.main(*parser.parse_args_and_config(["--config", str(recipe)]))
    assert stage.steps == 2


def test_dataclasses_of_another_kind_are_refused(tmp_path: Path) -> None:
    training = SFTConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False)
    with pytest.raises(ConfigError, match="sft.main takes a ScriptArguments of open_r1.configs, but was given a trl"):
        sft.main(trl.ScriptArguments(dataset_name="d"), training, ModelConfig(model_name_or_path="m"))
