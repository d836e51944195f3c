"""Running a pipeline: each stage once, in order; finished stages are skipped, an interrupted one continues.

A stage's folder has `identity.json` (its fingerprint) from its start and `done.json` at its end. Processes that run one
stage each may work on the same pipeline: the stage's folder is locked, and `pipeline.json` follows from all folders.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from open_r1 import __version__
from open_r1.errors import ConfigError, RunFolderError
from open_r1.pipeline.graph import Selection, edges_of
from open_r1.pipeline.origin import describe_inputs, record_origin
from open_r1.pipeline.recipe import Pipeline
from open_r1.pipeline.stage import Context, Stage, naming_stage
from open_r1.processes.ranks import is_main_process
from open_r1.rundir import RunDir, check_keys, hash_files, hold_file, read_json, write_json

Report = Callable[[str], None]
ALL_STAGES = Selection()
RECORD = "pipeline.json"
REMEDY = "restore it, or write {} into it: the stages' own folders have what is done"


class Progress:
    """The state of a pipeline, kept in pipeline.json."""

    def __init__(self, pipeline: Pipeline, report: Report) -> None:
        self.pipeline, self.report = pipeline, report
        self.stages: list[dict[str, Any]] = [
            {"name": stage.name, "kind": stage.kind, "folder": stage.name, "status": "pending", "seconds": 0.0}
            for stage in pipeline.stages
        ]
        self.marked: set[int] = set()

    def mark(self, index: int, status: str, seconds: float = 0.0, **more: Any) -> None:
        """Record a stage's status and duration in seconds in `pipeline.json`, and what others have done meanwhile."""
        by_name = read_entries(self.pipeline)
        own = by_name.get(self.stages[index]["name"], {})
        if own.get("job") == os.environ.get("SLURM_JOB_ID", ""):
            more |= {key: own[key] for key in ("job", "log") if key in own}
        self.stages[index] |= {"status": status, "seconds": round(seconds, 1), **more}
        self.marked.add(index)
        for other in (stage for at, stage in enumerate(self.stages) if at not in self.marked):
            other |= by_name.get(other["name"], {}) | {"kind": other["kind"]}
            done = RunDir(self.pipeline.output_dir / other["name"]).done
            if done.exists():
                other |= {"status": "done", "seconds": read_json(done).get("seconds", 0.0)}
            elif other["status"] == "done":  # and removed since, to be made again
                other |= {"status": "pending", "seconds": 0.0}
        content = {"name": self.pipeline.name, "seed": self.pipeline.seed, "stages": self.stages}
        write_json(self.pipeline.output_dir / RECORD, content)

    def tell(self, index: int, line: str) -> None:
        """Report a line with the stage's number and name before it."""
        self.report(f"[{index + 1}/{len(self.stages)} {self.stages[index]['name']}] {line}")


def run_pipeline(
    pipeline: Pipeline, report: Report, overwrite: bool = False, selection: Selection = ALL_STAGES
) -> None:
    """Run every chosen stage that isn't done; RunFolderError when the folder contains another pipeline's stages."""
    if pipeline.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(pipeline.threads)
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(pipeline.threads)
    root = RunDir(pipeline.output_dir)
    with root.locked() if selection.only is None else nullcontext():
        prepared = prepare_run(pipeline, selection, report, overwrite)
        chosen, fingerprints = selection.choose(pipeline.stages), fingerprint_stages(pipeline)
        progress = Progress(pipeline, report)
        for index, stage in enumerate(pipeline.stages):
            if stage.name in chosen:
                run_stage(pipeline, index, fingerprints[stage.name], prepared.pop(stage.name, None), progress)


def prepare_run(pipeline: Pipeline, selection: Selection, report: Report, overwrite: bool) -> dict[str, Any]:
    """Check all that is going to run, then remove what is made again; returns what each stage prepared.

    What can't work is refused before anything is spent or removed.
    """
    chosen, forced = selection.choose(pipeline.stages), selection.forced(pipeline.stages)
    RunDir(pipeline.output_dir).refuse_foreign(RECORD, "pipeline's run")
    states = read_states(pipeline)
    if left_out := [name for name in states if name in forced - chosen and states[name] != "to do"]:
        raise ConfigError(
            f"--force {' '.join(selection.force)} also runs {', '.join(left_out)} again, which read what it makes; choose "
            "these stages too."
        )
    outdated = {name for name in chosen if states[name] == "changed"}
    waiting = [stage for stage in pipeline.stages if stage.name in chosen and states[stage.name] != "done"]
    waiting += [stage for stage in pipeline.stages if stage.name in forced and stage not in waiting]
    if waiting:
        report(f"checking {len(waiting)} stages of {pipeline.name}")
    prepared = {stage.name: prepare_stage(pipeline, stage) for stage in waiting}
    changed = [stage.name for stage in pipeline.stages if stage.name in outdated - forced]
    if changed and not overwrite:
        raise RunFolderError(
            f"'{pipeline.output_dir}' contains a different run: the settings, seed or inputs of "
            f"{', '.join(changed)} have changed since; choose another --output_dir, "
            "or run these stages again with --overwrite."
        )
    _check_awaited(pipeline, chosen, states)
    _check_read(pipeline, waiting, {name for name in states if states[name] == "done"} - forced)
    for name in outdated | forced:
        remove_stage(pipeline, name)
    return prepared


def prepare_stage(pipeline: Pipeline, stage: Stage) -> Any:
    """What a stage prepared; refuses what can be seen before it runs."""
    with naming_stage(stage.name):
        stage.check_inputs({one.name: one for one in pipeline.stages})
    return stage.prepare(pipeline.output_dir, pipeline.seed)


def _check_read(pipeline: Pipeline, stages: Sequence[Stage], done: set[str]) -> None:
    """RunFolderError where what a stage is going to read was changed since it was made."""
    by_name = {stage.name: stage for stage in pipeline.stages}
    for name in {name: None for stage in stages for name in stage.needs() if name in done}:
        run = RunDir(pipeline.output_dir / name)
        if is_main_process() and (run.path / MADE).exists():
            _check_made(run, by_name[name])


def _check_awaited(pipeline: Pipeline, chosen: set[str], states: dict[str, str]) -> None:
    for name, awaited in edges_of(pipeline.stages).items():
        stage = next(stage for stage in pipeline.stages if stage.name == name)
        for other in (other for other in awaited if name in chosen and other not in chosen and not stage.reads_all):
            is_done = RunDir(pipeline.output_dir / other).is_done()
            if not is_done or states[other] == "changed":
                found = "whose settings, seed or inputs have changed since" if is_done else "which is not done"
                raise RunFolderError(f"stage '{name}' needs '{other}', {found}; run it first, by --until {other}.")


def remove_stage(pipeline: Pipeline, name: str) -> None:
    """Remove what a stage has made, all of it or nothing; RunFolderError while another process runs it."""
    folder, removed = pipeline.output_dir / name, pipeline.output_dir / f".{name}.removed"
    if folder.is_symlink():
        raise RunFolderError(
            f"'{folder}' is a link, and what it leads to may be needed elsewhere; remove the link first."
        )
    if folder.exists():
        with hold_file(folder, "another --output_dir"):
            if removed.exists():  # of a process that was killed below
                shutil.rmtree(removed)
            folder.rename(removed)  # a kill leaves no half of a finished stage
            shutil.rmtree(removed)


def read_entries(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """What pipeline.json says of each stage. RunFolderError, with the key, for a record that was damaged."""
    path = pipeline.output_dir / RECORD
    record = read_json(path, REMEDY) if path.exists() else {}
    check_keys(path, "the record", record, {"stages?": list}, REMEDY)
    keys = {"name": str, "status?": str, "job?": str, "log?": str}
    entries = enumerate(record.get("stages", ()))
    checked = [check_keys(path, f"stages[{number}]", entry, keys, REMEDY) for number, entry in entries]
    return {entry["name"]: entry for entry in checked}


def read_states(pipeline: Pipeline) -> dict[str, str]:
    """Each stage's state: done, changed (made by other settings), failed, started, every run, or to do."""
    failed = {name for name, entry in read_entries(pipeline).items() if entry.get("status") == "failed"}
    fingerprints = fingerprint_stages(pipeline)

    def state_of(stage: Stage) -> str:
        held = _held_fingerprint(pipeline, stage)
        if held not in (None, fingerprints[stage.name]):
            return "every run" if stage.always else "changed"
        if stage.name in failed:
            return "failed"
        if stage.always:
            return "every run"
        if held is None:
            return "to do"
        return "done" if RunDir(pipeline.output_dir / stage.name).is_done() else "started"

    return {stage.name: state_of(stage) for stage in pipeline.stages}


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
    """Run a stage in its folder, or continue it, or skip it when it is done.

    Where several processes train one stage together, the first of them alone keeps the records.
    """
    stage = pipeline.stages[index]
    run = RunDir(pipeline.output_dir / stage.name)
    report = partial(progress.tell, index)
    context = Context(pipeline.output_dir, pipeline.seed, run, fingerprint, report, prepared)
    if not is_main_process():
        stage.run(context)
        return
    run.path.parent.mkdir(parents=True, exist_ok=True)
    with hold_file(run.path, "another --output_dir"):
        if run.is_done() and not stage.always:
            if not (run.path / MADE).exists():  # killed between the stage's own marker and these records
                facts = read_json(run.done)
                _record(stage, context, describe_inputs(stage, context.root), facts, facts.get("seconds", 0.0))
            _check_made(run, stage)
            report(f"already done in {run.path}")
            progress.mark(index, "done", read_json(run.done).get("seconds", 0.0))
            return
        try:
            _run_and_record(stage, context, partial(progress.mark, index))
        except Exception:
            progress.mark(index, "failed")
            raise


def _run_and_record(stage: Stage, context: Context, mark: Callable[..., None]) -> None:
    run = context.run
    inputs = describe_inputs(stage, context.root)
    context.report("continues" if run.identity.exists() and stage.resumes else "starts")
    mark("running")
    if not stage.resumes and run.path.exists():
        run.clear()
    run.create()
    run.claim({"fingerprint": context.fingerprint})
    started = time.monotonic()
    facts = stage.run(context)
    seconds = time.monotonic() - started
    own = read_json(run.done) if run.is_done() else {}  # as a training writes it
    write_json(run.done, {"seconds": round(seconds, 1), **facts, **own})
    _record(stage, context, inputs, facts, seconds)
    mark("done", seconds)
    context.report(f"done in {seconds:.1f} s")


def _record(stage: Stage, context: Context, inputs: Sequence[Any], facts: Mapping[str, Any], seconds: float) -> None:
    record_origin(stage, context, inputs, facts, seconds)
    write_json(context.run.path / MADE, _hash_made(context.run, stage))


MADE = "made.json"  # hashes of what a finished stage made, so that a file changed afterwards is noticed


def _hash_made(run: RunDir, stage: Stage) -> dict[str, str]:
    return {path.name: hash_files([path]) for path in stage.made_files(run.path)}


def _check_made(run: RunDir, stage: Stage) -> None:
    made, found = read_json(run.path / MADE), _hash_made(run, stage)
    if changed := [name for name in made if made[name] != found.get(name)]:
        raise RunFolderError(
            f"'{run.path / changed[0]}' was changed or removed since stage '{stage.name}' made it; restore it, or choose "
            "another --output_dir to start over."
        )
