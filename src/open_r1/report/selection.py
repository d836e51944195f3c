"""Which problems and rollouts the page shows. Chosen by rule, not by hand, and the same for the same files.

Problems: by what changed between the last two evaluations, spread over the families, in the order of their ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from open_r1.report.run_records import Evaluation, Rollout, Sample
from open_r1.report.samples import Verdict, read_rollouts, read_sample, read_verdicts, spread

NUM_PROBLEMS = 12
NUM_STEPS = 3
NUM_ROLLOUTS = 4

Change = tuple[str, ...]  # the marks of the last two evaluations, or of the only one: ("wrong", "right")
TURNS: tuple[tuple[Change, int], ...] = (
    (("right", "wrong"), 2),
    (("wrong", "wrong"), 2),
    (("right", "right"), 2),
    (("wrong",), 5),
    (("wrong", "right"), NUM_PROBLEMS),
    (("right",), NUM_PROBLEMS),
)
"""Who may choose how many, in turn. Losses come first, so that they always show; gains take what is left."""

SHOWN_ORDER: tuple[Change, ...] = (("wrong", "right"), ("right", "right"), ("right", "wrong"), ("wrong", "wrong"))


@dataclass(frozen=True)
class ShownProblem:
    """One problem with a sample of each evaluation, None where that evaluation has none."""

    id: str
    change: Change
    samples: tuple[Sample | None, ...]


@dataclass(frozen=True)
class ProblemChoice:
    """The problems to show, and how many there are of each change in all."""

    shown: tuple[ShownProblem, ...]
    counts: tuple[tuple[Change, int], ...]


@dataclass(frozen=True)
class ShownGroup:
    """Rollouts of one prompt at one step, the best first; `size` is the whole group's."""

    step: int | None
    prompt: str
    rollouts: tuple[Rollout, ...]
    size: int


def choose_problems(evaluations: Sequence[Evaluation], mode: str, limit: int = NUM_PROBLEMS) -> ProblemChoice:
    """The problems of one benchmark's evaluations, in order, to show side by side."""
    verdicts = [read_verdicts(evaluation.samples_path, mode) for evaluation in evaluations]
    changes = _find_changes(verdicts)
    groups = {key: verdict.group for table in verdicts for key, verdict in table.items()}

    def place(key: str) -> tuple[int, Change, str, str]:
        change = changes[key]
        return ([*SHOWN_ORDER, change].index(change), change, groups[key], key)

    def samples(key: str) -> tuple[Sample | None, ...]:
        tables = zip(evaluations, verdicts, strict=True)
        return tuple(
            read_sample(one.samples_path, table[key].offset) if key in table else None for one, table in tables
        )

    chosen = sorted(_choose(changes, groups, limit), key=place)
    return ProblemChoice(
        shown=tuple(ShownProblem(key, changes[key], samples(key)) for key in chosen),
        counts=tuple(sorted(Counter(changes.values()).items(), key=lambda item: (-item[1], item[0]))),
    )


def _find_changes(verdicts: Sequence[Mapping[str, Verdict]]) -> dict[str, Change]:
    last = [table for table in verdicts if table][-2:]
    if not last:
        return {}
    shared = sorted(set.intersection(*(set(table) for table in last)))
    return {key: tuple(table[key].mark for table in last) for key in shared}


def _choose(changes: Mapping[str, Change], groups: Mapping[str, str], limit: int) -> list[str]:
    known = [change for change, _ in TURNS]
    rare = sorted(set(changes.values()) - set(known))
    turns = [*((change, 1) for change in rare), *TURNS, *((change, limit) for change in (*known, *rare))]
    waiting: dict[Change, list[str]] = {change: [] for change in (*known, *rare)}
    for key, change in changes.items():
        waiting[change].append(key)
    chosen: list[str] = []
    shown = Counter[str]()
    for change, quota in turns:
        for _ in range(min(quota, limit - len(chosen), len(waiting[change]))):
            pick = min(waiting[change], key=lambda key: (shown[groups[key]], groups[key], key))
            waiting[change].remove(pick)
            chosen.append(pick)
            shown[groups[pick]] += 1
    return chosen


def choose_rollouts(paths: tuple[Path, ...]) -> tuple[ShownGroup, ...]:
    """One group each from the first, middle and last rollout file that can be read: that whose rewards differ most."""
    shown = []
    for path in spread(paths, NUM_STEPS):
        by_prompt: dict[str, list[Rollout]] = {}
        for rollout in read_rollouts(path):
            by_prompt.setdefault(rollout.prompt, []).append(rollout)
        ranked = [sorted(group, key=_total, reverse=True) for group in by_prompt.values()]
        if ranked:
            widest = max(ranked, key=lambda group: _total(group[0]) - _total(group[-1]))  # the first of equals
            best = spread(tuple(widest), NUM_ROLLOUTS)
            shown.append(ShownGroup(best[0].step, best[0].prompt, best, len(widest)))
    return tuple(shown)


def _total(rollout: Rollout) -> float:
    return sum(value for value in rollout.rewards.values() if value is not None)
