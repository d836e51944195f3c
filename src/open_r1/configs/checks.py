"""Settings that contradict each other, found before anything is loaded."""

from __future__ import annotations

import math
import os
from typing import Any

from open_r1.configs.references import split_object
from open_r1.errors import ConfigError, nearest

MAY_CHANGE = frozenset(
    """overwrite_output_dir output_dir resume_from_checkpoint logging_steps logging_strategy logging_first_step
    report_to run_name project log_level log_level_replica disable_tqdm save_total_limit save_steps
    push_to_hub push_to_hub_revision hub_token hub_model_id hub_strategy hub_private_repo hub_model_revision
    hub_revision hub_always_push overwrite_hub_revision wandb_entity wandb_project wandb_run_group
    preflight_prompts wandb_log_unique_prompts log_completions num_completions_to_print trackio_space_id trackio_bucket_id
    vllm_server_base_url vllm_server_host vllm_server_port vllm_server_timeout vllm_group_port
    trackio_static_space_id benchmarks env local_rank dataset_num_proc""".split()
)
"""Settings that don't change the weights a run ends with: a resumed run may change them, and a finished stage stays done."""

PUSH_REVISION = "push_to_hub_revision"
CALLBACK_NAMES = (PUSH_REVISION,)
"""Callbacks that Open-R1 knows by name."""

EVALUATED = ("loss", "accuracy", "mean_token_accuracy", "entropy", "num_tokens", "reward", "reward_std",
             "frac_reward_zero_std", "kl", "aux_loss", "runtime", "samples_per_second", "steps_per_second")  # fmt: skip
"""What an evaluation while training reports."""


def check_settings(kind: str, script: Any, training: Any, model: Any) -> None:
    """ConfigError for the first contradiction; the message names the nearest settings that work."""
    if not model.model_name_or_path:
        raise ConfigError("model_name_or_path is not set; give a local folder or a Hub id.")
    check_data(script, training)
    check_callbacks(training)
    template = training.chat_template
    if template is not None and "{%" not in template and "{{" not in template:
        start = template if len(template) <= 60 else f"{template[:60]}…"
        raise ConfigError(
            f"chat_template = {start!r} is text, not a Jinja template that loops over 'messages'; "
            "a system prompt belongs in system_prompt."
        )
    if training.save_strategy == "steps" and not training.save_steps > 0:
        raise ConfigError(
            f"save_steps must be at least 1, or below 1 for a share of all steps, but is {training.save_steps}; raise it."
        )
    if (model.load_in_4bit or model.load_in_8bit) and not model.use_peft:
        bits = "load_in_4bit" if model.load_in_4bit else "load_in_8bit"
        raise ConfigError(
            f"{bits} is set but use_peft is not, and quantized weights can't be trained; set use_peft true (QLoRA)."
        )
    check_best_metric(training)
    check_early_stop(training)
    if kind == "sft":
        check_packing(training)
    else:
        check_checkpoints(training)
        check_reward_weights(script, training)
        if training.hard_threshold >= training.easy_threshold:
            raise ConfigError(
                f"hard_threshold = {training.hard_threshold:g} must be below easy_threshold = "
                f"{training.easy_threshold:g}; problems between them are sampled in every epoch."
            )


def check_callbacks(training: Any) -> None:
    """ConfigError for a callback that is neither known by name nor written module:Class, or lacks what it needs."""
    for name in training.callbacks:
        if ":" not in name and name not in CALLBACK_NAMES:
            raise ConfigError(
                f"callbacks names '{name}', which is not a known callback{nearest(name, CALLBACK_NAMES)} Known: "
                f"{', '.join(CALLBACK_NAMES)}; one of your own is written module:Class, for example my_callbacks:MyCallback."
            )
        if ":" in name:
            split_object(name, "callback", "my_callbacks:MyCallback")
    if PUSH_REVISION in training.callbacks and not training.hub_model_id:
        raise ConfigError(
            f"callbacks names {PUSH_REVISION}, but hub_model_id is not set; name the repository as 'user/model'."
        )


def check_packing(training: Any) -> None:
    """ConfigError for lengths and packing that TRL refuses once the model is loaded."""
    if training.max_length is not None and training.max_length < 1:
        raise ConfigError(f"max_length must be at least 1 token or null, but is {training.max_length}.")
    if training.packing and training.max_length is None:
        raise ConfigError("packing fills sequences of max_length tokens, but max_length is null; give a number.")
    context_parallel = int(os.environ.get("PARALLELISM_CONFIG_CP_SIZE") or 1)
    if context_parallel > 1 and (training.packing or training.eval_packing):
        raise ConfigError(
            "packing keeps samples apart by a mask, which context parallelism (parallelism_config_cp_size "
            f"{context_parallel} in accelerate's file) drops; set packing false, or parallelism_config_cp_size 1."
        )
    if training.padding_free and not training.packing and training.max_length is not None:
        raise ConfigError(
            f"padding_free without packing does not keep to max_length = {training.max_length}; set packing true, or "
            "max_length null."
        )


def check_best_metric(training: Any) -> None:
    """ConfigError for a metric that no evaluation reports; a callback of the user's own may report any."""
    name = (training.metric_for_best_model or "loss").removeprefix("eval_")
    is_known = name in EVALUATED or name.startswith(("rewards/", "completions/", "sampling/"))
    if not is_known and not training.callbacks:
        raise ConfigError(
            f"metric_for_best_model = '{name}' is not a metric that an evaluation reports{nearest(name, EVALUATED)} "
            f"It reports: {', '.join(EVALUATED)}, and in GRPO rewards/NAME/mean."
        )


def check_early_stop(training: Any) -> None:
    """ConfigError for an early stop without evaluations."""
    if training.early_stopping_patience is not None and training.eval_strategy == "no":
        raise ConfigError(
            "early_stopping_patience counts evaluations, but eval_strategy is no; set eval_strategy steps and eval_steps."
        )


def check_data(script: Any, training: Any) -> None:
    """ConfigError for data settings that are not supported or contradict each other."""
    if script.dataset_streaming:
        raise ConfigError(
            "dataset_streaming is not supported here yet; leave it out, and the data set is loaded whole."
        )
    if script.mixture is not None and script.dataset_train_split != "train":
        raise ConfigError(
            f"dataset_train_split = '{script.dataset_train_split}' can't be used with a mixture, whose training split is "
            "'train'; leave it out, and name the split of each data set by its own 'split'."
        )
    processes = getattr(training, "dataset_num_proc", None)
    if processes is not None and processes < 1:
        raise ConfigError(f"dataset_num_proc must be at least 1, or left out, but is {processes}; raise it.")


def check_checkpoints(training: Any) -> None:
    """Checkpoints must fall between generations, or a resumed run would redo half of one and end elsewhere."""
    period = steps_of_generation(training)
    if training.save_strategy != "steps" or period == 1:
        return
    if training.save_steps < 1 and training.max_steps < 1:
        raise ConfigError(
            f"save_steps = {training.save_steps} is a share of a number of steps not known beforehand, and checkpoints must "
            f"fall between generations; give a multiple of {period} steps, or max_steps."
        )
    steps = training.save_steps if training.save_steps >= 1 else math.ceil(training.max_steps * training.save_steps)
    if steps % period:
        nearest_steps = max(1, round(steps / period)) * period
        raise ConfigError(
            f"save_steps = {training.save_steps} puts a checkpoint inside a generation, and a resumed run would end "
            f"elsewhere; generations end every {period} update steps; nearest valid: save_steps = {nearest_steps}."
        )


def steps_of_generation(training: Any) -> int:
    """The update steps that one generation is used for; 1 in SFT."""
    steps, accumulation = getattr(training, "steps_per_generation", None), training.gradient_accumulation_steps
    return math.lcm(steps * training.num_iterations, accumulation) // accumulation if steps else 1


def check_batch(training_values: dict[str, Any], num_processes: int) -> None:
    """`num_generations` must divide the generation batch; the nearest valid settings are named."""
    group = training_values["num_generations"]
    steps = training_values["steps_per_generation"] or training_values["gradient_accumulation_steps"]
    a_device = training_values["per_device_train_batch_size"]
    batch, origin = (
        a_device * num_processes * steps,
        f"{a_device} a device x {num_processes} processes x {steps} steps",
    )
    if training_values["generation_batch_size"] is not None:
        batch, origin = training_values["generation_batch_size"], "generation_batch_size"
    if group < 2:
        raise ConfigError(f"num_generations must be at least 2 for a group to compare, but is {group}; raise it.")
    if batch < 1:
        raise ConfigError(
            f"the generation batch must hold at least 1 completion, but is {batch} ({origin}); raise it."
        )
    if batch % group:
        nearest_batch = max(1, round(batch / group)) * group
        halves = [size for size in range(1, math.isqrt(batch) + 1) if batch % size == 0]
        groups = sorted({size for half in halves for size in (half, batch // half)} - {1})
        nearest_group = min(groups, key=lambda size: abs(size - group), default=None)
        by_group = f"num_generations = {nearest_group}, or " if nearest_group else ""
        raise ConfigError(
            f"num_generations = {group} does not divide the generation batch of {batch} completions ({origin}); "
            f"nearest valid: {by_group}a batch of {nearest_batch}."
        )


def check_reward_weights(script: Any, training: Any) -> None:
    """As many weights as rewards; a mapping by name is brought into the rewards' order, its schedules left as they are."""
    weights, names = training.reward_weights, script.reward_funcs
    if not names:
        raise ConfigError("reward_funcs is empty; name at least one reward, for example accuracy.")
    if len(set(names)) != len(names):
        raise ConfigError(f"reward_funcs names a reward twice: {', '.join(names)}; keep one of each.")
    if isinstance(weights, dict):
        if set(weights) != set(names):
            raise ConfigError(
                f"reward_weights is for {', '.join(weights)}, but reward_funcs is {', '.join(names)}; "
                "give exactly one weight for each reward."
            )
        training.reward_weights = [weight_of(name, weights[name]) for name in names]
    elif weights is not None and len(weights) != len(names):
        raise ConfigError(
            f"reward_weights has {len(weights)} values ({weights}), but reward_funcs has {len(names)} rewards "
            f"({', '.join(names)}); give one weight for each reward."
        )


def weight_of(name: str, weight: Any) -> Any:
    """A reward's weight as a number, or its schedule. ConfigError for anything else."""
    if isinstance(weight, dict) and "schedule" in weight:
        return weight
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        raise ConfigError(
            f"the weight of reward '{name}' must be a number, but is {weight!r}; give one, for example 0.5."
        )
    return float(weight)
