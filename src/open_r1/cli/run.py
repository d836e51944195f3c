"""`open-r1 run PIPELINE`: a pipeline of stages, resumable."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, table, tell
from open_r1.cli.options import add, add_verb

if TYPE_CHECKING:
    from open_r1.pipeline import Pipeline


def add_parser(subparsers: Any) -> None:
    """Add `open-r1 run` to the commands."""
    parser = add_verb(
        subparsers,
        "run",
        "run a pipeline of stages; resumable",
        "Example: open-r1 run recipes/tiny/pipeline.yaml --seed 1 --output_dir runs/seed-1",
        "Run the stages of a pipeline in order. Finished stages are skipped, and an interrupted stage continues.",
    )
    parser.add_argument("pipeline", type=Path, help="the pipeline's recipe (YAML)")
    add(parser, "output_dir", help="folder for the run; overrides the recipe's")
    add(parser, "seed", help="seed of everything that is random; overrides the recipe's")
    add(parser, "set", metavar="STAGE.KEY=VALUE", help="change a stage's setting; may be repeated")
    add(parser, "overwrite", help="run the stages whose settings have changed again")
    add(parser, "dry-run", help="check the recipe and show the stages, run nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the pipeline's stages that are not done; a dry run shows them."""
    tell(f"reading {arguments.pipeline}")
    from open_r1.pipeline import read_pipeline, run_pipeline

    pipeline = read_pipeline(arguments.pipeline, arguments.output_dir, arguments.seed, arguments.set)
    if arguments.dry_run:
        return show_stages(pipeline)
    started = time.monotonic()
    run_pipeline(pipeline, tell, arguments.overwrite)
    tell(f"{pipeline.name} is done in {time.monotonic() - started:.0f} s: {pipeline.output_dir}")
    return 0


def show_stages(pipeline: Pipeline) -> int:
    """Every stage with what it needs and makes, checked as far as possible without running it."""
    for stage in pipeline.stages:
        stage.prepare(pipeline.output_dir, pipeline.seed)
    rows = [
        (stage.name, stage.kind, ", ".join(stage.needs()) or "nothing", ", ".join(stage.makes) or "report.html")
        for stage in pipeline.stages
    ]
    show(table(rows, ("stage", "kind", "needs", "makes")))
    show(f"into {pipeline.output_dir}, seed {pipeline.seed}; nothing was run")
    return 0
