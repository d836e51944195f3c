"""Benchmarks by name: the files of this folder, and any source of problems.

get_benchmark("math_500")                                   one of `benchmarks()`
get_benchmark("tasks:linear_equation?level=2&n=200")        see `by_source`
get_benchmark("mine.jsonl?prompt=question&answer=final")
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from open_r1.errors import ConfigError, nearest
from open_r1.evaluation.benchmarks.base import Benchmark, Question, Source

__all__ = ["Benchmark", "Question", "Source", "benchmarks", "get_benchmark", "split_names"]

NO_BENCHMARKS = ("base", "by_source")


@cache
def benchmarks() -> dict[str, Benchmark]:
    """Every benchmark of this folder, by name."""
    found: dict[str, Benchmark] = {}
    for info in iter_modules(__path__):
        if info.name in NO_BENCHMARKS:
            continue
        module = import_module(f"{__name__}.{info.name}")
        for benchmark in getattr(module, "BENCHMARKS", None) or (module.BENCHMARK,):
            found[benchmark.name] = benchmark
    return found


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of that name or source; ConfigError with the nearest for an unknown one."""
    from open_r1.evaluation.benchmarks.by_source import benchmark_of_source, is_source

    known = benchmarks()
    if name in known:
        return known[name]
    if is_source(name):
        return benchmark_of_source(name)
    raise ConfigError(
        f"unknown benchmark '{name}'{nearest(name, known)} Known: {', '.join(known)}; a file of problems, "
        "tasks:NAME or reasoning_gym:NAME will do too."
    )


def split_names(words: Sequence[str]) -> list[str]:
    """Names given apart or with commas between; a comma within brackets belongs to a name."""
    return [name.strip() for word in words for name in re.split(r",(?![^\[]*\])", word) if name.strip()]
