"""What a set of scored samples says: summary.json of one benchmark and model, its estimates in all and by group.

summary.json, as every evaluation writes it (`open-r1 eval`, a pipeline's stage, `benchmarks` of a training stage):

    name, title          the benchmark
    model                the model's path, Hub id, name on its server, or the stage that trained it
    num_problems
    settings             what made the result: the benchmark, hashes of problems and model, sampling, versions
    modes                "greedy" and "sampled", or one of them, each with:
      temperature, num_samples, max_new_tokens
      accuracy           pass@1, the mean over problems of the mean over their samples: an estimate
      standard_error     of accuracy, clustered by problem; null for fewer than two problems
      repeat_error       of accuracy, were the same problems sampled again; null for one sample a problem
      pass_at, maj_at    {"1": estimate, "2": …}; maj_at is empty where answers can't be compared
      groups, by         accuracy of each group: of the first kind of groups, and of each kind
      truncated_share, no_answer_share, unscored_share
      mean_tokens, mean_thinking_tokens
      reasons            {"correct": 12, "wrong": 3, …}
      quality            the guide's monitor (`monitor`)

An estimate is {"value", "low", "high", "n"}: its 95 % interval and the number of problems. Shares are in 0..1; null is what
is not known. Problems count alike, however many of their samples could be scored; unscored samples are left out.

samples.jsonl has one line for each sample: problem_id, mode, sample, prompt, gold, group, groups, completion, answer, score,
reason, finish_reason, num_tokens, thinking_tokens, seed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from open_r1.evaluation.monitor import measure, summarise_quality
from open_r1.evaluation.statistics import (
    clustered_error,
    estimate_share,
    majority_at_k,
    mean,
    pass_at_k,
    repeat_error,
)
from open_r1.generation import Sampling
from open_r1.records import Estimate, Outcome, Problem
from open_r1.rundir import iter_rows, read_json
from open_r1.text.thinking import visible_part

SUMMARY, SAMPLES = "summary.json", "samples.jsonl"

MOST_VOTES = 16
"""maj@k is computed for powers of two up to this many samples, and for all samples."""


Row = Mapping[str, Any]

TEXTS = ("prompt", "gold", "completion")
"""Columns of samples.jsonl that no estimate needs."""


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
        "answer": outcome.details.get("answer"),
        "score": outcome.value,
        "reason": outcome.reason,
        "finish_reason": row["finish_reason"],
        "num_tokens": tokens,
        "thinking_tokens": thinking_tokens(text, tokens),
        "seed": row["seed"],
    }


def read_scored(path: Path) -> list[dict[str, Any]]:
    """The lines of samples.jsonl, the quality of each completion in place of its texts."""
    rows = (row.value for row in iter_rows(path))
    return [
        {key: value for key, value in row.items() if key not in TEXTS} | {"quality": measure(row["completion"])}
        for row in rows
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
    scored = scored_by_problem(samples)
    means = [mean(scores_of(each)) for each in scored]
    kinds = list(dict.fromkeys(kind for sample in samples for kind in sample["groups"]))
    by = {kind: estimate_groups(samples, kind) for kind in kinds}
    count = sampling.num_samples
    sizes = sorted({*(2**power for power in range(count.bit_length())), count})
    return {
        "temperature": sampling.temperature,
        "num_samples": count,
        "max_new_tokens": sampling.max_new_tokens,
        "accuracy": as_record(estimate_share(means)),
        "standard_error": number(clustered_error(means)),
        "repeat_error": number(repeat_error([scores_of(each) for each in scored])),
        "pass_at": estimate_at(scored, passes, sizes),
        "maj_at": estimate_at(scored, majority, [k for k in sizes if k <= MOST_VOTES or k == count]) if votes else {},
        "groups": by[kinds[0]] if kinds else {},
        "by": by,
        "truncated_share": mean([sample["finish_reason"] == "length" for sample in samples]),
        "no_answer_share": mean([sample["answer"] is None for sample in samples]),
        "unscored_share": mean([sample["score"] is None for sample in samples]),
        "mean_tokens": known_mean([sample["num_tokens"] for sample in samples]),
        "mean_thinking_tokens": known_mean([sample["thinking_tokens"] for sample in samples]),
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


def scored_by_problem(samples: Iterable[Row]) -> list[list[Row]]:
    """The scored samples of each problem; problems without any are left out."""
    problems: dict[str, list[Row]] = {}
    for sample in samples:
        if sample["score"] is not None:
            problems.setdefault(sample["problem_id"], []).append(sample)
    return list(problems.values())


def scores_of(samples: Sequence[Row]) -> list[float]:
    """The scores of scored samples."""
    return [sample["score"] or 0.0 for sample in samples]


def estimate_groups(samples: Sequence[Row], kind: str) -> dict[str, Any]:
    """Group -> the accuracy on its problems, for one kind of groups as "subject"."""
    groups: dict[str, list[Row]] = {}
    for sample in samples:
        if kind in sample["groups"]:
            groups.setdefault(sample["groups"][kind], []).append(sample)
    return {
        name: as_record(estimate_share([mean(scores_of(each)) for each in scored_by_problem(found)]))
        for name, found in sorted(groups.items())
    }


def estimate_at(
    scored: Sequence[Sequence[Row]], score: Callable[[Sequence[Row], int], float], sizes: Sequence[int]
) -> dict[str, Any]:
    """k -> the mean over the problems that have k scored samples, with its interval."""
    return {
        str(k): as_record(estimate_share([score(samples, k) for samples in scored if len(samples) >= k]))
        for k in sizes
    }


def passes(samples: Sequence[Row], k: int) -> float:
    """pass@k of one problem's samples."""
    return pass_at_k(len(samples), sum(sample["score"] == 1 for sample in samples), k)


def majority(samples: Sequence[Row], k: int) -> float:
    """maj@k of one problem's samples."""
    return majority_at_k([(sample["answer"], sample["score"] or 0.0) for sample in samples], k)


def known_mean(values: Sequence[int | None]) -> float | None:
    """The mean of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value
