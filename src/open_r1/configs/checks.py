"""Settings that contradict each other, found before anything is loaded."""

from __future__ import annotations

from typing import Any

from open_r1.errors import ConfigError


def check_settings(kind: str, script: Any, training: Any, model: Any) -> None:
    """ConfigError for the first contradiction; the message names the nearest settings that work."""
    check_model(model)
    check_benchmarks(training)
    check_schedule(training)
    if kind == "sft":
        check_sft(training)
    else:
        check_grpo(training)
        check_reward_weights(script, training)


def check_model(model: Any) -> None:
    if not model.model_name_or_path:
        raise ConfigError("model_name_or_path is not set; give a local folder or a Hub id.")


def check_benchmarks(training: Any) -> None:
    if training.benchmarks:
        raise ConfigError(
            f"benchmarks = {training.benchmarks} can't be run by a training stage yet; leave it empty and run "
            "`open-r1 eval` on the finished model."
        )


def check_schedule(training: Any) -> None:
    if training.save_strategy == "steps" and training.save_steps < 1:
        raise ConfigError(f"save_steps must be at least 1, but is {training.save_steps}.")
    if training.learning_rate <= 0:
        raise ConfigError(f"learning_rate must be above 0, but is {training.learning_rate}.")


def check_sft(training: Any) -> None:
    if training.max_length is not None and training.max_length < 1:
        raise ConfigError(f"max_length must be at least 1 token or null, but is {training.max_length}.")


def check_grpo(training: Any) -> None:
    """Checkpoints must fall between generations, or a resumed run would redo half of one and end elsewhere."""
    steps_a_generation = training.steps_per_generation * training.num_iterations
    updates = steps_a_generation / training.gradient_accumulation_steps
    if training.save_strategy == "steps" and updates > 1 and training.save_steps % updates:
        nearest_steps = max(1, round(training.save_steps / updates)) * int(updates)
        raise ConfigError(
            f"save_steps = {training.save_steps} falls inside a generation of {updates:g} update steps, and a resumed "
            f"run would end elsewhere; nearest valid: save_steps = {nearest_steps}."
        )


def check_batch(training_values: dict[str, Any], num_processes: int) -> None:
    """`num_generations` must divide the generation batch; the nearest valid settings are named."""
    group = training_values["num_generations"]
    steps = training_values["steps_per_generation"] or training_values["gradient_accumulation_steps"]
    batch = training_values["generation_batch_size"] or (
        training_values["per_device_train_batch_size"] * num_processes * steps
    )
    if group < 2:
        raise ConfigError(f"num_generations must be at least 2 for a group to compare, but is {group}.")
    if batch % group:
        groups = [size for size in range(2, batch + 1) if batch % size == 0]
        nearest_group = min(groups, key=lambda size: abs(size - group))
        nearest_batch = max(1, round(batch / group)) * group
        raise ConfigError(
            f"num_generations = {group} does not divide the generation batch of {batch} completions "
            f"({training_values['per_device_train_batch_size']} a device x {num_processes} processes x {steps} steps); "
            f"nearest valid: num_generations = {nearest_group}, or a batch of {nearest_batch}."
        )


def check_reward_weights(script: Any, training: Any) -> None:
    """As many weights as rewards, each a number; a mapping by name is brought into the rewards' order."""
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
        training.reward_weights = [float(weights[name]) for name in names]
    elif weights is not None and len(weights) != len(names):
        raise ConfigError(
            f"reward_weights has {len(weights)} values ({weights}), but reward_funcs has {len(names)} rewards "
            f"({', '.join(names)}); give one weight for each reward."
        )
