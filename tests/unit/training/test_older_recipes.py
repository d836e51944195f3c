"""Settings of the libraries that Open-R1's recipes were written for: each is taken, translated or passed over."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from trl.generation import vllm_generation
from trl.trainer import grpo_trainer, sft_trainer

from open_r1.configs.choices import CHOICES, choices_of
from open_r1.configs.reader import Setting
from open_r1.configs.renames import RENAMES, translate
from open_r1.configs.types import read_value
from open_r1.errors import ConfigError
from open_r1.training.arguments import stage_classes
from open_r1.training.parse import StageKind, hints_of, parse_stage

BASE = ["--model_name_or_path", "m", "--dataset_name", "d", "--output_dir", "out"]

# The fields of transformers 4.52.3's TrainingArguments and of TRL 0.18.0's SFTConfig, GRPOConfig, ModelConfig and
# ScriptArguments, in their order.
TRAINING = """
    output_dir overwrite_output_dir do_train do_eval do_predict eval_strategy prediction_loss_only
    per_device_train_batch_size per_device_eval_batch_size per_gpu_train_batch_size per_gpu_eval_batch_size
    gradient_accumulation_steps eval_accumulation_steps eval_delay torch_empty_cache_steps learning_rate
    weight_decay adam_beta1 adam_beta2 adam_epsilon max_grad_norm num_train_epochs max_steps lr_scheduler_type
    lr_scheduler_kwargs warmup_ratio warmup_steps log_level log_level_replica log_on_each_node logging_dir
    logging_strategy logging_first_step logging_steps logging_nan_inf_filter save_strategy save_steps
    save_total_limit save_safetensors save_on_each_node save_only_model restore_callback_states_from_checkpoint
    no_cuda use_cpu use_mps_device seed data_seed jit_mode_eval use_ipex bf16 fp16 fp16_opt_level
    half_precision_backend bf16_full_eval fp16_full_eval tf32 local_rank ddp_backend tpu_num_cores
    tpu_metrics_debug debug dataloader_drop_last eval_steps dataloader_num_workers dataloader_prefetch_factor
    past_index run_name disable_tqdm remove_unused_columns label_names load_best_model_at_end
    metric_for_best_model greater_is_better ignore_data_skip fsdp fsdp_min_num_params fsdp_config
    fsdp_transformer_layer_cls_to_wrap accelerator_config deepspeed label_smoothing_factor optim optim_args
    adafactor group_by_length length_column_name report_to ddp_find_unused_parameters ddp_bucket_cap_mb
    ddp_broadcast_buffers dataloader_pin_memory dataloader_persistent_workers skip_memory_metrics
    use_legacy_prediction_loop push_to_hub resume_from_checkpoint hub_model_id hub_strategy hub_token
    hub_private_repo hub_always_push gradient_checkpointing gradient_checkpointing_kwargs
    include_inputs_for_metrics include_for_metrics eval_do_concat_batches fp16_backend push_to_hub_model_id
    push_to_hub_organization push_to_hub_token mp_parameters auto_find_batch_size full_determinism torchdynamo
    ray_scope ddp_timeout torch_compile torch_compile_backend torch_compile_mode include_tokens_per_second
    include_num_input_tokens_seen neftune_noise_alpha optim_target_modules batch_eval_metrics eval_on_start
    use_liger_kernel eval_use_gather_object average_tokens_across_devices
""".split()

SFT = """
    model_init_kwargs dataset_text_field dataset_kwargs dataset_num_proc eos_token pad_token max_length packing
    padding_free pad_to_multiple_of eval_packing learning_rate completion_only_loss activation_offloading
    max_seq_length
""".split()

GRPO = """
    model_init_kwargs disable_dropout remove_unused_columns max_prompt_length num_generations
    max_completion_length ds3_gather_for_generation shuffle_dataset generation_batch_size steps_per_generation
    temperature top_p top_k min_p repetition_penalty cache_implementation use_vllm vllm_server_base_url
    vllm_mode vllm_guided_decoding_regex vllm_server_host vllm_server_port vllm_server_timeout
    vllm_gpu_memory_utilization vllm_tensor_parallel_size learning_rate beta num_iterations epsilon delta
    epsilon_high reward_weights scale_rewards loss_type mask_truncated_completions sync_ref_model
    ref_model_mixup_alpha ref_model_sync_steps use_liger_loss log_completions num_completions_to_print
    wandb_log_unique_prompts
""".split()

MODEL = """
    model_name_or_path model_revision torch_dtype trust_remote_code attn_implementation use_peft lora_r
    lora_alpha lora_dropout lora_target_modules lora_modules_to_save lora_task_type use_rslora use_dora
    load_in_8bit load_in_4bit bnb_4bit_quant_type use_bnb_nested_quant
""".split()

SCRIPT = """
    dataset_name dataset_config dataset_train_split dataset_test_split gradient_checkpointing_use_reentrant
    ignore_bias_buffers
""".split()

OLD: dict[StageKind, list[str]] = {
    "sft": [*TRAINING, *SFT, *MODEL, *SCRIPT],
    "grpo": [*TRAINING, *GRPO, *MODEL, *SCRIPT],
}
IS_SWITCH = [name for name, rename in RENAMES.items() if rename.values is not None]


def known_of(kind: StageKind) -> list[str]:
    return [field.name for cls in stage_classes(kind) for field in fields(cls) if field.init]


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_no_setting_of_the_libraries_of_open_r1s_recipes_is_refused(kind: StageKind) -> None:
    known = known_of(kind)
    for name in OLD[kind]:
        value = True if name in IS_SWITCH else "x"
        translated, notices = translate([Setting(name, value, "recipe.yaml:1")], known)
        assert name in known or notices, name
        assert all(setting.key in known for setting in translated), name


def test_an_old_name_is_never_answered_with_advice_to_remove_it() -> None:
    _, notices = translate([Setting(name, True, "recipe.yaml:1") for name in RENAMES], [])
    assert len(notices) == len(RENAMES)
    assert not any("remove" in notice for notice in notices)


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_a_translated_name_leads_to_a_setting_that_exists(kind: StageKind) -> None:
    every = {*known_of("sft"), *known_of("grpo")}
    assert {rename.new for rename in RENAMES.values() if rename.new} <= every


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--adafactor", "true"], "optim", "adafactor"),
        (["--adafactor", "false"], "optim", "adamw_torch_fused"),
        (
            ["--gradient_checkpointing_use_reentrant", "false"],
            "gradient_checkpointing_kwargs",
            {"use_reentrant": False},
        ),
        (["--push_to_hub_model_id", "me/m"], "hub_model_id", "me/m"),
        (["--vllm_guided_decoding_regex", "<think>.*"], "vllm_structured_outputs_regex", "<think>.*"),
        (["--provider_type", "e2b"], "code_provider", "e2b"),
        (["--scale_rewards", "false"], "scale_rewards", "none"),
        (["--scale_rewards", "true"], "scale_rewards", "group"),
        (["--reward_weights", "[0.4,0.3,1]"], "reward_weights", [0.4, 0.3, 1.0]),
        (["--reward_weights", '{"tag_count": 1, "accuracy": 0.4, "format": 0.3}'], "reward_weights", [0.4, 0.3, 1.0]),
        (["--benchmarks", "[all]"], "benchmarks", ["all"]),
        (["--torch_dtype", "bfloat16"], "dtype", "bfloat16"),
    ],
)
def test_a_setting_as_older_recipes_write_it_has_its_meaning(words: list[str], key: str, value: Any) -> None:
    parsed = parse_stage("grpo", [*BASE, *words])
    assert parsed.values()[key] == value


@pytest.mark.parametrize("word", ["false", "true"])
def test_scale_rewards_may_be_a_switch_in_a_recipe(tmp_path: Path, word: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"scale_rewards: {word}\n")
    parsed = parse_stage("grpo", [*BASE, "--config", str(recipe)])
    assert parsed.training.scale_rewards == {"false": "none", "true": "group"}[word]


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("grpo", ["--loss_type", "dpo"], "loss_type must be grpo or bnpo .*, but is 'dpo'"),
        ("sft", ["--loss_type", "nl"], "loss_type must be nll or dft"),
        ("grpo", ["--importance_sampling_level", "tokens"], "must be token or sequence, but is 'tokens'"),
        ("grpo", ["--vllm_mode", "servr"], "vllm_mode must be colocate or server"),
        ("grpo", ["--scale_rewards", "grup"], "scale_rewards must be group or batch or none or true or false"),
        ("grpo", ["--vllm_importance_sampling_mode", "token"], "must be token_truncate or token_mask"),
        ("grpo", ["--multi_objective_aggregation", "sum"], "must be sum_then_normalize or normalize_then_sum"),
        ("grpo", ["--generation_kwargs", '{"top_kk": 3}'], "generation_kwargs has 'top_kk'.* did you mean 'top_k'"),
        ("grpo", ["--cache_implementation", "staic"], "is not a cache of transformers; did you mean 'static'"),
        ("grpo", ["--vllm_structured_outputs_regex", "("], "is not a regular expression"),
        ("grpo", ["--sync_ref_model", "true"], "sync_ref_model keeps a reference model .* but beta is 0"),
        ("sft", ["--attn_implementation", "flash_attn"], "is not an attention of transformers; did you mean 'flash_"),
        ("sft", ["--dtype", "float17"], "dtype must be auto or bfloat16"),
        ("sft", ["--log_level", "loud"], "log_level must be detail or debug"),
        ("sft", ["--ddp_backend", "ncl"], "ddp_backend must be nccl or gloo"),
        ("sft", ["--torch_compile_mode", "fast"], "torch_compile_mode must be default or reduce-overhead"),
        ("sft", ["--packing_strategy", "ffd"], "packing_strategy must be bfd or bfd_split or wrapped"),
        ("sft", ["--optim", "adam"], "optim must be adamw_torch or"),
        ("sft", ["--optim", "lomo"], "optim = lomo can't be used here: You need to install `lomo_optim`"),
        ("sft", ["--optim_args", "fast"], "optim_args = 'fast' can't be used here"),
        ("sft", ["--callbacks", "push_to_hub_revison"], "not a known callback; did you mean 'push_to_hub_revision'"),
        ("sft", ["--callbacks", "push_to_hub_revision"], "hub_model_id is not set"),
        ("sft", ["--use_peft", "--lora_task_type", "CAUSAL"], "lora_task_type must be CAUSAL_LM"),
    ],
)
def test_what_a_library_would_refuse_while_training_is_refused_at_once(
    kind: StageKind, words: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_stage(kind, [*BASE, *words])


def compared_words(module: ModuleType, attribute: str) -> set[str]:
    """The words that a module compares an attribute or a variable of that name with."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(module)))):
        if isinstance(node, ast.Compare) and getattr(node.left, "attr", getattr(node.left, "id", None)) == attribute:
            found |= {
                item.value
                for side in node.comparators
                for item in ast.walk(side)
                if isinstance(item, ast.Constant) and isinstance(item.value, str)
            }
    return found


@pytest.mark.parametrize(
    ("module", "attribute", "cls", "setting"),
    [
        *((grpo_trainer, name, "GRPOConfig", name) for name in (
            "loss_type", "importance_sampling_level", "multi_objective_aggregation", "scale_rewards",
            "vllm_importance_sampling_mode",
        )),
        (vllm_generation, "mode", "GRPOConfig", "vllm_mode"),
        (sft_trainer, "packing_strategy", "SFTConfig", "packing_strategy"),
    ],
)  # fmt: skip
def test_the_words_of_a_setting_are_those_that_trl_compares_it_with(
    module: ModuleType, attribute: str, cls: str, setting: str
) -> None:
    compared = compared_words(module, attribute)
    assert compared
    assert compared <= set(CHOICES[cls][setting])
    if module is not sft_trainer:
        assert compared == set(CHOICES[cls][setting])


def test_every_default_is_among_a_settings_words() -> None:
    for kind in ("sft", "grpo"):
        classes = stage_classes(kind)
        words, hints = choices_of(classes), hints_of(classes)
        defaults = {field.name: field.default for cls in classes for field in fields(cls)}
        for name in words:
            read_value(Setting(name, defaults[name], "default"), hints[name])


def test_variables_of_a_recipes_env_are_set_and_secrets_among_them_stay_out_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    for name in ("OPEN_R1_TEST_LEVEL", "OPEN_R1_TEST_KEY"):
        monkeypatch.setenv(name, "before")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("env:\n  OPEN_R1_TEST_LEVEL: 3\n  OPEN_R1_TEST_KEY: hidden\n")
    parsed = parse_stage("sft", [*BASE, "--config", str(recipe)])
    assert (os.environ["OPEN_R1_TEST_LEVEL"], os.environ["OPEN_R1_TEST_KEY"]) == ("3", "hidden")
    assert parsed.values()["env"] == {"OPEN_R1_TEST_LEVEL": "3"}
    assert "hidden" not in parsed.as_yaml()


def test_a_kernel_of_the_hub_as_attention_names_the_package_that_loads_it() -> None:
    from importlib.util import find_spec

    if find_spec("kernels"):
        pytest.skip("the package kernels is installed here")
    with pytest.raises(ConfigError, match="which the package kernels loads"):
        parse_stage("sft", [*BASE, "--attn_implementation", "kernels-community/flash-attn"])


def test_an_optimizer_of_bitsandbytes_is_replaced_where_there_is_neither_it_nor_a_gpu() -> None:
    from importlib.util import find_spec

    import torch

    if find_spec("bitsandbytes") or torch.accelerator.is_available():
        pytest.skip("bitsandbytes or an accelerator is here")
    parsed = parse_stage("sft", [*BASE, "--optim", "paged_adamw_8bit"])
    assert parsed.values()["optim"] == "adamw_torch"
    assert any("optim: 'paged_adamw_8bit' becomes 'adamw_torch'" in change for change in parsed.adaptations)


def test_liger_kernels_that_are_not_installed_are_passed_over_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    import torch

    from open_r1.training.arguments import stage_classes
    from open_r1.training.parse import adapt_to_machine, defaults_of

    find = importlib.util.find_spec
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "liger_kernel" else find(name, *more)
    )
    values = defaults_of(stage_classes("sft", [])) | {"use_liger_kernel": True}
    origins = dict.fromkeys(values, "default") | {"use_liger_kernel": "recipe.yaml:3"}
    _, changes = adapt_to_machine(values, origins)
    assert values["use_liger_kernel"] is False
    assert changes == [
        "use_liger_kernel: True becomes False, liger-kernel is not installed here: pip install liger-kernel."
    ]
