"""The completions of a run: the samples of its evaluations and the rollouts of its training.

Texts are read when they are shown: `Verdict` keeps where a sample is in its file, so that a benchmark of many long samples
costs little memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from open_r1.errors import DataError
from open_r1.report.run_records import Rollout, Sample, UnscoredCount, Verdict
from open_r1.report.values import integer, json_lines, mapping, number_of, text_of
from open_r1.rundir import open_regular, read_row
from open_r1.rundir import rollouts as rollout_files
from open_r1.rundir.rollouts import reason_column

MAX_COUNTED_FILES = 60
"""Unscored rewards are counted in at most so many rollout files, evenly spread."""


def read_verdicts(path: Path, mode: str) -> dict[str, Verdict]:
    """The verdict on the first sample of each problem in `mode`, by problem id; empty when the file can't be read."""
    verdicts: dict[str, Verdict] = {}
    for offset, row in json_lines(path):
        problem = text_of(row.get("problem_id"))
        if problem and row.get("mode") == mode and problem not in verdicts:
            verdicts[problem] = Verdict(number_of(row.get("score")), text_of(row.get("group")), offset)
    return verdicts


def read_sample(path: Path, offset: int) -> Sample:
    """The sample whose line begins at byte `offset`, as `read_verdicts` found it."""
    with open_regular(path) as file:
        row = mapping(read_row(file, offset))
    return Sample(
        prompt=text_of(row.get("prompt")),
        gold=text_of(row.get("gold")),
        group=text_of(row.get("group")),
        completion=text_of(row.get("completion")),
        answer=None if row.get("answer") is None else text_of(row["answer"]),
        score=number_of(row.get("score")),
        reason=text_of(row.get("reason")),
        num_tokens=integer(row.get("num_tokens")),
        finish_reason=text_of(row.get("finish_reason")),
    )


def read_rollouts(path: Path) -> list[Rollout]:
    """The rollouts of one file; empty when it can't be read."""
    try:
        found = rollout_files.read_rollouts(path)
    except DataError:
        return []
    return [_rollout(row, found.rewards) for row in found.rows]


def _rollout(row: Mapping[str, Any], names: tuple[str, ...]) -> Rollout:
    return Rollout(
        step=integer(row.get("step")),
        prompt=text_of(row.get("prompt")),
        completion=text_of(row.get("completion")),
        rewards={name: number_of(row.get(name)) for name in names},
        reasons={name: text_of(row.get(reason_column(name))) for name in names},
        advantage=number_of(row.get("advantage")),
    )


def count_unscored(paths: tuple[Path, ...]) -> list[UnscoredCount]:
    """For each reward with unscored values: how many and why, over at most MAX_COUNTED_FILES files."""
    totals, unscored, reasons = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    for path in spread(paths, MAX_COUNTED_FILES):
        for reward, value, reason in _reward_values(path):
            totals[reward] += 1
            if value is None:
                unscored[reward] += 1
                reasons[reward, reason or "no reason given"] += 1
    return [
        UnscoredCount(
            reward=reward,
            unscored=unscored[reward],
            total=totals[reward],
            reasons=tuple(sorted((why, count) for (name, why), count in reasons.items() if name == reward)),
        )
        for reward in sorted(unscored)
    ]


def _reward_values(path: Path) -> Iterator[tuple[str, float | None, str]]:
    try:
        found = rollout_files.read_rollouts(path, rewards_only=True)
    except DataError:
        return
    for row in found.rows:
        for name in found.rewards:
            yield name, number_of(row.get(name)), text_of(row.get(reason_column(name)))


def spread(items: tuple[Any, ...], limit: int) -> tuple[Any, ...]:
    """At most `limit` of the items, evenly spread, first and last among them."""
    if len(items) <= limit:
        return items
    return tuple(items[round(index * (len(items) - 1) / (limit - 1))] for index in range(limit))
