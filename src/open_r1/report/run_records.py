"""The records that the report is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from open_r1.records import Estimate


@dataclass(frozen=True)
class Stage:
    """One line of pipeline.json."""

    name: str
    kind: str
    status: str
    seconds: float | None
    folder: Path | None


@dataclass(frozen=True)
class ModeSummary:
    """One way of sampling in one evaluation; shares and accuracies lie in 0..1, None where not recorded."""

    temperature: float | None
    num_samples: int | None
    accuracy: Estimate | None
    groups: Mapping[str, Estimate]
    mean_tokens: float | None
    truncated_share: float | None
    no_answer_share: float | None


@dataclass(frozen=True)
class Evaluation:
    """One model on one benchmark. `differences` are the paired ones to `baseline`, by mode."""

    stage: str
    benchmark: str
    model: str
    num_problems: int | None
    modes: Mapping[str, ModeSummary]
    baseline: str
    differences: Mapping[str, Estimate]
    samples_path: Path


@dataclass(frozen=True)
class Verdict:
    """The score of one sample, and the byte where its line begins in samples.jsonl."""

    score: float | None
    group: str
    offset: int

    @property
    def mark(self) -> str:
        """ "right", "wrong", "partial" or "unscored"."""
        return mark_of(self.score)


@dataclass(frozen=True)
class Sample:
    """One line of samples.jsonl."""

    prompt: str
    gold: str
    group: str
    completion: str
    answer: str | None
    score: float | None
    reason: str
    num_tokens: int | None
    finish_reason: str


@dataclass(frozen=True)
class Rollout:
    """One completion made while training; a reward of None is unscored, with its reason."""

    step: int | None
    prompt: str
    completion: str
    rewards: Mapping[str, float | None]
    reasons: Mapping[str, str]
    advantage: float | None

    @property
    def total(self) -> float:
        """The sum of the scored rewards."""
        return sum(value for value in self.rewards.values() if value is not None)


@dataclass(frozen=True)
class UnscoredCount:
    """How many of a reward's values, in the rollout files counted, are unscored, and why."""

    reward: str
    unscored: int
    total: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class TrainingRun:
    """One training stage: its logged steps, its rollout files in order of step, the record of its pre-flight check."""

    name: str
    kind: str
    metrics: tuple[Mapping[str, Any], ...]
    rollout_paths: tuple[Path, ...]
    preflight: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecords:
    """Everything the report is computed from. `notes` are sentences on what could not be read."""

    name: str
    seed: int | None
    version: str
    environment: Mapping[str, Any]
    stages: tuple[Stage, ...]
    evaluations: tuple[Evaluation, ...]
    trainings: tuple[TrainingRun, ...]
    settings: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = field(default=())


def mark_of(score: float | None) -> str:
    """A score in words; unscored is not wrong."""
    if score is None:
        return "unscored"
    return "right" if score >= 1 else "wrong" if score <= 0 else "partial"
