"""Minerva's MATH-like set: 272 undergraduate problems of MIT OpenCourseWare (arXiv:2206.14858, OCWCourses)."""

from open_r1.evaluation.benchmarks.base import Source, math_benchmark

BENCHMARK = math_benchmark(
    "minerva",
    "Minerva OCWCourses, 272 problems",
    Source("math-ai/minervamath", split="test"),
    num_samples=4,
    problem="question",
)
