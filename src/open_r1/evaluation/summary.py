"""What a set of scored samples says: the estimates of one benchmark and model, in all and by group.

Problems count alike, however many of their samples could be scored; unscored samples are left out and their share told.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from open_r1.data.generation import TraceSettings
from open_r1.evaluation.monitor import Quality, summarise_quality
from open_r1.evaluation.statistics import (
    clustered_error,
    estimate_share,
    majority_at_k,
    mean,
    pass_at_k,
    repeat_error,
)
from open_r1.records import Estimate

MOST_VOTES = 16
"""maj@k is computed for powers of two up to here, and for all samples."""


@dataclass(frozen=True)
class Scored:
    """One sample without its text."""

    problem_id: str
    sample: int
    groups: Mapping[str, str]
    score: float | None
    reason: str
    answer: str | None
    tokens: int | None
    thinking_tokens: int | None
    is_truncated: bool
    quality: Quality


def summarise_scored(scored: Sequence[Scored], settings: TraceSettings, votes: bool) -> dict[str, Any]:
    """The estimates; shares in 0..1, tokens a sample."""
    by_problem = group_by_problem(scored)
    means = [mean(values) for values in scores_of(by_problem).values()]
    kinds = list(dict.fromkeys(kind for sample in scored for kind in sample.groups))
    by = {kind: estimate_groups(scored, kind) for kind in kinds}
    return {
        "temperature": settings.temperature,
        "num_samples": settings.num_samples,
        "max_new_tokens": settings.max_new_tokens,
        "accuracy": as_record(estimate_share(means)),
        "standard_error": number(clustered_error(means)),
        "repeat_error": number(repeat_error(scores_of(by_problem).values())),
        "pass_at": estimate_at(by_problem, settings.num_samples, passes, powers_of_two(settings.num_samples)),
        "maj_at": estimate_at(by_problem, settings.num_samples, majority, vote_sizes(settings.num_samples))
        if votes
        else {},
        "groups": by[kinds[0]] if kinds else {},
        "by": by,
        "truncated_share": mean([sample.is_truncated for sample in scored]),
        "no_answer_share": mean([sample.answer is None for sample in scored]),
        "unscored_share": mean([sample.score is None for sample in scored]),
        "mean_tokens": known_mean([sample.tokens for sample in scored]),
        "mean_thinking_tokens": known_mean([sample.thinking_tokens for sample in scored]),
        "reasons": dict(sorted(Counter(sample.reason for sample in scored).items())),
        "quality": summarise_quality(sample.quality for sample in scored),
    }


def as_record(estimate: Estimate) -> dict[str, Any]:
    """An estimate as JSON has it: null for what is not known."""
    return {
        "value": number(estimate.value),
        "low": number(estimate.low),
        "high": number(estimate.high),
        "n": estimate.n,
    }


def from_record(record: Mapping[str, Any]) -> Estimate:
    """The estimate of a record; NaN for what is not known. KeyError or TypeError for another thing."""
    value, low, high = (math.nan if record[name] is None else float(record[name]) for name in ("value", "low", "high"))
    return Estimate(value, low, high, record["n"])


def group_by_problem(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    problems: dict[str, list[Scored]] = {}
    for sample in scored:
        problems.setdefault(sample.problem_id, []).append(sample)
    return problems


def scores_of(by_problem: Mapping[str, Sequence[Scored]]) -> dict[str, list[float]]:
    """Each problem's scores; problems without any are left out."""
    scores = {
        name: [sample.score for sample in samples if sample.score is not None] for name, samples in by_problem.items()
    }
    return {name: values for name, values in scores.items() if values}


def estimate_groups(scored: Sequence[Scored], kind: str) -> dict[str, Any]:
    names = sorted({sample.groups[kind] for sample in scored if kind in sample.groups})
    return {
        name: as_record(
            estimate_share(
                [
                    mean(values)
                    for values in scores_of(
                        group_by_problem([sample for sample in scored if sample.groups.get(kind) == name])
                    ).values()
                ]
            )
        )
        for name in names
    }


def estimate_at(
    by_problem: Mapping[str, Sequence[Scored]],
    num_samples: int,
    score: Callable[[Sequence[Scored], int], float],
    sizes: Sequence[int],
) -> dict[str, Any]:
    """k -> the mean over the problems that have k scored samples, with its interval."""
    usable = [[sample for sample in samples if sample.score is not None] for samples in by_problem.values()]
    return {
        str(k): as_record(estimate_share([score(samples, k) for samples in usable if len(samples) >= k]))
        for k in sizes
    }


def passes(samples: Sequence[Scored], k: int) -> float:
    return pass_at_k(len(samples), sum(sample.score == 1 for sample in samples), k)


def majority(samples: Sequence[Scored], k: int) -> float:
    return majority_at_k([(sample.answer, sample.score or 0.0) for sample in samples], k)


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4, … and the whole number itself."""
    return sorted({*(2**power for power in range(most.bit_length())), most})


def vote_sizes(most: int) -> list[int]:
    return [k for k in powers_of_two(most) if k <= MOST_VOTES or k == most]


def known_mean(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value
