"""The completions of a run: the samples of its evaluations and the rollouts of its training.

Texts are read when they are shown: a `Verdict` knows where its sample is, so that many long samples cost little memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from open_r1.errors import DataError
from open_r1.report.run_records import Rollout, Sample, mark_of, read_record
from open_r1.report.values import json_lines, number_of, text_of
from open_r1.rundir import open_regular, read_row
from open_r1.rundir import rollouts as rollout_files
from open_r1.rundir.rollouts import reason_column

MAX_COUNTED_FILES = 60  # unscored rewards are counted in at most so many rollout files, evenly spread


class Verdict(NamedTuple):
    """The mark of one sample ("right", "wrong", …), its group, and the byte where its line begins in samples.jsonl."""

    mark: str
    group: str
    offset: int


def read_verdicts(path: Path, mode: str) -> dict[str, Verdict]:
    """The verdict on the first sample of each problem in `mode`, by problem id; empty when the file can't be read."""
    verdicts: dict[str, Verdict] = {}
    for offset, row in json_lines(path):
        problem = text_of(row.get("problem_id"))
        if problem and row.get("mode") == mode and problem not in verdicts:
            verdicts[problem] = Verdict(mark_of(number_of(row.get("score"))), text_of(row.get("group")), offset)
    return verdicts


def read_sample(path: Path, offset: int) -> Sample:
    """The sample whose line begins at byte `offset`, as `read_verdicts` found it."""
    with open_regular(path) as file:
        return read_record(Sample, read_row(file, offset))


def read_rollouts(path: Path, rewards_only: bool = False) -> list[Rollout]:
    """The rollouts of one file; empty when it can't be read."""
    try:
        found = rollout_files.read_rollouts(path, rewards_only)
    except DataError:
        return []

    def read(row: Mapping[str, Any]) -> Rollout:
        rewards = {name: number_of(row.get(name)) for name in found.rewards}
        reasons = {name: text_of(row.get(reason_column(name))) for name in found.rewards}
        return read_record(Rollout, row, rewards=rewards, reasons=reasons)

    return [read(row) for row in found.rows]


def count_unscored(paths: tuple[Path, ...]) -> list[str]:
    """`accuracy: 3 of 1,200 unscored (timeout 3).` for each reward, over at most MAX_COUNTED_FILES files."""
    totals: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {}
    for rollout in (
        one for path in spread(paths, MAX_COUNTED_FILES) for one in read_rollouts(path, rewards_only=True)
    ):
        totals.update(rollout.rewards.keys())
        for name in (name for name, value in rollout.rewards.items() if value is None):
            reasons.setdefault(name, Counter())[rollout.reasons[name] or "no reason given"] += 1
    return [
        f"{name}: {found.total():,} of {totals[name]:,} unscored "
        f"({', '.join(f'{reason} {number:,}' for reason, number in sorted(found.items()))})."
        for name, found in sorted(reasons.items())
    ]


def spread(items: tuple[Any, ...], limit: int) -> tuple[Any, ...]:
    """At most `limit` of the items, evenly spread, first and last among them."""
    if len(items) <= limit:
        return items
    return tuple(items[round(index * (len(items) - 1) / (limit - 1))] for index in range(limit))
