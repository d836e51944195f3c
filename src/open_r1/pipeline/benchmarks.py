"""Benchmarks at the end of training: what the setting `benchmarks` of SFT and GRPO names.

    benchmarks: [math_500, tasks:linear_equation?n=100, "aime24=aime24.jsonl"]

Does: load and check the problems before training begins; afterwards evaluate the trained model in this process, into
`<output_dir>/eval/<benchmark>`, and put the results into the model card. A run that is started again evaluates what is
missing. Does not: use vLLM or other processes; for many samples of long answers run `open-r1 eval` on the model.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.hub.card import write_own_card
from open_r1.processes.ranks import is_main_process

if TYPE_CHECKING:
    from open_r1.evaluation import Plan

FOLDER = "eval"
SHOW_EVERY_S = 10.0


def plan_benchmarks(training: Any, tell: Callable[[str], None]) -> list[Plan]:
    """The benchmarks of a stage's settings, problems loaded and checked. ConfigError or DataError for what can't be."""
    if not training.benchmarks or not is_main_process():
        return []
    from open_r1.evaluation import EvaluationSettings, benchmarks, get_benchmark, plan_evaluation
    from open_r1.evaluation.benchmarks import split_names

    plans = []
    for word in split_names(training.benchmarks):
        name, has_file, file = word.partition("=")
        is_with_file = bool(has_file) and name in benchmarks()
        settings = EvaluationSettings(seed=training.seed, system_prompt=training.system_prompt)
        benchmark = get_benchmark(name if is_with_file else word)
        plans.append(plan_evaluation(benchmark, settings, file if is_with_file else None, tell))
    return plans


def evaluate_trained(plans: Sequence[Plan], model: Path, batch_size: int, tell: Callable[[str], None]) -> None:
    """Run the plans on the model of a finished stage; its card gets the results."""
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
