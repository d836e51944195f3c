"""What a set of scored samples says: summary.json of one benchmark and model, its estimates in all and by group.

docs/guides/evaluation.md describes each field of summary.json and samples.jsonl.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from open_r1.estimates import estimate_share, mean
from open_r1.evaluation.monitor import measure, summarise_quality
from open_r1.evaluation.statistics import clustered_error, majority_at_k, pass_at_k, repeat_error
from open_r1.generation import Sampling
from open_r1.records import Estimate, Outcome, Problem
from open_r1.rundir import iter_rows, read_json
from open_r1.text.thinking import visible_part

SUMMARY, SAMPLES = "summary.json", "samples.jsonl"
EXTRACTED = "extracted_answer"  # the column of `data.verification` too: `answer` is a gold's

MOST_VOTES = 16  # maj@k is computed for powers of two up to this many samples, and for all samples
Row = Mapping[str, Any]

TEXTS = ("prompt", "gold", "completion")  # columns of samples.jsonl that no estimate needs


def sample_row(problem: Problem, mode: str, row: Row, outcome: Outcome) -> dict[str, Any]:
    """The line of samples.jsonl for a completion, whose `row` is as `sampling` keeps it."""
    text, tokens = row["completion"], row["completion_tokens"]
    return {
        "problem_id": problem.id,
        "sample": row["sample"],
        "mode": mode,
        "prompt": problem.prompt,
        "gold": problem.gold,
        "group": next(iter(problem.groups.values()), ""),
        "groups": dict(problem.groups),
        "completion": text,
        EXTRACTED: outcome.details.get("answer"),
        "score": outcome.value,
        "reason": outcome.reason,
        "finish_reason": row["finish_reason"],
        "num_tokens": tokens,
        "thinking_tokens": thinking_tokens(text, tokens),
        "seed": row["seed"],
    }


def read_scored(path: Path) -> list[dict[str, Any]]:
    """The lines of samples.jsonl, the quality of each completion in place of its texts."""
    return [
        {key: value for key, value in row.items() if key not in TEXTS} | {"quality": measure(row["completion"])}
        for row in (found.value for found in iter_rows(path))
    ]


def thinking_tokens(text: str, tokens: int | None) -> int | None:
    """The tokens of a completion that are thinking: as large a share of them as of the characters."""
    if tokens is None:
        return None
    return round(tokens * (len(text) - len(visible_part(text))) / len(text)) if text else 0


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of an evaluation's folder; RunFolderError when it is damaged."""
    return read_json(folder / SUMMARY)


def summarise_mode(samples: Sequence[Row], sampling: Sampling, votes: bool) -> dict[str, Any]:
    """The entry of one mode. `votes` says whether answers can be compared, so that a majority means something."""
    scored = _scored_by_problem(samples)
    scores = [[sample["score"] for sample in each] for each in scored]
    means = [mean(each) for each in scores]
    kinds = list(dict.fromkeys(kind for sample in samples for kind in sample["groups"]))
    by = {kind: _estimate_groups(samples, kind) for kind in kinds}
    count = sampling.num_samples
    votes_each = [[(sample[EXTRACTED], sample["score"]) for sample in each] for each in scored]
    sizes = sorted({*(2**power for power in range(count.bit_length())), count})
    few = [k for k in sizes if k <= MOST_VOTES or k == count]

    def pass_at(scores: Sequence[float], k: int) -> float:
        return pass_at_k(len(scores), sum(score == 1 for score in scores), k)

    return {
        "temperature": sampling.temperature,
        "num_samples": count,
        "max_new_tokens": sampling.max_new_tokens,
        "accuracy": as_record(estimate_share(means)),
        "standard_error": number(clustered_error(means)),
        "repeat_error": number(repeat_error(scores)),
        "pass_at": _estimate_at(scores, pass_at, sizes),
        "maj_at": _estimate_at(votes_each, majority_at_k, few) if votes else {},
        "groups": by[kinds[0]] if kinds else {},
        "by": by,
        "truncated_share": mean([sample["finish_reason"] == "length" for sample in samples]),
        "no_answer_share": mean([sample[EXTRACTED] is None for sample in samples]),
        "unscored_share": mean([sample["score"] is None for sample in samples]),
        "mean_tokens": number(mean([one["num_tokens"] for one in samples if one["num_tokens"] is not None])),
        "mean_thinking_tokens": number(
            mean([one["thinking_tokens"] for one in samples if one["num_tokens"] is not None])
        ),
        "reasons": dict(sorted(Counter(sample["reason"] for sample in samples).items())),
        "quality": summarise_quality([sample["quality"] for sample in samples]),
    }


def as_record(estimate: Estimate) -> dict[str, Any]:
    """An estimate as JSON has it: null for what is not known."""
    shares = {name: number(getattr(estimate, name)) for name in ("value", "low", "high")}
    return {**shares, "n": estimate.n}


def from_record(record: Mapping[str, Any]) -> Estimate:
    """The estimate of a record; NaN for what is not known. KeyError or TypeError for anything else."""
    value, low, high = (math.nan if record[name] is None else float(record[name]) for name in ("value", "low", "high"))
    return Estimate(value, low, high, record["n"])


def _scored_by_problem(samples: Iterable[Row]) -> list[list[Row]]:
    problems: dict[str, list[Row]] = {}
    for sample in samples:
        if sample["score"] is not None:
            problems.setdefault(sample["problem_id"], []).append(sample)
    return list(problems.values())


def _estimate_groups(samples: Sequence[Row], kind: str) -> dict[str, Any]:
    groups: dict[str, list[Row]] = {}
    for sample in samples:
        if kind in sample["groups"]:
            groups.setdefault(sample["groups"][kind], []).append(sample)
    means = {
        name: [mean([sample["score"] for sample in each]) for each in _scored_by_problem(found)]
        for name, found in sorted(groups.items())
    }
    return {name: as_record(estimate_share(found)) for name, found in means.items()}


def _estimate_at(
    scored: Sequence[Sequence[Any]], score: Callable[[Sequence[Any], int], float], sizes: Sequence[int]
) -> dict[str, Any]:
    return {
        str(k): as_record(estimate_share([score(samples, k) for samples in scored if len(samples) >= k]))
        for k in sizes
    }


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value
