"""Evaluation: sampled completions, scored, with intervals. Needs no torch; a generator may.

summary = evaluate("math_500", "runs/math-grpo", "runs/eval/math_500", data="math500.jsonl", on_progress=print)
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
