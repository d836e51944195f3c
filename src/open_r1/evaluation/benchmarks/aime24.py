"""AIME 2024: 30 problems of the American Invitational Mathematics Examination, answers from 0 to 999."""

from open_r1.evaluation.benchmarks.base import Source, math_benchmark

BENCHMARK = math_benchmark(
    "aime24", "AIME 2024, I and II, 30 problems", Source("HuggingFaceH4/aime_2024"), num_samples=64
)
