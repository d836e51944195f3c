"""What a run left on disk, read with tolerance: what is missing or torn becomes None or a note, never an exception.

It reads pipeline.json, the folders of evaluations and training stages, and a single training run's folder. It
judges nothing and draws nothing. Completions are not held: `Verdict` keeps where a sample stands in its file, so
that a benchmark of many long samples costs little memory.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from open_r1.errors import RunFolderError
from open_r1.records import Estimate
from open_r1.rundir import RunDir
from open_r1.rundir.rollouts import reason_column, reward_names

TRAINING_KINDS = ("sft", "grpo")
MAX_SETTINGS_CHARS = 100_000
MAX_COUNTED_FILES = 60
"""Unscored rewards are counted in at most so many rollout files, evenly spread."""

SECRET = re.compile(
    r"(?im)^(\s*[\"']?\w*(?:hub_token|hf_token|auth_token|access_token|api_key|password|secret)[\"']?\s*:\s*)\S.*$"
)
SECRET_VALUE = re.compile(r"\b(?:hf_|sk-)[A-Za-z0-9_-]{16,}")


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


def read_run(run_dir: Path) -> RunRecords:
    """The records under `run_dir`: a pipeline's, or a single training run's.

    Raises RunFolderError when the folder is not there or holds no record of a run.
    """
    if not run_dir.is_dir():
        raise RunFolderError(
            f"{run_dir} is not a folder, so there is no run to report on; give the output folder of a run"
        )
    notes: list[str] = []
    pipeline = _mapping(read_json(run_dir / "pipeline.json"))
    if not pipeline and (run_dir / "pipeline.json").exists():
        notes.append("pipeline.json could not be read; the stages below were found by looking into the folders.")
    stages = tuple(_read_stages(run_dir, pipeline))
    found = stages or tuple(_find_stages(run_dir))
    evaluations = tuple(_read_evaluations(found, notes))
    trainings = tuple(_read_trainings(found, notes))
    if not (stages or evaluations or trainings):
        raise RunFolderError(
            f"{run_dir} holds no record of a run (no pipeline.json, metrics.jsonl, rollouts/ or summary.json); "
            "give the output folder of a pipeline, of `open-r1 sft` or of `open-r1 grpo`"
        )
    return RunRecords(
        name=text_of(pipeline.get("name")) or run_dir.resolve().name,
        seed=_integer(pipeline.get("seed")),
        version=text_of(pipeline.get("open_r1")),
        environment=_mapping(pipeline.get("environment")) or _mapping(read_json(RunDir(run_dir).environment)),
        stages=stages,
        evaluations=evaluations,
        trainings=trainings,
        settings=tuple(_read_settings(run_dir, found)),
        notes=tuple(notes),
    )


# --- stages and their folders ---------------------------------------------------------------------------------------


def _read_stages(run_dir: Path, pipeline: Mapping[str, Any]) -> Iterator[Stage]:
    stages = pipeline.get("stages")
    for entry in map(_mapping, stages if isinstance(stages, list) else []):
        yield Stage(
            name=text_of(entry.get("name")) or "unnamed",
            kind=text_of(entry.get("kind")),
            status=text_of(entry.get("status")),
            seconds=number_of(entry.get("seconds")),
            folder=_inside(run_dir, text_of(entry.get("folder"))),
        )


def _inside(run_dir: Path, folder: str) -> Path | None:
    """A page shows only what lies in the run's own folder."""
    path = PurePosixPath(folder)
    is_inside = folder and not path.is_absolute() and ".." not in path.parts
    return run_dir / path if is_inside else None


def _find_stages(run_dir: Path) -> Iterator[Stage]:
    """The stages of a folder without pipeline.json: itself, its folders, and its evaluations under eval/."""
    folders = [run_dir, *sorted(run_dir.glob("*/")), *sorted(run_dir.glob("eval/*/"))]
    for folder in folders:
        if (folder / "summary.json").is_file():
            yield Stage(folder.name, "evaluate", "done", None, folder)
        elif RunDir(folder).metrics.is_file() or RunDir(folder).rollouts.is_dir():
            yield Stage("" if folder == run_dir else folder.name, "training", "done", None, folder)


def _read_settings(run_dir: Path, stages: tuple[Stage, ...]) -> Iterator[tuple[str, str]]:
    folders = {run_dir: "The run"} | {stage.folder: stage.name or "The run" for stage in stages if stage.folder}
    for folder, name in folders.items():
        text = _read_text(RunDir(folder).resolved)
        if text:
            yield name, hide_secrets(text)[:MAX_SETTINGS_CHARS]


def hide_secrets(text: str) -> str:
    """The text of a settings file without the values of tokens, keys and passwords: pages get passed on."""
    return SECRET_VALUE.sub("<hidden>", SECRET.sub(r"\1<hidden>", text))


# --- evaluations ----------------------------------------------------------------------------------------------------


def _read_evaluations(stages: tuple[Stage, ...], notes: list[str]) -> Iterator[Evaluation]:
    for stage in stages:
        if stage.kind not in ("evaluate", "benchmark") or stage.folder is None:
            continue
        summary = _mapping(read_json(stage.folder / "summary.json"))
        if summary:
            yield _read_evaluation(stage.name, stage.folder, summary)
        elif stage.status in ("done", "skipped"):
            notes.append(f"The evaluation “{stage.name}” left no readable summary.json.")


def _read_evaluation(stage: str, folder: Path, summary: Mapping[str, Any]) -> Evaluation:
    comparison = _mapping(read_json(folder / "comparison.json"))
    differences = {
        mode: _estimate(_mapping(entry).get("difference")) for mode, entry in _mapping(comparison.get("modes")).items()
    }
    return Evaluation(
        stage=stage,
        benchmark=text_of(summary.get("name")) or stage,
        model=text_of(summary.get("model")) or stage,
        num_problems=_integer(summary.get("num_problems")),
        modes={mode: _mode_summary(_mapping(entry)) for mode, entry in _mapping(summary.get("modes")).items()},
        baseline=text_of(comparison.get("baseline")),
        differences={mode: difference for mode, difference in differences.items() if difference},
        samples_path=folder / "samples.jsonl",
    )


def _mode_summary(entry: Mapping[str, Any]) -> ModeSummary:
    groups = {name: _estimate(value) for name, value in _mapping(entry.get("groups")).items()}
    return ModeSummary(
        temperature=number_of(entry.get("temperature")),
        num_samples=_integer(entry.get("num_samples")),
        accuracy=_estimate(entry.get("accuracy")),
        groups={name: estimate for name, estimate in groups.items() if estimate},
        mean_tokens=number_of(entry.get("mean_tokens")),
        truncated_share=number_of(entry.get("truncated_share")),
        no_answer_share=number_of(entry.get("no_answer_share")),
    )


def read_verdicts(path: Path, mode: str) -> dict[str, Verdict]:
    """The verdict on the first sample of each problem in `mode`, by problem id; empty when the file can't be read."""
    verdicts: dict[str, Verdict] = {}
    for offset, row in _json_lines(path):
        problem = text_of(row.get("problem_id"))
        if problem and row.get("mode") == mode and problem not in verdicts:
            verdicts[problem] = Verdict(number_of(row.get("score")), text_of(row.get("group")), offset)
    return verdicts


def read_sample(path: Path, offset: int) -> Sample:
    """The sample whose line begins at byte `offset`, as `read_verdicts` found it."""
    with path.open("rb") as file:
        file.seek(offset)
        row = _mapping(json.loads(file.readline()))
    return Sample(
        prompt=text_of(row.get("prompt")),
        gold=text_of(row.get("gold")),
        group=text_of(row.get("group")),
        completion=text_of(row.get("completion")),
        answer=None if row.get("answer") is None else text_of(row["answer"]),
        score=number_of(row.get("score")),
        reason=text_of(row.get("reason")),
        num_tokens=_integer(row.get("num_tokens")),
        finish_reason=text_of(row.get("finish_reason")),
    )


def mark_of(score: float | None) -> str:
    """A score in words; unscored is not wrong."""
    if score is None:
        return "unscored"
    return "right" if score >= 1 else "wrong" if score <= 0 else "partial"


# --- training -------------------------------------------------------------------------------------------------------


def _read_trainings(stages: tuple[Stage, ...], notes: list[str]) -> Iterator[TrainingRun]:
    for stage in stages:
        if stage.kind not in (*TRAINING_KINDS, "training") or stage.folder is None:
            continue
        metrics = tuple(row for _, row in _json_lines(RunDir(stage.folder).metrics))
        rollouts = tuple(sorted(RunDir(stage.folder).rollouts.glob("*.parquet"), key=_step_of))
        if metrics or rollouts:
            kind = stage.kind if stage.kind in TRAINING_KINDS else _guess_kind(metrics, bool(rollouts))
            preflight = _mapping(read_json(RunDir(stage.folder).preflight))
            yield TrainingRun(stage.name or kind, kind, metrics, rollouts, preflight)
        elif stage.status in ("done", "skipped"):
            notes.append(f"The training stage “{stage.name}” left no readable metrics.jsonl.")


def _guess_kind(metrics: tuple[Mapping[str, Any], ...], has_rollouts: bool) -> str:
    return "grpo" if has_rollouts or any("reward" in row for row in metrics) else "sft"


def _step_of(path: Path) -> tuple[int, str]:
    digits = re.findall(r"\d+", path.stem)
    return (int(digits[-1]) if digits else 0, path.name)


def read_rollouts(path: Path) -> list[Rollout]:
    """The rollouts of one Parquet file; empty when it can't be read."""
    import pyarrow as pa  # here, because a run without rollouts shouldn't wait for it
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):
        return []
    names = reward_names(table.schema)
    return [_rollout(row, names) for row in table.to_pylist()]


def _rollout(row: Mapping[str, Any], names: list[str]) -> Rollout:
    return Rollout(
        step=_integer(row.get("step")),
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
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        names = reward_names(schema)
        wanted = [column for name in names for column in (name, reason_column(name)) if column in schema.names]
        columns = pq.read_table(path, columns=wanted).to_pydict()
    except (OSError, pa.ArrowException):
        return
    for name in names:
        values = columns[name]
        why = columns.get(reason_column(name)) or [None] * len(values)
        for value, reason in zip(values, why, strict=True):
            yield name, number_of(value), text_of(reason)


def spread(items: tuple[Any, ...], limit: int) -> tuple[Any, ...]:
    """At most `limit` of the items, evenly spread, first and last among them."""
    if len(items) <= limit:
        return items
    return tuple(items[round(index * (len(items) - 1) / (limit - 1))] for index in range(limit))


# --- values of unknown shape ----------------------------------------------------------------------------------------


def read_json(path: Path) -> Any:
    """The JSON value of a file, or None when it is missing, torn or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a JSON Lines file, each with the byte it begins at; what is no JSON object is passed over."""
    try:
        file = path.open("rb")
    except OSError:
        return
    offset = 0
    with file:
        for line in file:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield offset, row
            offset += len(line)


def _read_text(path: Path) -> str:
    try:
        return text_of(path.read_text("utf-8", errors="replace"))
    except OSError:
        return ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def number_of(value: Any) -> float | None:
    """A finite number, or None: logs hold NaN, None and words."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _integer(value: Any) -> int | None:
    number = number_of(value)
    return None if number is None else int(number)


def _estimate(value: Any) -> Estimate | None:
    entry = _mapping(value)
    middle = number_of(entry.get("value"))
    if middle is None:
        return None
    low, high = number_of(entry.get("low")), number_of(entry.get("high"))
    return Estimate(
        middle, middle if low is None else low, middle if high is None else high, _integer(entry.get("n")) or 0
    )


def text_of(value: Any) -> str:
    """Any value as text that can be written as UTF-8 and shown: a chat becomes its messages, control characters
    their pictures, lone surrogates the replacement character."""
    if value is None:
        return ""
    if isinstance(value, list) and value and all(isinstance(message, dict) for message in value):
        value = "\n\n".join(f"{message.get('role', '')}: {message.get('content', '')}" for message in value)
    text = str(value).encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", lambda match: chr(0x2400 + min(ord(match[0]), 0x21)), text)
