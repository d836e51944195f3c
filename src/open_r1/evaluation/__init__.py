"""Evaluation: sampled completions, scored, with intervals. Needs no torch; a generator may.

    from open_r1.evaluation import EvaluationSettings, evaluate

    summary = evaluate("math_500", "runs/math-grpo", "runs/eval/math_500", EvaluationSettings(num_samples=4),
                       data="math500.jsonl", on_progress=print)
    print(summary["modes"]["sampled"]["accuracy"])

Does: any source of problems as a benchmark (`benchmarks`), samples that survive any interruption, pass@1, pass@k and maj@k
with 95 % intervals clustered by problem (`statistics`), tables and paired differences (`table`).
Does not: know how completions are generated (`generation`) or what makes an answer right (`answers`).
"""

from open_r1.evaluation.benchmarks import Benchmark, benchmarks, get_benchmark
from open_r1.evaluation.engine import EvaluationSettings, Plan, evaluate, plan_evaluation, run_evaluation

__all__ = [
    "Benchmark",
    "EvaluationSettings",
    "Plan",
    "benchmarks",
    "evaluate",
    "get_benchmark",
    "plan_evaluation",
    "run_evaluation",
]
