"""Training with the benchmarks that it ends in, for the commands `sft` and `grpo` and for the stages of the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from open_r1.pipeline.benchmarks import evaluate_trained, plan_benchmarks
from open_r1.training.parse import StageArguments


def check_arguments(arguments: StageArguments) -> None:
    """ConfigError for rewards that can't be built with these settings."""
    if arguments.kind == "grpo":
        from open_r1.rewards import check_recipe

        check_recipe(arguments.script, arguments.training.reward_weights)


def run_training(
    arguments: StageArguments, report: Callable[[str], None], identity: dict[str, Any] | None = None
) -> Any:
    """Train as the settings say, then run the benchmarks that they name on the model.

    Args:
        report: Gets a line of progress at a time.
        identity: What the run's folder is known by; by default the settings.

    Returns:
        The training area's record of the finished stage: its folder and its number of steps.
    """
    if arguments.kind == "sft":
        from open_r1.training.sft import run_sft as train
    else:
        from open_r1.training.grpo import run_grpo as train

    plans = plan_benchmarks(arguments.training, report)
    stage = train(arguments, report, *([identity] if identity else []))
    evaluate_trained(plans, stage.folder, arguments.training.per_device_eval_batch_size, report)
    return stage
