"""Settings as TRL's dataclasses get them: typed, with their origins, adapted to the machine, cross-checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from open_r1.configs.parse import parse_stage
from open_r1.errors import ConfigError

BASE = ["--model_name_or_path", "m", "--dataset_name", "d", "--output_dir", "out"]


def recipe(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return ["--config", str(path)]


def test_command_line_wins_over_recipe_wins_over_default(tmp_path: Path) -> None:
    config = recipe(tmp_path, "learning_rate: 1e-6\nseed: 5\n")
    parsed = parse_stage("sft", [*BASE, *config, "--seed", "7"])
    assert parsed.training.learning_rate == 1e-6
    assert parsed.training.seed == 7
    assert parsed.origins["learning_rate"].endswith("recipe.yaml:1")
    assert parsed.origins["seed"] == "command line"
    assert parsed.origins["weight_decay"] == "default"


def test_the_guides_sft_command_line_is_understood() -> None:
    words = (
        "--model_name_or_path Qwen/Qwen2.5-1.5B --dataset_name open-r1/Mixture-of-Thoughts --dataset_config math "
        "--eos_token <|im_end|> --learning_rate 4.0e-5 --num_train_epochs 3 --max_seq_length 16384 "
        "--per_device_train_batch_size 4 --gradient_checkpointing --bf16 --use_liger_kernel --output_dir data/x"
    ).split()
    parsed = parse_stage("sft", words)
    assert parsed.training.max_length == 16384
    assert parsed.training.eos_token == "<|im_end|>"
    assert parsed.training.bf16 is True
    assert parsed.training.gradient_checkpointing is True
    assert parsed.script.dataset_config == "math"
    assert any("'max_seq_length' is now 'max_length'" in notice for notice in parsed.notices)


def test_resolved_yaml_is_a_recipe_that_gives_the_same_settings(tmp_path: Path) -> None:
    words = [*BASE, "--reward_funcs", "accuracy", "format", "--reward_weights", "1", "0.5", "--num_generations", "4"]
    parsed = parse_stage("grpo", words)
    again = parse_stage("grpo", recipe(tmp_path, parsed.as_yaml()))
    assert again.values() == parsed.values()


def test_resolved_yaml_tells_origins_and_keeps_secrets(tmp_path: Path) -> None:
    parsed = parse_stage("sft", [*BASE, "--hub_token", "hf_secret", "--seed", "3"])
    text = parsed.as_yaml()
    assert "hf_secret" not in text
    assert "seed: 3  # command line" in text.splitlines()
    assert yaml.safe_load(text)["seed"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learning_rate", "fast"], "command line: learning_rate = 'fast' can't be used"),
        (["--learning_rate", "-1"], "learning_rate must be above 0"),
        (["--lr_scheduler_type", "cosin"], "cosin"),
        (["--eval_strategy", "sometimes"], "sometimes"),
        (["--learnin_rate", "1"], "did you mean 'learning_rate'"),
        (["--max_length", "0"], "max_length must be at least 1"),
    ],
)
def test_bad_values_are_refused_by_name(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_stage("sft", [*BASE, *words])


def test_bad_value_in_a_recipe_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe.yaml:2: max_steps = 'many' can't be used"):
        parse_stage("sft", [*BASE, *recipe(tmp_path, "seed: 1\nmax_steps: many\n")])


@pytest.mark.parametrize("missing", ["--model_name_or_path", "--dataset_name", "--output_dir"])
def test_what_a_run_cannot_do_without_is_asked_for(missing: str) -> None:
    at = BASE.index(missing)
    with pytest.raises(ConfigError, match=missing.lstrip("-")):
        parse_stage("sft", BASE[:at] + BASE[at + 2 :])


def test_both_data_forms_missing_has_the_contracts_words() -> None:
    words = ["--model_name_or_path", "m", "--output_dir", "out"]
    with pytest.raises(ConfigError, match="Either `dataset_name` or `dataset_mixture` must be provided"):
        parse_stage("sft", words)


def test_a_group_that_does_not_divide_the_batch_names_the_nearest_settings() -> None:
    words = [
        *BASE,
        "--num_generations",
        "14",
        "--per_device_train_batch_size",
        "16",
        "--gradient_accumulation_steps",
        "4",
    ]
    with pytest.raises(ConfigError, match=r"14 does not divide .* 64 .*num_generations = 16, or a batch of 70"):
        parse_stage("grpo", words)


def test_world_size_counts_in_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "7")
    words = [*BASE, "--num_generations", "16", "--per_device_train_batch_size", "16"]
    from open_r1.configs.checks import check_batch

    values = {
        "num_generations": 16,
        "steps_per_generation": None,
        "gradient_accumulation_steps": 1,
        "generation_batch_size": None,
        "per_device_train_batch_size": 3,
    }
    with pytest.raises(ConfigError, match="3 a device x 7 processes x 1 steps"):
        check_batch(values, 7)
    assert words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reward_funcs", "accuracy", "--reward_weights", "1", "2"], "has 2 values .* 1 rewards"),
        (["--reward_funcs", "accuracy", "accuracy"], "names a reward twice"),
        (["--num_generations", "1"], "at least 2"),
        (["--steps_per_generation", "4", "--save_steps", "10"], "nearest valid: save_steps = "),
    ],
)
def test_grpo_settings_that_contradict_each_other_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_stage("grpo", [*BASE, *words])


def test_reward_weights_by_name_come_in_the_rewards_order(tmp_path: Path) -> None:
    config = recipe(tmp_path, "reward_funcs: [format, accuracy]\nreward_weights: {accuracy: 0.4, format: 0.3}\n")
    assert parse_stage("grpo", [*BASE, *config]).training.reward_weights == [0.3, 0.4]
    wrong = recipe(tmp_path, "reward_funcs: [format]\nreward_weights: {accuracy: 0.4}\n")
    with pytest.raises(ConfigError, match="exactly one weight for each reward"):
        parse_stage("grpo", [*BASE, *wrong])


def test_unique_prompts_are_logged_as_the_guides_setting_says() -> None:
    assert parse_stage("grpo", BASE).training.log_unique_prompts is True
    parsed = parse_stage("grpo", [*BASE, "--wandb_log_unique_prompts", "false"])
    assert parsed.training.log_unique_prompts is False


def test_recipes_for_gpus_are_adapted_where_there_is_none(tmp_path: Path) -> None:
    import torch

    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    config = recipe(tmp_path, "attn_implementation: flash_attention_2\nuse_liger_kernel: true\n")
    parsed = parse_stage("sft", [*BASE, *config])
    assert parsed.model.attn_implementation == "sdpa"
    assert parsed.training.use_cpu
    assert not parsed.training.use_liger_kernel
    assert not parsed.training.bf16
    assert len(parsed.adaptations) == 2
    assert parsed.origins["use_cpu"] == "adapted: there is no accelerator"


def test_a_mixture_can_be_given_on_the_command_line() -> None:
    words = ["--model_name_or_path", "m", "--output_dir", "out", "--dataset_mixture", '{"datasets": [{"id": "a"}]}']
    assert parse_stage("sft", words).script.mixture.datasets[0].id == "a"
    with pytest.raises(ConfigError, match="must be JSON"):
        parse_stage("sft", [*words[:-1], "{datasets"])
