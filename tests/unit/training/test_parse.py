"""Settings as TRL's dataclasses get them: typed, with their origins, adapted to the machine, cross-checked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from open_r1.configs.checks import check_batch
from open_r1.errors import ConfigError
from open_r1.pipeline.training import check_arguments
from open_r1.training.parse import StageKind, parse_stage

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


def test_resolved_yaml_brings_back_small_numbers_and_odd_text_inside_structures(tmp_path: Path) -> None:
    given = (
        "model_init_kwargs: {min_lr: 1.0e-6, note: [yes, 1.0e+20]}\n"
        'system_prompt: "Think 🧠:\\n# \\u2028 \\x7f \\"no\\"."\n'
    )
    parsed = parse_stage("sft", [*BASE, *recipe(tmp_path, given)])
    again = parse_stage("sft", recipe(tmp_path, parsed.as_yaml()))
    assert again.training.model_init_kwargs == {"min_lr": 1e-6, "note": ["yes", 1e20]}
    assert again.training.system_prompt == parsed.training.system_prompt
    assert again.values() == parsed.values()


def test_resolved_yaml_leaves_secrets_to_be_given_again(tmp_path: Path) -> None:
    parsed = parse_stage("sft", [*BASE, "--hub_token", "hf_secret"])
    again = parse_stage("sft", recipe(tmp_path, parsed.as_yaml()))
    assert again.training.hub_token is None
    assert "hub_token" not in yaml.safe_load(parsed.as_yaml())


def test_resolved_yaml_does_not_pin_what_only_this_machine_asked_for(tmp_path: Path) -> None:
    import torch

    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    config = recipe(tmp_path, "attn_implementation: flash_attention_2\nuse_liger_kernel: true\n")
    parsed = parse_stage("sft", [*BASE, *config])
    lines = yaml.safe_load(parsed.as_yaml())
    assert lines["attn_implementation"] == "flash_attention_2"
    assert lines["use_liger_kernel"] is True
    assert not {"use_cpu", "bf16", "dataloader_pin_memory"} & lines.keys()
    assert parse_stage("sft", recipe(tmp_path, parsed.as_yaml())).values() == parsed.values()


def test_resolved_yaml_tells_origins_and_keeps_secrets(tmp_path: Path) -> None:
    parsed = parse_stage("sft", [*BASE, "--hub_token", "hf_secret", "--seed", "3"])
    text = parsed.as_yaml()
    assert "hf_secret" not in text
    assert "seed: 3  # command line" in text.splitlines()
    assert yaml.safe_load(text)["seed"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learning_rate", "fast"], "command line: learning_rate must be a number, but is 'fast'; correct it"),
        (["--learning_rate", "-1"], "learning_rate must be above 0"),
        (["--lr_scheduler_type", "cosin"], "cosin"),
        (["--eval_strategy", "sometimes"], "sometimes"),
        (["--learnin_rate", "1"], "did you mean 'learning_rate'"),
        (["--max_length", "0"], "max_length must be at least 1"),
        (["--save_steps", "0"], "save_steps must be at least 1, or below 1 for a share"),
        (["--gradient_accumulation_steps", "0"], "gradient_accumulation_steps must be at least 1, but is 0"),
        (["--accelerator_config", "none.json"], "a file that a setting names can't be read: .*none.json"),
        (["--lora_r", "8"], "command line: lora_r is set but use_peft is not, so the whole model would be trained"),
        (["--padding_free"], "padding_free without packing does not keep to max_length = 1024"),
        (
            ["--packing", "--max_length", "null"],
            "packing fills sequences of max_length tokens, but max_length is null",
        ),
        (
            ["--metric_for_best_model", "eval_los"],
            "'los' is not a metric that an evaluation reports; did you mean 'loss'",
        ),
        (
            ["--lr_scheduler_type", "cosine_with_min_lr"],
            "lr_scheduler_kwargs = None can't be used with cosine_with_min_lr",
        ),
        (
            ["--lr_scheduler_kwargs", "{min_lr: 1}"],
            "can't be used with linear: .* unexpected keyword .*; it takes none",
        ),
        (["--max_samples", "0"], "max_samples must be at least 1"),
        (["--max_samples", "-3"], "max_samples must be at least 1"),
        (["--dataset_streaming", "true"], "dataset_streaming is not supported here yet"),
        (["--dataset_num_proc", "0"], "dataset_num_proc must be at least 1"),
        (["--callbacks", "mine"], "'mine', which is not a known callback"),
        (["--callbacks", "mine:"], "not of the form module:name"),
        (
            ["--chat_template", "You are a helpful assistant."],
            "is text, not a Jinja template.*belongs in system_prompt",
        ),
        (["--report_to", "wandbb"], "unknown tracker 'wandbb'; did you mean 'wandb'"),
        (["--max_seq_length", "5", "--max_length", "6"], "'max_seq_length' and 'max_length' are one setting"),
        (
            ["--warmup_ratio", "0.1", "--warmup_steps", "5"],
            "'warmup_ratio' and 'warmup_steps' .* given as '0.1' .* '5'",
        ),
    ],
)
def test_bad_values_are_refused_by_name(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_stage("sft", [*BASE, *words])


def test_bad_value_in_a_recipe_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe.yaml:2: max_steps must be a whole number, but is 'many'"):
        parse_stage("sft", [*BASE, *recipe(tmp_path, "seed: 1\nmax_steps: many\n")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate:", "learning_rate must be a number, but is None; give one, or leave the line out"),
        ("per_device_train_batch_size:", "per_device_train_batch_size must be a whole number, but is None"),
        ("seed: [1]", r"seed must be a whole number, but is \[1\]"),
        ("seed: 2020-01-01", "seed must be a whole number, but is '2020-01-01'"),
        ("max_steps: {a: 1}", "max_steps must be a whole number, but is {'a': 1}"),
        ("bf16: [true]", r"bf16 must be true or false or null, but is \[True\]"),
        ("callbacks: [a, null]", r"callbacks must be a list of texts, but is \['a', None\]"),
        ("lr_scheduler_kwargs: [1]", "lr_scheduler_kwargs must be a mapping"),
    ],
)
@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_a_value_of_the_wrong_shape_names_its_line_and_what_is_valid(
    kind: StageKind, text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"recipe.yaml:2: .*{message}|recipe.yaml:2: {message}"):
        parse_stage(kind, [*BASE, *recipe(tmp_path, f"weight_decay: 0\n{text}\n")])


def test_null_is_kept_where_the_type_allows_it(tmp_path: Path) -> None:
    parsed = parse_stage("sft", [*BASE, *recipe(tmp_path, "max_length:\nsystem_prompt: null\nbf16:\n")])
    assert parsed.training.max_length is None


@pytest.mark.parametrize("weights", ["{accuracy: x}", "{accuracy: [1]}", "{accuracy: }", "{accuracy: .nan}"])
def test_a_reward_weight_that_is_no_number_is_refused(weights: str, tmp_path: Path) -> None:
    config = recipe(tmp_path, f"reward_funcs: [accuracy]\nreward_weights: {weights}\n")
    with pytest.raises(ConfigError, match="weight of reward 'accuracy' must be a number"):
        parse_stage("grpo", [*BASE, *config])


def test_the_command_line_may_override_a_recipes_old_name(tmp_path: Path) -> None:
    parsed = parse_stage("sft", [*BASE, *recipe(tmp_path, "max_seq_length: 5\n"), "--max_length", "6"])
    assert parsed.training.max_length == 6
    config = recipe(tmp_path, "max_seq_length: 5\nmax_length: 5\n")
    assert parse_stage("sft", [*BASE, *config]).training.max_length == 5


def test_vllm_settings_without_vllm_are_noticed() -> None:
    parsed = parse_stage("grpo", [*BASE, "--vllm_mode", "server"])
    assert parsed.notices == (
        "vllm_mode is set but use_vllm is not: completions will come from transformers; set use_vllm true.",
    )
    assert not parse_stage("grpo", [*BASE, "--vllm_mode", "server", "--use_vllm", "true"]).notices


def test_a_tracker_that_is_not_installed_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.integrations import integration_utils

    monkeypatch.setattr(integration_utils, "get_available_reporting_integrations", lambda: ["trackio"])
    parsed = parse_stage("sft", [*BASE, "--report_to", "wandb"])
    assert parsed.training.report_to == []
    told = "report_to: 'wandb' becomes [], wandb is not installed here: pip install wandb."
    assert told in parsed.adaptations
    assert yaml.safe_load(parsed.as_yaml())["report_to"] == "wandb"
    assert parse_stage("sft", [*BASE, "--report_to", "none"]).training.report_to == []


def test_the_guides_trackers_are_kept_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "transformers.integrations.integration_utils.get_available_reporting_integrations"
    monkeypatch.setattr(place, lambda: ["tensorboard", "wandb"])
    for name in ("tensorboard", "wandb"):
        parsed = parse_stage("grpo", [*BASE, "--report_to", name])
        assert parsed.training.report_to == [name]
        assert not [told for told in parsed.adaptations if "report_to" in told]


def test_trackio_keeps_the_metrics_where_it_is_installed_and_nothing_else_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = "transformers.integrations.integration_utils.get_available_reporting_integrations"
    monkeypatch.setattr(place, lambda: ["trackio"])
    parsed = parse_stage("sft", BASE)
    assert parsed.training.report_to == ["trackio"]
    assert "report_to" not in yaml.safe_load(parsed.as_yaml()), "another machine may not have it"
    assert parse_stage("sft", [*BASE, "--report_to", "none"]).training.report_to == []
    monkeypatch.setattr(place, list)
    assert parse_stage("sft", BASE).training.report_to == []


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


def test_fourteen_completions_divide_the_batch_of_seven_processes_and_not_that_of_eight() -> None:
    values = {**BATCH, "num_generations": 14, "per_device_train_batch_size": 16, "gradient_accumulation_steps": 4}
    check_batch(values, 7)
    with pytest.raises(ConfigError, match="14 does not divide the generation batch of 512 .*; nearest valid: .* = 16"):
        check_batch(values, 8)


BATCH = {
    "num_generations": 8,
    "steps_per_generation": None,
    "gradient_accumulation_steps": 1,
    "generation_batch_size": None,
    "per_device_train_batch_size": 1,
}


def test_a_batch_of_one_completion_names_the_batch_that_holds_a_group() -> None:
    with pytest.raises(ConfigError, match=r"batch of 1 completions .*; nearest valid: a batch of 8\.$"):
        check_batch(BATCH, 1)
    with pytest.raises(ConfigError, match="must hold at least 1 completion, but is 0"):
        check_batch({**BATCH, "per_device_train_batch_size": 0}, 1)


def test_a_generation_batch_that_was_given_is_not_explained_by_other_settings() -> None:
    with pytest.raises(ConfigError, match=r"batch of 12 completions \(generation_batch_size\); nearest .* of 16"):
        check_batch({**BATCH, "generation_batch_size": 12}, 1)


@pytest.mark.parametrize(
    ("steps", "accumulation", "saved", "nearest_valid"), [(3, 2, 10, 9), (3, 2, 7, 6), (4, 1, 10, 8), (6, 4, 10, 9)]
)
def test_the_checkpoints_that_are_suggested_fall_between_generations(
    steps: int, accumulation: int, saved: int, nearest_valid: int
) -> None:
    words = [
        *BASE, "--steps_per_generation", str(steps), "--gradient_accumulation_steps", str(accumulation),
        "--per_device_train_batch_size", "8", "--save_steps",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=rf"nearest valid: save_steps = {nearest_valid}\."):
        parse_stage("grpo", [*words, str(saved)])
    assert parse_stage("grpo", [*words, str(nearest_valid)])


def test_checkpoints_at_a_share_of_all_steps_are_understood() -> None:
    assert parse_stage("sft", [*BASE, "--save_steps", "0.1"]).training.save_steps == 0.1
    assert parse_stage("grpo", [*BASE, "--save_steps", "0.1"])
    between = [*BASE, "--steps_per_generation", "4", "--save_steps", "0.1"]
    assert parse_stage("grpo", [*between, "--max_steps", "80"])
    with pytest.raises(ConfigError, match="nearest valid: save_steps = 4"):
        parse_stage("grpo", [*between, "--max_steps", "30"])
    with pytest.raises(ConfigError, match="give a multiple of 4 steps, or max_steps"):
        parse_stage("grpo", between)


def test_a_mixture_takes_no_other_name_for_its_training_split() -> None:
    words = ["--model_name_or_path", "m", "--output_dir", "out", "--dataset_mixture", '{"datasets": [{"id": "a"}]}']
    with pytest.raises(ConfigError, match="'foo' can't be used with a mixture, whose training split is 'train'"):
        parse_stage("sft", [*words, "--dataset_train_split", "foo"])


def test_world_size_counts_in_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "7")
    words = [*BASE, "--num_generations", "16", "--per_device_train_batch_size", "16"]
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
    with pytest.raises(ConfigError, match="on the command line: '{datasets' is not YAML"):
        parse_stage("sft", [*words[:-1], "{datasets"])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("sft", ["--learning_rate", "inf"]),
        ("sft", ["--weight_decay", "nan"]),
        ("sft", ["--max_steps", "0"]),
        ("sft", ["--num_train_epochs", "0"]),
        ("sft", ["--seed", "-1"]),
        ("sft", ["--adam_beta1", "2"]),
        ("sft", ["--lora_r", "0"]),
        ("sft", ["--logging_steps", "-1"]),
        ("sft", ["--per_device_train_batch_size", "99999999999999999999"]),
        ("grpo", ["--temperature", "0"]),
        ("grpo", ["--num_iterations", "0"]),
        ("grpo", ["--steps_per_generation", "0"]),
        ("grpo", ["--max_completion_length", "0"]),
        ("grpo", ["--top_p", "2"]),
        ("grpo", ["--reward_weights", "nan", "1", "1"]),
        ("grpo", ["--beta", "nan"]),
    ],
)
def test_numbers_outside_their_range_are_refused_by_name(kind: StageKind, words: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"^command line: {words[0][2:]} must be"):
        parse_stage(kind, [*BASE, *words])


def test_words_of_yaml_1_2_reach_the_fields_as_their_types_say(tmp_path: Path) -> None:
    text = (
        "dataset_config: no\neval_strategy: no\nrun_name: 0123\nlearning_rate: 1e-4\nbf16: false\n"
        "callbacks: [a:b]\nbenchmarks: [007]\nmodel_init_kwargs: {min_lr: 1e-5}\nmax_steps: 0x10\n"
    )
    parsed = parse_stage("sft", [*BASE, *recipe(tmp_path, text)])
    assert (parsed.script.dataset_config, parsed.training.run_name, parsed.training.benchmarks) == (
        "no",
        "0123",
        ["007"],
    )
    assert (parsed.training.eval_strategy.value, parsed.training.learning_rate, parsed.training.max_steps) == (
        "no",
        1e-4,
        16,
    )
    assert parsed.training.model_init_kwargs == {"min_lr": 1e-5}


def test_a_mixture_in_a_recipe_names_the_line_of_the_entry_at_fault(tmp_path: Path) -> None:
    text = "seed: 1\ndataset_mixture:\n  datasets:\n  - id: a\n    wieght: 1\n"
    with pytest.raises(ConfigError, match=r"recipe.yaml:5: dataset_mixture.datasets\[0\]: unknown setting 'wieght'"):
        parse_stage("sft", [*BASE, *recipe(tmp_path, text)])


def test_the_dataclasses_can_be_made_again_from_what_was_given() -> None:
    first = parse_stage("grpo", [*BASE, "--reward_funcs", "format", "accuracy", "--report_to", "none"])
    first.script.reward_funcs.append("x")
    again = dataclasses.replace(first)
    assert again.script.reward_funcs == ["format", "accuracy"]
    assert again.training is not first.training


def test_yaml_is_read_as_a_person_means_it(tmp_path: Path) -> None:
    text = (
        "dataset_config: no\nmodel_revision: 0123456\nhub_model_revision: 1.10\nrun_name: on\neval_strategy: no\n"
        "max_steps: 010\nlr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs: {min_lr: 1e-4}\n"
    )
    parsed = parse_stage("sft", [*BASE, *recipe(tmp_path, text)])
    training = parsed.training
    assert (parsed.script.dataset_config, parsed.model.model_revision) == ("no", "0123456")
    assert (training.hub_model_revision, training.run_name, training.max_steps) == ("1.10", "on", 10)
    assert (training.eval_strategy.value, training.lr_scheduler_kwargs) == ("no", {"min_lr": 1e-4})


def test_samples_that_see_each_other_are_warned_of() -> None:
    words = [*BASE, "--packing", "--packing_strategy", "wrapped"]
    assert any("samples are cut anywhere and see each other" in notice for notice in parse_stage("sft", words).notices)
    assert not parse_stage("sft", [*BASE, "--packing"]).notices


def test_completions_are_printed_when_only_their_number_is_given() -> None:
    assert parse_stage("grpo", [*BASE, "--num_completions_to_print", "3"]).training.log_completions
    assert not parse_stage("grpo", BASE).training.log_completions


def test_a_resolved_recipe_with_loras_defaults_is_not_taken_for_lora(tmp_path: Path) -> None:
    text = parse_stage("sft", BASE).as_yaml()
    assert "lora_r: 16" in text
    assert not parse_stage("sft", recipe(tmp_path, text)).model.use_peft


def test_dropout_that_only_the_trainer_has_is_noticed_once_vllm_samples() -> None:
    words = [*BASE, "--use_vllm", "true", "--use_peft", "true"]
    assert any("lora_dropout is 0.05" in notice for notice in parse_stage("grpo", words).notices)
    for without in (["--lora_dropout", "0"], ["--disable_dropout", "true"]):
        assert not any("lora_dropout is" in notice for notice in parse_stage("grpo", [*words, *without]).notices)


def test_sleep_mode_reaches_trl_where_there_is_a_device_to_free_and_not_on_a_cpu() -> None:
    parsed = parse_stage("grpo", [*BASE, "--use_vllm", "true", "--vllm_enable_sleep_mode", "true"])
    assert parsed.training.vllm_enable_sleep_mode is not parsed.training.use_cpu


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dynamic_sampling_max_rounds", "5"], "is set but dynamic_sampling is not, so no group is replaced"),
        (["--dynamic_sampling", "true", "--dynamic_sampling_max_rounds", "1"], "must be at least 2, but is 1"),
        (["--pool_fraction", "0.5"], "pool_fraction is set but difficulty_pools is not, so there are no pools"),
        (["--difficulty_pools", "true", "--pool_fraction", "2"], "pool_fraction must be at least 0 and at most 1"),
        (
            ["--difficulty_pools", "true", "--hard_threshold", "1"],
            "hard_threshold = 1 must be below easy_threshold = 1",
        ),
    ],
)
def test_sampling_settings_that_do_nothing_or_contradict_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_stage("grpo", [*BASE, *words])


@pytest.mark.parametrize("setting", ["difficulty_pools", "no_positive_resampling"])
def test_pass_rates_need_a_reward_that_tells_right_from_wrong(setting: str) -> None:
    words = [*BASE, f"--{setting}", "true", "--reward_funcs"]
    check_arguments(parse_stage("grpo", [*words, "format", "accuracy"]))
    with pytest.raises(ConfigError, match=r"none of reward_funcs \(format\) separates right answers from wrong ones"):
        check_arguments(parse_stage("grpo", [*words, "format"]))


@pytest.mark.parametrize("is_fast", [False, True])
def test_bfloat16_on_a_processor_that_is_slow_in_it_is_noticed(monkeypatch: pytest.MonkeyPatch, is_fast: bool) -> None:
    from open_r1.generation import precision

    monkeypatch.setattr(precision, "computes_bfloat16", lambda: is_fast)
    told = [notice.startswith("bf16: this processor") for notice in parse_stage("sft", [*BASE, "--bf16"]).notices]
    assert any(told) is not is_fast
    assert not any("bfloat16" in notice for notice in parse_stage("sft", [*BASE, "--bf16", "false"]).notices)
