"""What a run left on disk, read with tolerance: what is missing or torn becomes None or a note, never an exception.

Only regular files in the run's own folder are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from open_r1.errors import DataError, OpenR1Error, RunFolderError
from open_r1.report.lineage import Lineage, in_order, nearest_ancestor, read_origin
from open_r1.report.run_records import Evaluation, ModeSummary, RunRecords, Stage, TrainingRun, estimates, read_record
from open_r1.report.values import integer, is_own, json_lines, mapping, read_json, read_text, text_of
from open_r1.rundir import RunDir
from open_r1.rundir.rollouts import read_rollouts
from open_r1.text.secrets import hide_secrets

TRAINING_KINDS = ("sft", "grpo")
MAX_SETTINGS_CHARS = 100_000
DEPTHS = ("*/", "*/*/", "*/*/*/")  # a training run's own evaluations are in its eval/, a benchmark each
Compare = Callable[[Path, Path], Mapping[str, Any]]


def read_run(run_dir: Path, compare: Compare | None = None) -> RunRecords:
    """The records of a pipeline's run, a training run, or a folder of such. RunFolderError when there are none.

    `compare` makes what comparison.json has, of the folders of two evaluations, where that file is missing.
    """
    if not run_dir.is_dir():
        raise RunFolderError(
            f"{run_dir} is not a folder, so there is no run to report on; give the output folder of a run"
        )
    notes: list[str] = []
    pipeline = mapping(read_json(run_dir / "pipeline.json"))
    if not pipeline and (run_dir / "pipeline.json").exists():
        notes.append("pipeline.json could not be read; the stages below were found by looking into the folders.")
    stages = tuple(_read_stages(run_dir, pipeline))
    found = stages or tuple(_find_stages(run_dir))
    evaluations, trainings = tuple(_read_evaluations(found, notes, compare)), tuple(_read_trainings(found, notes))
    if not (stages or evaluations or trainings):
        raise RunFolderError(
            f"{run_dir} contains no record of a run (no pipeline.json, metrics.jsonl, rollouts/ or summary.json); "
            "give the output folder of a pipeline, of `open-r1 sft` or of `open-r1 grpo`"
        )
    return RunRecords(
        name=text_of(pipeline.get("name")) or run_dir.resolve().name,
        seed=integer(pipeline.get("seed")),
        version=text_of(pipeline.get("open_r1")),
        environment=mapping(pipeline.get("environment")) or mapping(read_json(RunDir(run_dir).environment)),
        stages=stages,
        evaluations=evaluations,
        trainings=trainings,
        settings=tuple(_read_settings(run_dir, found)),
        notes=tuple(notes),
    )


def _read_stages(run_dir: Path, pipeline: Mapping[str, Any]) -> Iterator[Stage]:
    stages = pipeline.get("stages")
    for entry in map(mapping, stages if isinstance(stages, list) else []):
        path = PurePosixPath(folder := text_of(entry.get("folder")))
        is_inside = bool(folder) and not path.is_absolute() and is_own(run_dir / path, run_dir)
        name = text_of(entry.get("name")) or "unnamed"
        origin = read_origin(run_dir / path) if is_inside else {"made_from": "", "made": ""}
        yield read_record(Stage, entry, name=name, folder=run_dir / path if is_inside else None, **origin)


def _find_stages(run_dir: Path) -> Iterator[Stage]:
    folders = [run_dir, *(folder for depth in DEPTHS for folder in sorted(run_dir.glob(depth)))]
    for folder in (folder for folder in folders if is_own(folder, run_dir)):
        name = "" if folder == run_dir else str(folder.relative_to(run_dir))
        if "modes" in mapping(read_json(folder / "summary.json")):
            yield Stage(name or folder.name, "evaluate", "done", None, folder)
        elif RunDir(folder).metrics.is_file() or RunDir(folder).rollouts.is_dir():
            yield Stage(name, "training", "done", None, folder)


def _read_settings(run_dir: Path, stages: tuple[Stage, ...]) -> Iterator[tuple[str, str]]:
    folders = {run_dir: "The run"} | {stage.folder: stage.name or "The run" for stage in stages if stage.folder}
    for folder, name in folders.items():
        if text := read_text(RunDir(folder).resolved):
            yield name, hide_secrets(text)[:MAX_SETTINGS_CHARS]


def _read_evaluations(stages: tuple[Stage, ...], notes: list[str], compare: Compare | None) -> Iterator[Evaluation]:
    found = in_order(list(_find_evaluations(stages, notes)))
    for evaluation in found:
        before = nearest_ancestor(evaluation, found)
        if compare is None or evaluation.baseline or before is None:
            yield evaluation
            continue
        try:
            comparison = compare(before.samples_path.parent, evaluation.samples_path.parent)
        except OpenR1Error as error:
            notes.append(f"“{evaluation.stage}” can’t be compared with “{before.stage}”: {text_of(error)}")
            comparison = {}
        compared = mapping(comparison.get("modes")).items()
        differences = estimates({mode: mapping(entry).get("difference") for mode, entry in compared})
        yield replace(evaluation, baseline=before.stage, differences=differences)


def _find_evaluations(stages: tuple[Stage, ...], notes: list[str]) -> Iterator[Evaluation]:
    lineage = Lineage(stages)
    for stage in stages:
        if stage.kind not in ("evaluate", "benchmark") or stage.folder is None:
            continue
        summary = mapping(read_json(stage.folder / "summary.json"))
        comparison = mapping(read_json(stage.folder / "comparison.json"))
        compared = mapping(comparison.get("modes"))
        if summary:
            yield Evaluation(
                stage=stage.name,
                benchmark=text_of(summary.get("name")) or stage.name,
                model=text_of(summary.get("model")) or stage.name,
                num_problems=integer(summary.get("num_problems")),
                modes={mode: read_record(ModeSummary, entry) for mode, entry in mapping(summary.get("modes")).items()},
                baseline=text_of(comparison.get("baseline")),
                differences=estimates({mode: mapping(entry).get("difference") for mode, entry in compared.items()}),
                samples_path=stage.folder / "samples.jsonl",
                line=lineage.line_of(text_of(summary.get("model")) or stage.name),
            )
        elif stage.status in ("done", "skipped"):
            notes.append(f"The evaluation “{stage.name}” left no readable summary.json.")


def _read_trainings(stages: tuple[Stage, ...], notes: list[str]) -> Iterator[TrainingRun]:
    for stage in stages:
        if stage.kind not in (*TRAINING_KINDS, "training") or stage.folder is None:
            continue
        files = (RunDir(stage.folder).metrics, RunDir(stage.folder).alarms)
        metrics, alarms = (tuple(row for _, row in json_lines(file)) for file in files)
        folder = RunDir(stage.folder).rollouts
        rollouts = () if folder.is_symlink() else tuple(sorted(folder.glob("*.parquet")))
        try:
            read_rollouts(rollouts[0], rewards_only=True) if rollouts else None
        except DataError:
            notes.append(
                f"The rollouts of “{stage.name}” can’t be shown: an older version wrote them, or they are damaged."
            )
        if metrics or rollouts:
            is_grpo = bool(rollouts) or any("reward" in row for row in metrics)
            kind = stage.kind if stage.kind in TRAINING_KINDS else "grpo" if is_grpo else "sft"
            preflight = mapping(read_json(RunDir(stage.folder).preflight))
            yield TrainingRun(stage.name or kind, kind, metrics, alarms, rollouts, preflight)
        elif stage.status in ("done", "skipped"):
            notes.append(f"The training stage “{stage.name}” left no readable metrics.jsonl.")
