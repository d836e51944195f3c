"""Run a pipeline of stages; resumable.

Run the stages of a pipeline, each after those that it needs. Finished stages are skipped, and an interrupted stage
continues.

Example: open-r1 run recipes/tiny/pipeline.yaml --seed 1 --output_dir runs/seed-1
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, table, tell
from open_r1.cli.options import add
from open_r1.errors import ConfigError, RunError
from open_r1.printable import duration

GIB = 2**30
PLANNED_GPU = "H100-80GB"
"""The GPU that estimates are for; `open-r1 plan` compares others."""

if TYPE_CHECKING:
    from open_r1.pipeline import Pipeline, Selection


def add_options(parser: Any) -> None:
    """The options of `run`."""
    parser.add_argument("pipeline", type=Path, help="the pipeline's recipe (YAML)")
    add(parser, "output_dir", help="folder for the run; overrides the recipe's")
    add(parser, "seed", help="seed of everything that is random; overrides the recipe's")
    add(parser, "set", metavar="STAGE.KEY=VALUE", help="change a stage's setting; may be repeated")
    add(parser, "overwrite", help="run the stages whose settings have changed again")
    chosen = parser.add_argument_group("which stages")
    starts = "run this stage and those that wait for it"
    add(chosen, "from", dest="start", metavar="STAGE", help=starts)
    add(chosen, "until", metavar="STAGE", help="run this stage and those that it waits for")
    add(chosen, "only", metavar="STAGE", help="run this stage alone")
    force = "run a stage again though it is done, and all that read what it makes; may be repeated"
    add(chosen, "force", metavar="STAGE", action="append", default=[], help=force)
    slurm = parser.add_argument_group("on a cluster")
    jobs = "submit a Slurm job for each stage, which waits for the jobs of the stages that it needs"
    add(slurm, "slurm", action="store_true", help=jobs)
    add(slurm, "wait", action="store_true", help="wait for these jobs, and name the log of one that fails")
    add(parser, "dry-run", help="check the recipe and show the graph of its stages, run nothing")


def run(arguments: argparse.Namespace) -> int:
    """Run the pipeline's stages that are not done; a dry run shows them."""
    tell(f"reading {arguments.pipeline}")
    from open_r1.pipeline import Selection, read_pipeline, run_pipeline

    pipeline = read_pipeline(arguments.pipeline, arguments.output_dir, arguments.seed, arguments.set)
    selection = Selection(arguments.start, arguments.until, arguments.only, tuple(arguments.force))
    if arguments.wait and not arguments.slurm:
        raise ConfigError("--wait waits for Slurm's jobs; give --slurm too.")
    if arguments.dry_run:
        show_stages(pipeline, selection, arguments.set)
        if arguments.slurm:
            show_jobs(pipeline, selection, words_of(arguments, pipeline))
        show(f"into {pipeline.output_dir}, seed {pipeline.seed}; nothing was run")
        return 0
    started = time.monotonic()
    if arguments.slurm:
        from open_r1.pipeline.jobs import submit_pipeline, wait_for_jobs

        words = words_of(arguments, pipeline)
        submitted = submit_pipeline(pipeline, words, tell, arguments.overwrite, selection)
        if not arguments.wait:
            tell(
                f"{len(submitted)} jobs are queued; open-r1 run {arguments.pipeline} --dry-run shows how far they are"
            )
            return 0
        wait_for_jobs(pipeline, submitted, tell)
    else:
        run_pipeline(pipeline, tell, arguments.overwrite, selection)
    tell(f"{pipeline.name} is done in {time.monotonic() - started:.0f} s: {pipeline.output_dir}")
    return 0


def words_of(arguments: argparse.Namespace, pipeline: Pipeline) -> list[str]:
    """The words of `open-r1 run` that name this pipeline with its settings, for a job."""
    changes = [word for change in arguments.set for word in ("--set", change)]
    given = ["--output_dir", str(pipeline.output_dir), "--seed", str(pipeline.seed)]
    return [str(arguments.pipeline), *given, *changes]


def show_stages(pipeline: Pipeline, selection: Selection, changes: list[str]) -> None:
    """The stages as a tree with what each needs, its state and its plan, checked as far as possible without running them."""
    from open_r1.pipeline.graph import edges_of, show_tree
    from open_r1.pipeline.jobs import log_of, queued_jobs
    from open_r1.pipeline.runner import prepare_stage, read_states

    chosen, forced = selection.choose(pipeline.stages), selection.forced(pipeline.stages)
    states = read_states(pipeline)
    try:
        states |= {name: f"in job {job}" for name, job in queued_jobs(pipeline).items()}
    except RunError as error:
        tell(f"notice: {error}")
    stages, edges = {stage.name: stage for stage in pipeline.stages}, edges_of(pipeline.stages)
    on_hub = [stage.name for stage in pipeline.stages if stage.reads_hub()]
    for stage in (stage for stage in pipeline.stages if stage.name not in on_hub):
        prepare_stage(pipeline, stage)
    rows, estimates = [], estimate_stages(pipeline, changes)
    for name, shown in show_tree({name: () if stages[name].reads_all else edges[name] for name in stages}).items():
        needs = "all before it" if stages[name].reads_all else ", ".join(edges[name]) or "nothing"
        state = states[name] if name in chosen else "left out"
        state = "forced" if name in forced & chosen else state
        rows.append((shown, stages[name].kind, needs, state, estimates.get(name, "")))
    show(table(rows, ("stage", "kind", "needs", "state", "estimate")))
    if on_hub:
        show(f"not checked, since their data are on the Hub: {', '.join(on_hub)}")
    for name in (name for name in stages if states[name] == "failed" and log_of(pipeline, name)):
        show(f"{name} failed: see {log_of(pipeline, name)}")


def estimate_stages(pipeline: Pipeline, changes: list[str]) -> dict[str, str]:
    """What each stage that trains needs on GPUs, in words, where it can be said; see `open-r1 plan`."""
    from open_r1.launch.plan.planning import plan_training
    from open_r1.launch.plan.stages import kind_at, stages_of, training_at

    written, found = stages_of(pipeline.path, changes), {}
    for stage in (stage for stage in pipeline.stages if kind_at(written, stage.name)):
        gpus = f"{stage.read_resources().gpus_per_node or 8}x{PLANNED_GPU}"
        try:
            plan = plan_training(training_at(stage.name, written, pipeline.path.parent), gpus)
        except Exception:  # noqa: BLE001 - a stage that no plan can be made for has none; its own checks are elsewhere
            continue
        hours = plan.durations and plan.durations.hours
        time = "" if hours is None else f", {duration(3600 * hours)}"
        too_much = "" if plan.fits else ": too much"
        found[stage.name] = f"{plan.memory.total / GIB:.1f} GiB{time} on {gpus}{too_much}"
    return found


def show_jobs(pipeline: Pipeline, selection: Selection, words: list[str]) -> None:
    """The script of every job; where it waits for others, their stages are named in place of numbers."""
    from open_r1.launch.site import read_site
    from open_r1.pipeline.jobs import plan_jobs
    from open_r1.pipeline.runner import read_states

    site, states = read_site(), read_states(pipeline)
    for job in plan_jobs(pipeline, selection.choose(pipeline.stages), words, states, site):
        show(f"--- {job.name}.slurm\n{job.script(site)}")
