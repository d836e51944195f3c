"""Benchmarks made of a source: `tasks:…`, `reasoning_gym:…`, or a file of the user's own with a map of its columns.

mine.jsonl?prompt=question&answer=final&id=number&subject=topic&level=grade: without a map, columns are found by their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from open_r1.configs.references import read_source
from open_r1.data.columns import GOLD_COLUMNS, PROMPT_COLUMNS, find_column
from open_r1.data.sources import has_prefix
from open_r1.data.sources.local import is_local_name
from open_r1.evaluation.benchmarks.base import (
    MAX_NEW_TOKENS,
    Benchmark,
    Row,
    Source,
    find_unreadable_gold,
    groups_in,
    id_in,
    math_benchmark,
    score_answers,
    text_in,
)
from open_r1.records import Outcome, Problem
from open_r1.rewards.functions.reasoning_gym import REWARD, answer_in

KEYS = ("prompt", "answer", "id", "subject", "level", "num_samples", "max_new_tokens", "name")
NUM_SAMPLES = 4
HELD_OUT_TOKENS = 256


def is_source(name: str) -> bool:
    """Whether a benchmark's name is a source of problems."""
    path = name.partition("?")[0]
    return has_prefix(name) or is_local_name(path) or Path(path).exists()


def benchmark_of_source(name: str) -> Benchmark:
    """The benchmark that a source's name refers to. ConfigError for a map that can't be read."""
    if has_prefix(name):
        return generated(name)
    source = read_source(name, "benchmark", KEYS)
    for key in ("num_samples", "max_new_tokens"):
        source.whole_number(key, 1, least=1)
    return _benchmark_of_file(source.name, source.options)


def held_out_benchmark(path: str, prompt: str | None = None, answer: str | None = None) -> Benchmark:
    """A file of short held-out problems, as a pipeline makes them: answered greedily and by 4 samples at temperature 1."""
    options = {key: column for key, column in (("prompt", prompt), ("answer", answer)) if column}
    return replace(
        _benchmark_of_file(path, options), greedy=True, temperature=1.0, top_p=1.0, max_new_tokens=HELD_OUT_TOKENS
    )


def _benchmark_of_file(path: str, options: Mapping[str, str]) -> Benchmark:

    def read(row: Row, seed: int) -> Problem:
        groups = {
            group: options.get(group) or next((column for column in (group, other) if column in row), "")
            for group, other in (("subject", "family"), ("level", "difficulty"))
        }
        prompt, answer = (
            options.get(key) or find_column(list(row), None, known, path, f"FILE?{key}=COLUMN", what)
            for key, known, what in (("prompt", PROMPT_COLUMNS, "problems"), ("answer", GOLD_COLUMNS, "answers"))
        )
        return Problem(
            text_in(row, prompt),
            text_in(row, answer),
            metadata={"ordered": bool(row.get("ordered"))},
            name=id_in(row, options["id"]) if "id" in options else "",
            groups=groups_in(row, groups),
        )

    return Benchmark(
        name=options.get("name") or Path(path).name.partition(".")[0],
        title=f"problems of {path}",
        source=Source(path),
        columns=tuple(options[key] for key in ("prompt", "answer", "id", "subject", "level") if key in options),
        read=read,
        score=score_answers,
        num_samples=int(options.get("num_samples", NUM_SAMPLES)),
        find_trouble=find_unreadable_gold,
        max_new_tokens=int(options.get("max_new_tokens", MAX_NEW_TOKENS)),
    )


def generated(name: str) -> Benchmark:
    """Procedural problems, of this package's families or of reasoning-gym."""
    label = name.partition("?")[0].replace(":", "-")
    plain = math_benchmark(
        label, f"problems of {name}", Source(name), NUM_SAMPLES, problem="prompt", answer="solution", suffix="",
        groups={"subject": "family", "level": "difficulty"},
    )  # fmt: skip
    if not name.startswith("reasoning_gym:"):
        return plain

    def read(row: Row, seed: int) -> Problem:
        return Problem(text_in(row, "prompt"), str(row["solution"]), metadata={"reasoning_gym": row["reasoning_gym"]})

    check = partial(REWARD.build, None)
    return replace(plain, read=read, score=_score_reasoning_gym, find_trouble=lambda problem: None, check=check)


def _score_reasoning_gym(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    entries = [problem.metadata["reasoning_gym"] for problem in problems]
    outcomes = REWARD.build(None).score(list(completions), reasoning_gym=entries)
    return [
        Outcome(outcome.value, outcome.reason, {"answer": answer_in(completion) or None})
        for outcome, completion in zip(outcomes, completions, strict=True)
    ]
