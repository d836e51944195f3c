"""Benchmarks made of a source: `tasks:…`, `reasoning_gym:…`, or a file of the user's own with a map of its columns.

tasks:linear_equation?level=2&n=200&split=held_out
reasoning_gym:chain_sum?size=100
my_problems.jsonl?prompt=question&answer=final&id=number&subject=topic&level=grade&num_samples=8

A file's prompts are asked as they stand. Without a map, the columns are found by their names.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from open_r1.configs.references import read_source
from open_r1.data.columns import GOLD_COLUMNS, PROMPT_COLUMNS
from open_r1.data.sources import has_prefix
from open_r1.data.sources.local import is_local_name
from open_r1.errors import DataError
from open_r1.evaluation.benchmarks.base import (
    Benchmark,
    Question,
    Row,
    Source,
    find_unreadable_gold,
    groups_in,
    math_benchmark,
    text_in,
)
from open_r1.evaluation.scoring import score_reasoning_gym
from open_r1.rewards.functions.reasoning_gym import REWARD

KEYS = ("prompt", "answer", "id", "subject", "level", "num_samples", "max_new_tokens", "name")
NUM_SAMPLES = 4
MAX_NEW_TOKENS = 32768


def is_source(name: str) -> bool:
    path = name.partition("?")[0]
    return has_prefix(name) or is_local_name(path) or Path(path).exists()


def benchmark_of_source(name: str) -> Benchmark:
    """The benchmark that a source's name stands for. ConfigError for a map that can't be read."""
    if has_prefix(name):
        return generated(name)
    source = read_source(name, "benchmark", KEYS)
    for key in ("num_samples", "max_new_tokens"):
        source.whole_number(key, 1, least=1)
    return of_file(source.name, source.options)


def of_file(path: str, options: dict[str, str]) -> Benchmark:
    def read(row: Row, seed: int) -> Question:
        prompt = text_in(row, options.get("prompt") or find_column(row, PROMPT_COLUMNS, "prompt"))
        gold = text_in(row, options.get("answer") or find_column(row, GOLD_COLUMNS, "answer"))
        id = str(row[options["id"]]) if "id" in options else ""
        groups = {"subject": options.get("subject", "subject"), "level": options.get("level", "level")}
        return Question(id, prompt, gold, groups_in(row, groups), {"ordered": bool(row.get("ordered"))})

    title = options.get("name") or Path(path).name.partition(".")[0]
    named = tuple(options[key] for key in ("prompt", "answer", "id", "subject", "level") if key in options)
    return replace(
        math_benchmark(title, f"problems of {path}", Source(path), int(options.get("num_samples", NUM_SAMPLES))),
        columns=named,
        max_new_tokens=int(options.get("max_new_tokens", MAX_NEW_TOKENS)),
        read=read,
        find_trouble=find_unreadable_gold,
    )


def find_column(row: Row, known: tuple[str, ...], key: str) -> str:
    for column in known:
        if column in row:
            return column
    raise DataError(
        f"no column is known by its name as the {key} ({', '.join(known)}); found {', '.join(row)}; name it: "
        f"FILE?{key}=COLUMN"
    )


def generated(name: str) -> Benchmark:
    what = name.partition("?")[0].replace(":", "-")
    plain = math_benchmark(
        what, f"problems of {name}", Source(name), NUM_SAMPLES, problem="prompt", answer="solution", suffix="",
        groups={"subject": "family", "level": "difficulty"},
    )  # fmt: skip
    if not name.startswith("reasoning_gym:"):
        return plain

    def read(row: Row, seed: int) -> Question:
        return Question(
            "", text_in(row, "prompt"), str(row["solution"]), columns={"reasoning_gym": row["reasoning_gym"]}
        )

    return replace(
        plain,
        read=read,
        score=score_reasoning_gym,
        find_trouble=lambda question: None,
        check=lambda: REWARD.build(None),
    )
