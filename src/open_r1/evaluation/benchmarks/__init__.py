"""Benchmarks by name: the files of this folder, any source of problems (`by_source`), and `module:BENCHMARK` of your own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from open_r1.configs.references import load_object
from open_r1.errors import ConfigError, nearest
from open_r1.evaluation.benchmarks.base import Benchmark, Source

__all__ = ["Benchmark", "Source", "benchmarks", "get_benchmark", "split_names"]

ALL = ("aime24", "aime25", "math_500", "gpqa", "lcb", "lcb_v4")
"""What `all` means: the benchmarks that Open-R1 has."""

ALIASES = {"gpqa:diamond": "gpqa", "lcb:codegeneration": "lcb", "lcb:codegeneration_v4": "lcb_v4"}
"""Names of lighteval's tasks, by which Open-R1 calls some of them."""

REFERENCE = re.compile(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*")  # `module:name` of a benchmark of the user's own


@cache
def benchmarks() -> dict[str, Benchmark]:
    """Every benchmark of this folder, by name."""
    modules = [import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__)]
    found = [one for module in modules for one in getattr(module, "BENCHMARKS", (getattr(module, "BENCHMARK", None),))]
    return {benchmark.name: benchmark for benchmark in found if benchmark is not None}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of that name, source or reference; ConfigError with the nearest name for an unknown one."""
    from open_r1.evaluation.benchmarks.by_source import benchmark_of_source, is_source

    known = benchmarks()
    if name in known:
        return known[name]
    if is_source(name):
        return benchmark_of_source(name)
    if REFERENCE.fullmatch(name):
        own = load_object(name, "benchmark", "my_benchmarks:BENCHMARK")
        if isinstance(own, Benchmark):
            return own
        raise ConfigError(f"benchmark '{name}' is a {type(own).__name__}, but must be a Benchmark.")
    raise ConfigError(
        f"unknown benchmark '{name}'{nearest(name, known)} Known: {', '.join(known)}; a file of problems, "
        "tasks:NAME, reasoning_gym:NAME and module:name of a benchmark of your own work too."
    )


def split_names(words: Sequence[str]) -> list[str]:
    """Names given apart or with commas between, each once; a comma within brackets belongs to a name, `all` is `ALL`."""
    given = [name.strip() for word in words for name in re.split(r",(?![^\[]*\])", word) if name.strip()]
    named = [ALIASES.get(name, name) for word in given for name in (ALL if word == "all" else (word,))]
    return list(dict.fromkeys(named))
