"""A benchmark scored by rewards, of this package or of the user's own, in place of its own check."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from open_r1.answers.check import extract_answer
from open_r1.configs.references import load_object
from open_r1.estimates import mean
from open_r1.evaluation.benchmarks.base import PLACE, Benchmark, Row
from open_r1.hub.folders import model_files
from open_r1.records import Outcome, Problem
from open_r1.rewards import build_reward
from open_r1.rewards.model_rewards import is_model_reward
from open_r1.rewards.registry import get_spec, source_of
from open_r1.rundir import hash_files

ROW = "row"  # metadata of a problem: all columns of its row, which a reward may need
NOT_FROM_DATA = ("prompts", "completions", PLACE)


def with_rewards(benchmark: Benchmark, names: Sequence[str]) -> Benchmark:
    """The benchmark with the mean of the rewards' values as the score; a sample that one failed on is unscored."""
    rewards = {name: build_reward(name) for name in names}

    def read(row: Row, seed: int) -> Problem:
        problem = benchmark.read(row, seed)
        columns = {"solution": problem.gold, **{key: row[key] for key in row if key not in NOT_FROM_DATA}}
        return replace(problem, metadata={**problem.metadata, ROW: columns})

    def score(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
        rows = [problem.metadata[ROW] for problem in problems]
        columns: dict[str, Any] = {
            key: [row.get(key) for row in rows] for key in dict.fromkeys(k for r in rows for k in r)
        }
        columns["prompts"] = [[{"role": "user", "content": problem.prompt}] for problem in problems]
        columns["completions"] = [[{"role": "assistant", "content": text}] for text in completions]
        each = zip(*(reward.score(**columns) for reward in rewards.values()), strict=True)
        return [combine(outcomes, text) for outcomes, text in zip(each, completions, strict=True)]

    titled = f"{benchmark.title}, scored by {', '.join(names)}"
    return replace(benchmark, title=titled, read=read, score=score, find_trouble=lambda problem: None)


def combine(outcomes: Sequence[Outcome], completion: str) -> Outcome:
    """The outcomes of one completion as one; its reason is that of the first reward that did not give its most."""
    found = extract_answer(completion)
    values = [outcome.value for outcome in outcomes if outcome.value is not None]
    value = mean(values) if len(values) == len(outcomes) else None
    lacking = [outcome.reason for outcome in outcomes if outcome.value is None or outcome.value < 1]
    return Outcome(value, (lacking or [outcomes[0].reason])[0] or "reward", {"answer": found.text if found else None})


def describe_rewards(names: Sequence[str]) -> str:
    """The rewards with file and line of the user's own, as the end of a sentence; empty for none."""
    named = [f"{name} ({place})" if (place := get_spec(name).place) else name for name in names]
    return f"; scored by {', '.join(named)}" if named else ""


def hash_rewards(names: Sequence[str]) -> dict[str, str]:
    """Each reward by the hash of the file that it is in, where it is the user's own: an edited one is another."""
    hashes = {}
    for name in names:
        if is_model_reward(name):
            folder = source_of(name)
            hashes[name] = hash_files(model_files(str(folder))) if folder else ""
            continue
        file = inspect.getsourcefile(load_object(name, "reward", "my.py:f")) if ":" in name else None
        hashes[name] = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""
    return hashes
