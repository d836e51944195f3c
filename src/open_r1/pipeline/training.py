"""Training with the benchmarks that it ends in, for the commands `sft` and `grpo` and for the stages of the same names.

    benchmarks: [math_500, tasks:linear_equation?n=100, "aime24=aime24.jsonl"]

The problems are loaded and checked before training begins; afterwards the trained model is evaluated in this process, into
`<output_dir>/eval/<benchmark>`, and its card gets the results. For many samples of long answers run `open-r1 eval` on it.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.configs.reader import Setting
from open_r1.errors import ConfigError
from open_r1.hub.card import write_own_card
from open_r1.pipeline.rollout_server import rollout_servers
from open_r1.processes.ranks import is_main_process

if TYPE_CHECKING:
    from open_r1.evaluation import Plan
    from open_r1.evaluation.benchmarks import Benchmark
    from open_r1.training.parse import StageArguments, StageKind

FOLDER = "eval"
SHOW_EVERY_S = 10.0


def parse_training(
    kind: StageKind, words: Sequence[str], overrides: Sequence[Setting] = (), processes: int | None = None
) -> StageArguments:
    """The settings of a training by `parse_stage`, with its rewards, benchmarks and callbacks checked.

    Args:
        processes: Those of a launch elsewhere, for which the settings are only checked; this process's environment stays as
            it is.
    """
    from open_r1.training.parse import parse_stage

    before = dict(os.environ)
    try:
        parsed = parse_stage(kind, words, overrides, processes)
        check_arguments(parsed)
    finally:
        if processes is not None:
            os.environ.clear()
            os.environ.update(before)
    return parsed


def check_arguments(arguments: StageArguments) -> None:
    """ConfigError for rewards that can't be built with these settings, and for unknown benchmarks and callbacks."""
    from open_r1.training.named_callbacks import make_callbacks

    find_benchmarks(arguments.training.benchmarks)
    make_callbacks(arguments.training.callbacks)
    if arguments.kind == "grpo":
        from open_r1.rewards import check_recipe

        training = arguments.training
        needs_judge = training.difficulty_pools or training.no_positive_resampling
        check_recipe(arguments.script, training.reward_weights, needs_judge)


def check_data(arguments: StageArguments) -> None:
    """DataError for data that training would refuse when it opens them."""
    if arguments.kind == "sft":
        from open_r1.training.sft import load_conversations as load
    else:
        from open_r1.training.grpo import load_prompts as load
    load(arguments)


def run_training(
    arguments: StageArguments, report: Callable[[str], None], identity: dict[str, Any] | None = None
) -> Any:
    """Train, then run the benchmarks that the settings name; `identity` is what the run's folder is known by."""
    plans = _plan_benchmarks(arguments.training, report)
    if arguments.kind == "sft":
        from open_r1.training.sft import run_sft

        stage = run_sft(arguments, report, identity)
    else:
        from open_r1.training.grpo import run_grpo

        with rollout_servers(report) as open_server:
            stage = run_grpo(arguments, report, identity, open_server)
    _evaluate_trained(plans, stage.folder, arguments.training.per_device_eval_batch_size, report)
    return stage


def _plan_benchmarks(training: Any, tell: Callable[[str], None]) -> list[Plan]:
    if not training.benchmarks or not is_main_process():
        return []
    from open_r1.evaluation import EvaluationSettings, plan_evaluation

    settings = EvaluationSettings(seed=training.seed, system_prompt=training.system_prompt)
    return [plan_evaluation(one, settings, file, tell) for one, file in find_benchmarks(training.benchmarks)]


def find_benchmarks(words: Sequence[str]) -> list[tuple[Benchmark, str | None]]:
    """Each benchmark of the setting `benchmarks`, with its file where one is named. ConfigError for an unknown one."""
    if not words:
        return []
    from open_r1.evaluation.benchmarks import benchmarks, get_benchmark, split_names

    found = []
    for word in split_names(words):
        name, has_file, file = word.partition("=")
        is_with_file = bool(has_file) and name in benchmarks()
        if is_with_file and not Path(file).expanduser().exists():
            raise ConfigError(f"benchmarks names '{word}', but the file '{file}' does not exist; check the path.")
        found.append((get_benchmark(name if is_with_file else word), file if is_with_file else None))
    return found


def _evaluate_trained(plans: Sequence[Plan], model: Path, batch_size: int, tell: Callable[[str], None]) -> None:
    if not plans:
        return
    from open_r1.evaluation import run_evaluation
    from open_r1.evaluation.backends import transformers_backend
    from open_r1.evaluation.sampling import at_most_every
    from open_r1.evaluation.table import read_results, render_table

    gc.collect()  # the trainer's memory
    show = at_most_every(SHOW_EVERY_S, tell)
    backend = transformers_backend(str(model), batch_size)
    for plan in plans:
        tell(f"{plan.name}: {len(plan.problems):,} problems × {plan.num_samples} samples")
        run_evaluation(plan, backend, model / FOLDER / plan.name, show, tell)
    table = render_table(read_results(model / FOLDER), published=False)
    tell(f"pass@1 in percent, with its 95 % interval\n\n{table}\n")
    write_own_card(model)
