"""Running a pipeline: each stage once, in order; finished stages are skipped, an interrupted one continues.

A stage's folder has `identity.json` (its fingerprint) from its start and `done.json` at its end.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from open_r1 import __version__
from open_r1.errors import RunFolderError
from open_r1.pipeline.recipe import Pipeline
from open_r1.pipeline.stage import Context, Stage
from open_r1.rundir import RunDir, hash_files, read_json, write_json

Report = Callable[[str], None]


class Progress:
    """The state of a pipeline, kept in pipeline.json."""

    def __init__(self, pipeline: Pipeline, report: Report) -> None:
        self.pipeline, self.report = pipeline, report
        self.stages: list[dict[str, Any]] = [
            {"name": stage.name, "kind": stage.kind, "folder": stage.name, "status": "pending", "seconds": 0.0}
            for stage in pipeline.stages
        ]

    def mark(self, index: int, status: str, seconds: float) -> None:
        """Record a stage's status and duration in seconds in `pipeline.json`."""
        self.stages[index] |= {"status": status, "seconds": round(seconds, 1)}
        content = {"name": self.pipeline.name, "seed": self.pipeline.seed, "stages": self.stages}
        write_json(self.pipeline.output_dir / "pipeline.json", content)

    def tell(self, index: int, line: str) -> None:
        """Report a line with the stage's number and name before it."""
        self.report(f"[{index + 1}/{len(self.stages)} {self.stages[index]['name']}] {line}")


def run_pipeline(pipeline: Pipeline, report: Report, overwrite: bool = False) -> None:
    """Run every stage that isn't done; RunFolderError when the folder contains another pipeline's stages."""
    root = RunDir(pipeline.output_dir)
    fingerprints = fingerprint_stages(pipeline)
    if pipeline.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(pipeline.threads)
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(pipeline.threads)
    root.refuse_foreign("pipeline.json", "pipeline's run")
    with root.locked():
        held = {stage.name: _held_fingerprint(pipeline, stage) for stage in pipeline.stages}
        changed = [name for name, fingerprint in held.items() if fingerprint not in (None, fingerprints[name])]
        waiting = [stage for stage in pipeline.stages if stage.name in changed or not is_done(pipeline, stage)]
        if waiting:  # what can't work is refused before anything is spent or removed
            report(f"checking {len(waiting)} stages of {pipeline.name}")
        prepared = {stage.name: stage.prepare(pipeline.output_dir, pipeline.seed) for stage in waiting}
        if changed and not overwrite:
            raise RunFolderError(
                f"'{pipeline.output_dir}' contains a different run: the settings, seed or inputs of "
                f"{', '.join(changed)} have changed since; choose another --output_dir, "
                "or run these stages again with --overwrite."
            )
        for name in changed:
            shutil.rmtree(pipeline.output_dir / name)
        progress = Progress(pipeline, report)
        for index, stage in enumerate(pipeline.stages):
            run_stage(pipeline, index, fingerprints[stage.name], prepared.pop(stage.name, None), progress)


def is_done(pipeline: Pipeline, stage: Stage) -> bool:
    """Whether the stage has finished and is not one that always runs."""
    return RunDir(pipeline.output_dir / stage.name).is_done() and not stage.always


def fingerprint_stages(pipeline: Pipeline) -> dict[str, str]:
    """Each stage's fingerprint, which contains those of the stages it needs."""
    common = {"seed": pipeline.seed, "threads": pipeline.threads, "version": __version__}
    known: dict[str, str] = {}
    for stage in pipeline.stages:
        known[stage.name] = stage.fingerprint(common, {name: known[name] for name in stage.needs()})
    return known


def _held_fingerprint(pipeline: Pipeline, stage: Stage) -> str | None:
    folder = RunDir(pipeline.output_dir / stage.name)
    if not folder.identity.exists():
        return None
    held = read_json(folder.identity)
    if "fingerprint" not in held:
        raise RunFolderError(
            f"'{folder.path}' contains a run that no pipeline made (by `open-r1 sft` or `open-r1 grpo`); "
            "choose another --output_dir, or move that run away."
        )
    return held["fingerprint"]


def run_stage(pipeline: Pipeline, index: int, fingerprint: str, prepared: Any, progress: Progress) -> None:
    """Run a stage in its folder, or continue it, or skip it when it is done."""
    stage = pipeline.stages[index]
    run = RunDir(pipeline.output_dir / stage.name)
    if is_done(pipeline, stage):
        _check_made(run, stage)
        progress.tell(index, f"already done in {run.path}")
        progress.mark(index, "done", read_json(run.done).get("seconds", 0.0))
        return
    progress.tell(index, "continues" if run.identity.exists() and stage.resumes else "starts")
    progress.mark(index, "running", 0.0)
    if not stage.resumes and run.path.exists():
        run.clear()
    run.create()
    run.claim({"fingerprint": fingerprint})
    started = time.monotonic()
    report = partial(progress.tell, index)
    facts = stage.run(Context(pipeline.output_dir, pipeline.seed, run, fingerprint, report, prepared))
    seconds = time.monotonic() - started
    if not stage.resumes:
        write_json(run.done, {"seconds": round(seconds, 1), **facts})
    write_json(run.path / MADE, _hash_made(run, stage))
    progress.mark(index, "done", seconds)
    progress.tell(index, f"done in {seconds:.1f} s")


MADE = "made.json"  # hashes of what a finished stage made, so that a file changed afterwards is noticed


def _hash_made(run: RunDir, stage: Stage) -> dict[str, str]:
    return {name: hash_files([run.path / name]) for name in stage.makes if (run.path / name).is_file()}


def _check_made(run: RunDir, stage: Stage) -> None:
    if not (run.path / MADE).exists():  # killed between the stage's own marker and this record
        write_json(run.path / MADE, _hash_made(run, stage))
    made, found = read_json(run.path / MADE), _hash_made(run, stage)
    if changed := [name for name in made if made[name] != found.get(name)]:
        raise RunFolderError(
            f"'{run.path / changed[0]}' was changed or removed since stage '{stage.name}' made it; restore it, or choose "
            "another --output_dir to start over."
        )
