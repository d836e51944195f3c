"""AMC 2023: 40 problems of the American Mathematics Competitions 12 with numeric answers."""

from open_r1.evaluation.benchmarks.base import Source, math_benchmark

BENCHMARK = math_benchmark(
    "amc23", "AMC 12 2023, 40 problems", Source("math-ai/amc23", split="test"), num_samples=32, problem="question"
)
