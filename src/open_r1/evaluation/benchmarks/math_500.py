"""MATH-500: the 500 problems of MATH's test set that "Let's Verify Step by Step" (arXiv:2305.20050) held out."""

from open_r1.evaluation.benchmarks.base import Source, math_benchmark

BENCHMARK = math_benchmark(
    "math_500",
    "MATH-500, by subject and level",
    Source("HuggingFaceH4/MATH-500", split="test"),
    num_samples=4,
    id_column="unique_id",
    groups={"subject": "subject", "level": "level"},
)
