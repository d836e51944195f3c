"""AIME 2025: 30 problems of the American Invitational Mathematics Examination, answers from 0 to 999."""

from open_r1.evaluation.benchmarks.base import Source, math_benchmark

BENCHMARK = math_benchmark(
    "aime25", "AIME 2025, I and II, 30 problems", Source("yentinglin/aime_2025"), num_samples=64
)
