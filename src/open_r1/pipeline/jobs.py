"""A pipeline as Slurm jobs: one a stage, each of which waits for the jobs of the stages that it needs.

    <output_dir>/slurm.jobs/
      sft.slurm       the batch script of the stage sft
      sft-812.out     what its job 812 said

A job runs `open-r1 run PIPELINE --only STAGE`. When it fails, Slurm cancels those that wait for it. The same submission
again queues what is not done.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from open_r1.errors import RunError, RunFolderError
from open_r1.launch.recipe import LaunchRecipe
from open_r1.launch.site import Site, read_site
from open_r1.launch.slurm import SlurmJob, check_cluster, run_slurm, submit
from open_r1.launch.training import plan_launch
from open_r1.pipeline.graph import Selection, edges_of
from open_r1.pipeline.kinds.training import TrainingStage
from open_r1.pipeline.recipe import Pipeline
from open_r1.pipeline.runner import Progress, Report, prepare_run, read_entries, read_states
from open_r1.pipeline.stage import Stage, naming_stage
from open_r1.rundir import RunDir

FOLDER = "slurm.jobs"  # no stage can have this name
POLL_S, PATIENCE_S = 5.0, 600.0


def plan_jobs(
    pipeline: Pipeline, chosen: set[str], words: Sequence[str], states: Mapping[str, str], site: Site
) -> list[SlurmJob]:
    """A job for each chosen stage that isn't done, in the order of the stages; `after` has the names of stages.

    `words` are those of `open-r1 run` that choose the pipeline and its settings. UsageError for a training that can't be
    divided among its GPUs.
    """
    edges = edges_of(pipeline.stages)
    stages = [stage for stage in pipeline.stages if stage.name in chosen and states[stage.name] != "done"]
    names = {stage.name for stage in stages}
    return [
        stage_job(stage, pipeline.output_dir / FOLDER, words, [n for n in edges[stage.name] if n in names], site)
        for stage in stages
    ]


def stage_job(stage: Stage, logs: Path, words: Sequence[str], after: Sequence[str], site: Site) -> SlurmJob:
    """The job of one stage; a training has a process a GPU."""
    wanted = stage.read_resources()
    gpus = stage.gpus if wanted.gpus_per_node is None else wanted.gpus_per_node
    gpus = site.gpus_per_node if gpus is None else gpus
    command = ("-m", "open_r1.cli.main", "run", *words, "--only", stage.name)
    if isinstance(stage, TrainingStage) and gpus > 1:
        command = ("-m", "open_r1.launch.node", *launch_words(stage, wanted.accelerator, gpus), *command)
    command = (sys.executable, "-P", *command)
    return SlurmJob(stage.name, command, logs, 1, gpus, tuple(after), time_limit=wanted.time_limit)


def launch_words(stage: TrainingStage, accelerator: str, gpus: int) -> list[str]:
    """The words of `accelerate launch` before what it launches. UsageError for settings that don't fit the GPUs."""
    changes = tuple(f"--{key}={value}" for key, value in stage.overrides.items() if not isinstance(value, list | dict))
    recipe = LaunchRecipe(stage.kind, stage.base / stage.recipe, changes)  # type: ignore[arg-type]
    with naming_stage(stage.name):
        launch = plan_launch(recipe, accelerator, gpus=gpus)
    words = launch.words()
    return words[: len(words) - len(recipe.words()) - len(launch.further)]


def submit_pipeline(
    pipeline: Pipeline, words: Sequence[str], report: Report, overwrite: bool, selection: Selection
) -> dict[str, str]:
    """Queue a job for each chosen stage that isn't done; returns their numbers by stage.

    Raises:
        UsageError: Slurm can't be used here, or the pipeline can't run; nothing is queued.
        RunFolderError: Jobs of an earlier submission are still queued.
        RunError: Slurm refuses a job; those before it are cancelled.
    """
    site = read_site()
    check_cluster(site)
    root = RunDir(pipeline.output_dir)
    with root.locked():
        if queued := queued_jobs(pipeline):
            named = ", ".join(f"{name} ({job})" for name, job in queued.items())
            raise RunFolderError(
                f"jobs of '{pipeline.output_dir}' are in the queue: {named}; wait for them, or cancel them: "
                f"scancel {' '.join(queued.values())}"
            )
        chosen = selection.choose(pipeline.stages)
        plan_jobs(pipeline, chosen, words, read_states(pipeline), site)  # refuses, before anything is removed
        prepare_run(pipeline, selection, report, overwrite)
        jobs = plan_jobs(pipeline, chosen, words, read_states(pipeline), site)
        for job in jobs:  # a gate or report of an earlier run would count as done
            RunDir(pipeline.output_dir / job.name).done.unlink(missing_ok=True)
        return submit_jobs(pipeline, jobs, site, report)


def submit_jobs(pipeline: Pipeline, jobs: Sequence[SlurmJob], site: Site, report: Report) -> dict[str, str]:
    """Queue jobs whose `after` has the names of stages; RunError when Slurm refuses one, and the others are cancelled."""
    progress, numbers = Progress(pipeline, report), {}
    places = {stage.name: index for index, stage in enumerate(pipeline.stages)}
    for job in jobs:
        try:
            number = submit(replace(job, after=tuple(numbers[name] for name in job.after)), site)
        except RunError:
            if numbers:
                run_slurm("scancel", *numbers.values())
            raise
        numbers[job.name] = number
        log = str(job.logs / f"{job.name}-{number}.out")
        progress.mark(places[job.name], "queued", job=number, log=log)
        waits = f" after {', '.join(numbers[name] for name in job.after)}" if job.after else ""
        progress.tell(places[job.name], f"job {number}{waits}: {log}")
    return numbers


def queued_jobs(pipeline: Pipeline) -> dict[str, str]:
    """The stages whose jobs are queued or run, with their numbers. RunError where Slurm does not say."""
    jobs = {name: entry["job"] for name, entry in read_entries(pipeline).items() if entry.get("job")}
    if not jobs or shutil.which("squeue") is None:
        return {}
    ran = run_slurm("squeue", "--noheader", "--format=%i")
    if ran.returncode:
        said = " ".join(ran.stderr.split()) or "nothing"
        raise RunError(f"squeue fails, so it is not known which jobs of '{pipeline.output_dir}' run; it said: {said}")
    present = set(ran.stdout.split())
    return {name: job for name, job in jobs.items() if job in present}


def wait_for_jobs(pipeline: Pipeline, submitted: Mapping[str, str], report: Report, every_s: float = POLL_S) -> None:
    """Wait until none of the submitted jobs is queued; RunError, with its log, for a stage that failed.

    A controller that does not answer is asked again for `PATIENCE_S`.
    """
    edges, reported, patience_s = edges_of(pipeline.stages), set(), PATIENCE_S
    while True:
        try:
            queued, patience_s = queued_jobs(pipeline), PATIENCE_S
        except RunError:
            if (patience_s := patience_s - every_s) < 0:
                raise
            time.sleep(every_s)
            continue
        done = {name for name in edges if RunDir(pipeline.output_dir / name).is_done()}
        for name in (name for name in edges if name in submitted and name in done - reported and name not in queued):
            report(f"{name} is done")
            reported.add(name)
        if not queued:
            break
        time.sleep(every_s)
    missing = [name for name in edges if name in submitted and name not in done]
    failed = [name for name in missing if done.issuperset(edges[name])]
    if missing:
        logs = " and ".join(f"stage '{name}' failed, see {log_of(pipeline, name)}" for name in failed or missing)
        rest = ", ".join(name for name in missing if name not in failed)
        raise RunError(f"{logs}{f'; not run: {rest}' if rest else ''}; fix that and run the same command again.")


def log_of(pipeline: Pipeline, name: str) -> str:
    """Where the job of a stage writes; empty where it has none."""
    return read_entries(pipeline).get(name, {}).get("log", "")
