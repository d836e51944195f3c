"""GSM8K: 1,319 grade-school word problems (arXiv:2110.14168); the gold follows `####`."""

from open_r1.evaluation.benchmarks.base import Source, math_benchmark

BENCHMARK = math_benchmark(
    "gsm8k", "GSM8K, test set", Source("openai/gsm8k", "main", "test"), num_samples=4, problem="question"
)
