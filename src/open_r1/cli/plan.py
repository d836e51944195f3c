"""What a recipe needs: memory by part, hours, and whether it fits.

Compute what the training of a recipe needs on given GPUs, without loading a model: memory by part, tokens, steps,
operations and hours; whether it fits, and the nearest change with which it does. All settings are checked as the
training checks them. A pipeline has a plan for each stage that trains.

examples:
  open-r1 plan recipes/OpenR1-Distill-7B/sft/config_distill.yaml --gpus 8xH100-80GB --accelerator zero3
  open-r1 plan recipes/Qwen2.5-1.5B-Instruct/grpo/config_demo.yaml --gpus 1xRTX4090,8xA100-40GB
  open-r1 plan recipes/tiny/pipeline.yaml --json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, show_json, table, tell
from open_r1.cli.options import add
from open_r1.configs.ranges import COUNT, Range
from open_r1.errors import UsageError

if TYPE_CHECKING:
    from open_r1.launch.plan import Plan, Training

GIB = 1 << 30


def add_options(parser: Any) -> None:
    """The options of `plan`."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe of SFT or GRPO, or of a pipeline")
    add(parser, "gpus", help="GPUs of each node that train; with commas, several to compare", metavar="NxGPU",
        default="8xH100-80GB")  # fmt: skip
    add(parser, "accelerator", help="an accelerate file, or ddp, fsdp, zero2, zero3", metavar="NAME")
    add(parser, "nodes", help="machines with these GPUs", type=int, default=1, metavar="N")
    add(parser, "set", help="change a setting of the recipe; of a pipeline: STAGE.KEY=VALUE")
    add(parser, "rows", help="rows of the training data, where they are not known", type=int, metavar="N")
    add(parser, "mean_tokens", help="mean tokens of a sample or completion (default: the most)", type=int, metavar="N")
    add(
        parser,
        "prompt_tokens",
        help="tokens of a prompt (default: max_prompt_length, or the longest of a local file)",
        type=int,
        metavar="N",
    )
    add(
        parser,
        "mfu",
        help="share of the GPUs' peak that training reaches (default: 0.35)",
        type=float,
        metavar="SHARE",
    )
    add(parser, "json")


def run(arguments: argparse.Namespace) -> int:
    """Plan on each of the GPUs, and show the first in full."""
    from open_r1.gpus import GPUS, read_gpus
    from open_r1.launch.plan import plan_training, trainings_of
    from open_r1.launch.plan.stages import is_pipeline

    options = read_options(arguments)
    chosen, *others = arguments.gpus.split(",")
    count, gpu = read_gpus(chosen)
    for other in others:
        read_gpus(other)
    if is_pipeline(arguments.recipe):
        check_pipeline(arguments.recipe, arguments.set)
    trainings = trainings_of(arguments.recipe, arguments.set)
    trainings = [check_settings(one, count * arguments.nodes) for one in trainings]
    if not others and not arguments.json:
        others = [f"{count}x{other.name}" for other in GPUS if other != gpu]
    first, *more = [[plan_training(one, gpus, **options) for one in trainings] for gpus in (chosen, *others)]
    if arguments.json:
        plans = [plan.record() for group in (first, *more) for plan in group]
        hours = [plan.hours for plan in first if plan.hours is not None]
        is_known = len(hours) == len(plans)
        show_json(
            {"fits": all(plan["fits"] for plan in plans), "hours": sum(hours) if is_known else None, "plans": plans}
        )
        return 0
    show("\n\n".join(in_words(plan) for plan in first))
    if all(plan.machine.gpu is not None for plan in first):
        rows = [row for group in zip(first, *more, strict=True) for row in map(as_row, group)]
        headings = ("stage" if len(first) > 1 else "recipe", "GPUs", "GiB", "of", "fits", "hours", "change")
        show(f"\n{table(rows, headings)}")
    return 0


def read_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of every plan. UsageError for a number that is out of range."""
    names = ("nodes", "rows", "mean_tokens", "prompt_tokens", "mfu")
    options = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    for name, value in options.items():
        limits = Range(0, 1, open_low=True) if name == "mfu" else COUNT
        if value not in limits:
            raise UsageError(f"--{name} must be {limits.in_words(value)}, but is {value}.")
    return options | {"accelerator": arguments.accelerator}


def check_pipeline(path: Path, changes: Sequence[str]) -> None:
    """Check the pipeline as `open-r1 run` reads it, and name the changes that no training depends on."""
    from open_r1.launch.plan import trainings_of
    from open_r1.pipeline import read_pipeline

    read_pipeline(path, "any", changes=changes)
    for change in changes:
        if trainings_of(path, [other for other in changes if other != change]) == trainings_of(path, changes):
            tell(f"notice: --set {change} changes nothing here: no training depends on it")


def check_settings(training: Training, processes: int) -> Training:
    """The training with the settings of its preset, all of them checked as its own command checks them.

    A plan needs neither the model's name where a stage makes it, nor data or output_dir.
    """
    from open_r1.configs.reader import Setting
    from open_r1.pipeline.training import parse_training

    given = {setting.key for setting in training.settings}
    names = ("model_name_or_path", "output_dir", *(() if "dataset_mixture" in given else ("dataset_name",)))
    assumed = [Setting(name, "any", "default") for name in names]
    tell(f"{training.name}: checking its settings")
    with training.named():
        parsed = parse_training(training.task, [], [*assumed, *training.settings], processes)
    of_preset = [
        Setting(name, parsed.given[name], origin)
        for name, origin in parsed.origins.items()
        if origin.startswith("preset ")
    ]
    return replace(training, settings=(*of_preset, *training.settings))


def in_words(plan: Plan) -> str:
    """A plan in full: memory by part, time, what it rests on."""
    memory, time = plan.memory, plan.durations
    off = " with offload to the host" if memory.host else ""
    lines = [f"{plan.name}: {plan.kind} of {plan.model}, {billions(plan.architecture.parameters)} parameters"
             f"{'' if plan.trained == plan.architecture.parameters else f', {billions(plan.trained)} trained'}",
             f"on {plan.machine.name} by {plan.sharding.strategy}{off}; fullest at {memory.moment}", ""]  # fmt: skip
    cells = [(name, f"{size / GIB:8.2f} GiB") for name, size in memory.parts.items()]
    verdict = "fits" if plan.fits else "does not fit"
    cells.append(("in all", f"{memory.total / GIB:8.2f} GiB of {plan.limit / GIB:.1f}: {verdict}"))
    node = plan.machine.per_node / GIB
    cells += [(f"{name}, on the host", f"{size * node:8.2f} GiB a node") for name, size in memory.host.items()]
    lines.append(table(cells, indent=2))
    if not plan.fits:
        lines.append(
            f"\nnearest change: {'; '.join(plan.change) or 'none of those that are known suffices; take more GPUs'}"
        )
    if time is not None:
        lines.append("")
        if time.steps is not None:
            lines.append(f"{time.steps:,} steps, {billions(time.tokens or 0)} tokens, {time.flops:.2e} operations: "
                         f"{hours(time.hours)} hours")  # fmt: skip
        sampled = f", {time.generation_seconds:.1f} s of them generation in {time.waves} waves" if time.waves else ""
        lines.append(f"{time.step_seconds:.1f} s a step{sampled}")
    return "\n".join([*lines, *plan.assumptions])


def as_row(plan: Plan) -> Sequence[Any]:
    """A plan as a line of the table of GPUs."""
    return (Path(plan.name).stem, plan.machine.name, f"{plan.memory.total / GIB:.1f}", f"{plan.limit / GIB:.1f}",
            "yes" if plan.fits else "no", hours(plan.hours), "; ".join(plan.change))  # fmt: skip


def billions(count: float) -> str:
    """7.62B, 1.2M."""
    return f"{count / 1e9:.2f}B" if count >= 1e9 else f"{count / 1e6:.1f}M"


def hours(value: float | None) -> str:
    """Hours with one digit, or as many as a short training needs."""
    return "?" if value is None else f"{value:.1f}" if value >= 0.1 else f"{value:.4f}"
