"""One evaluator over the Generator protocol: sample, score, estimate, keep everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from open_r1.errors import DataError
from open_r1.evaluation.statistics import estimate_difference, estimate_share, mean
from open_r1.evaluation.summary import as_record
from open_r1.generation import Generator, Sampling
from open_r1.records import Completion, Estimate, Outcome, Problem
from open_r1.rundir import read_json, read_jsonl, write_json, write_jsonl

Scorer = Callable[[Sequence[str], Sequence[Problem]], list[Outcome]]
"""(completions, the problem of each) -> outcomes, one each."""


@dataclass(frozen=True)
class Mode:
    """A named way of sampling: "greedy", or "sampled" at a temperature."""

    name: str
    sampling: Sampling


@dataclass(frozen=True)
class Sample:
    """One completion of one problem, scored."""

    problem: Problem
    mode: str
    index: int
    completion: Completion
    outcome: Outcome

    def as_row(self) -> dict[str, Any]:
        return {
            "problem_id": self.problem.id,
            "prompt": self.problem.prompt,
            "gold": self.problem.gold,
            "group": self.problem.family,
            "difficulty": self.problem.difficulty,
            "mode": self.mode,
            "sample": self.index,
            "completion": self.completion.text,
            "num_tokens": self.completion.num_tokens,
            "finish_reason": self.completion.finish_reason,
            "score": self.outcome.value,
            "reason": self.outcome.reason,
        }


@dataclass(frozen=True)
class Evaluation:
    """Summary of one model on one set of problems, and every sample behind it."""

    summary: dict[str, Any]
    samples: tuple[dict[str, Any], ...]


def evaluate(
    generator: Generator,
    problems: Sequence[Problem],
    modes: Iterable[Mode],
    score: Scorer,
    name: str,
    model: str,
) -> Evaluation:
    """Complete every problem in every mode and summarise; DataError for an empty set."""
    if not problems:
        raise DataError(f"evaluation '{name}' has no problems; give a set with at least one.")
    samples: list[Sample] = []
    summaries: dict[str, Any] = {}
    for mode in modes:
        started = time.monotonic()
        drawn = sample_mode(generator, problems, mode, score)
        summaries[mode.name] = summarise(drawn, mode, time.monotonic() - started)
        samples += drawn
    summary = {"name": name, "model": model, "num_problems": len(problems), "modes": summaries}
    return Evaluation(summary, tuple(sample.as_row() for sample in samples))


def sample_mode(generator: Generator, problems: Sequence[Problem], mode: Mode, score: Scorer) -> list[Sample]:
    completions = generator.generate([problem.prompt for problem in problems], mode.sampling)
    flat = [
        (problem, index, completion)
        for problem, drawn in zip(problems, completions, strict=True)
        for index, completion in enumerate(drawn)
    ]
    outcomes = score([completion.text for _, _, completion in flat], [problem for problem, _, _ in flat])
    return [
        Sample(problem, mode.name, index, completion, outcome)
        for (problem, index, completion), outcome in zip(flat, outcomes, strict=True)
    ]


def summarise(samples: Sequence[Sample], mode: Mode, seconds: float) -> dict[str, Any]:
    """Accuracy with its interval, in all and by group, and what a reader needs to judge it."""
    groups = sorted({sample.problem.family for sample in samples})
    return {
        "temperature": mode.sampling.temperature,
        "num_samples": mode.sampling.num_samples,
        "max_new_tokens": mode.sampling.max_new_tokens,
        "accuracy": as_record(accuracy(samples)),
        "groups": {
            group: as_record(accuracy([sample for sample in samples if sample.problem.family == group]))
            for group in groups
        },
        "mean_tokens": mean([sample.completion.num_tokens for sample in samples]),
        "truncated_share": mean([sample.completion.finish_reason == "length" for sample in samples]),
        "no_answer_share": mean([sample.outcome.reason == "no_answer" for sample in samples]),
        "unscored_share": mean([not sample.outcome.is_scored for sample in samples]),
        "seconds": round(seconds, 2),
    }


def accuracy(samples: Iterable[Sample]) -> Estimate:
    """pass@1: mean over problems of the mean over their scored samples."""
    return estimate_share(list(problem_means(sample.as_row() for sample in samples).values()))


def problem_means(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Each problem's mean score over its scored samples, by problem id; problems with none are left out."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row["score"] is not None:
            scores.setdefault(row["problem_id"], []).append(row["score"])
    return {problem: mean(values) for problem, values in scores.items()}


def compare(before: Evaluation, after: Evaluation) -> dict[str, Any]:
    """The paired difference after - before in each mode both have, over the problems both scored."""
    modes: dict[str, Any] = {}
    for mode in before.summary["modes"]:
        if mode not in after.summary["modes"]:
            continue
        first = problem_means(row for row in before.samples if row["mode"] == mode)
        second = problem_means(row for row in after.samples if row["mode"] == mode)
        shared = sorted(first.keys() & second.keys())
        difference = estimate_difference([first[key] for key in shared], [second[key] for key in shared])
        modes[mode] = {"difference": asdict(difference)}
    return {"baseline": before.summary["model"], "modes": modes}


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """samples.jsonl, then summary.json."""
    write_jsonl(folder / "samples.jsonl", evaluation.samples)
    write_json(folder / "summary.json", evaluation.summary)


def read_evaluation(folder: Path) -> Evaluation:
    return Evaluation(read_json(folder / "summary.json"), tuple(read_jsonl(folder / "samples.jsonl")))
