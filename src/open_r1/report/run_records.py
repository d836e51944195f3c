"""The records that the report is computed from, and how they are read: a value of another type becomes None or empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from open_r1.records import Estimate
from open_r1.report.values import estimate, integer, mapping, number_of, text_of

Record = TypeVar("Record")


@dataclass(frozen=True)
class Stage:
    """A pipeline's stage as its record has it; None for a duration or folder that is not there."""

    name: str
    kind: str
    status: str
    seconds: float | None
    folder: Path | None
    made_from: str = ""
    made: str = ""


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
    line: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Sample:
    """One sample of an evaluation; a score of None is unscored, with its reason."""

    prompt: str
    gold: str
    group: str
    completion: str
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


@dataclass(frozen=True)
class TrainingRun:
    """One training stage: its logged steps, its rollout files in order of step, the record of its pre-flight check."""

    name: str
    kind: str
    metrics: tuple[Mapping[str, Any], ...]
    alarms: tuple[Mapping[str, Any], ...]
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


def estimates(value: Any) -> dict[str, Estimate]:
    """Name -> estimate, for those that have a value."""
    found = {text_of(name): estimate(entry) for name, entry in mapping(value).items()}
    return {name: entry for name, entry in found.items() if entry}


READERS = {
    "str": text_of,
    "int | None": integer,
    "float | None": number_of,
    "Estimate | None": estimate,
    "Mapping[str, Estimate]": estimates,
}
"""By the type that a field is declared with."""


def read_record(kind: type[Record], value: Any, **given: Any) -> Record:
    """A record from a JSON object whose keys are its fields; `given` are read already."""
    entry = mapping(value)
    declared = [one for one in fields(kind) if one.name not in given]  # type: ignore[arg-type]
    return kind(**{one.name: READERS[str(one.type)](entry.get(one.name)) for one in declared}, **given)


def mark_of(score: float | None) -> str:
    """A score in words; unscored is not wrong."""
    if score is None:
        return "unscored"
    return "right" if score >= 1 else "wrong" if score <= 0 else "partial"
