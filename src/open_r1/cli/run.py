"""`open-r1 run PIPELINE`: a pipeline of stages, resumable."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, table, tell
from open_r1.cli.options import add, add_verb

if TYPE_CHECKING:
    from open_r1.pipeline import Pipeline, Selection


def add_parser(subparsers: Any) -> None:
    """Add `open-r1 run` to the commands."""
    parser = add_verb(
        subparsers,
        "run",
        "run a pipeline of stages; resumable",
        "Example: open-r1 run recipes/tiny/pipeline.yaml --seed 1 --output_dir runs/seed-1",
        "Run the stages of a pipeline, each after those that it needs. Finished stages are skipped, and an interrupted "
        "stage continues.",
    )
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
    add(parser, "dry-run", help="check the recipe and show the graph of its stages, run nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the pipeline's stages that are not done; a dry run shows them."""
    tell(f"reading {arguments.pipeline}")
    from open_r1.pipeline import Selection, read_pipeline, run_pipeline

    pipeline = read_pipeline(arguments.pipeline, arguments.output_dir, arguments.seed, arguments.set)
    selection = Selection(arguments.start, arguments.until, arguments.only, tuple(arguments.force))
    if arguments.dry_run:
        return show_stages(pipeline, selection)
    started = time.monotonic()
    run_pipeline(pipeline, tell, arguments.overwrite, selection)
    tell(f"{pipeline.name} is done in {time.monotonic() - started:.0f} s: {pipeline.output_dir}")
    return 0


def show_stages(pipeline: Pipeline, selection: Selection) -> int:
    """The stages as a tree with what each needs and its state, checked as far as possible without running them."""
    from open_r1.pipeline.graph import edges_of, show_tree
    from open_r1.pipeline.runner import read_states

    chosen, forced, states = (
        selection.choose(pipeline.stages),
        selection.forced(pipeline.stages),
        read_states(pipeline),
    )
    stages, edges = {stage.name: stage for stage in pipeline.stages}, edges_of(pipeline.stages)
    for stage in pipeline.stages:
        stage.prepare(pipeline.output_dir, pipeline.seed)
    rows = []
    for name, shown in show_tree({name: () if stages[name].reads_all else edges[name] for name in stages}).items():
        needs = "all before it" if stages[name].reads_all else ", ".join(edges[name]) or "nothing"
        state = states[name] if name in chosen else "left out"
        rows.append((shown, stages[name].kind, needs, "forced" if name in forced & chosen else state))
    show(table(rows, ("stage", "kind", "needs", "state")))
    show(f"into {pipeline.output_dir}, seed {pipeline.seed}; nothing was run")
    return 0
