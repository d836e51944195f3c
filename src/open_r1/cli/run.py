"""`open-r1 run PIPELINE`: a pipeline of stages, resumable."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "run",
        help="run a pipeline of stages; run it again to go on where it stopped",
        description="Run the stages of a pipeline in order. Finished stages are skipped; an interrupted one goes on.",
        epilog="Example: open-r1 run recipes/tiny/pipeline.yaml --seed 1 --output_dir runs/seed-1",
    )
    parser.add_argument("pipeline", type=Path, help="the pipeline's recipe (YAML)")
    parser.add_argument("--output_dir", help="where the run goes; overrides the recipe's")
    parser.add_argument("--seed", type=int, help="the seed of everything; overrides the recipe's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="STAGE.KEY=VALUE", help="change a stage's setting"
    )
    parser.add_argument("--overwrite", action="store_true", help="make anew the stages whose settings have changed")
    parser.add_argument("--dry-run", action="store_true", help="check the recipe and show the stages, run nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from open_r1.pipeline import read_pipeline, run_pipeline

    pipeline = read_pipeline(arguments.pipeline, arguments.output_dir, arguments.seed, arguments.set)
    if arguments.dry_run:
        return show(pipeline)
    started = time.monotonic()
    run_pipeline(pipeline, tell, arguments.overwrite)
    tell(f"{pipeline.name} is done in {time.monotonic() - started:.0f} s: {pipeline.output_dir}")
    return 0


def show(pipeline: Any) -> int:
    """Every stage with what it needs and makes, checked as far as it can be without running."""
    for stage in pipeline.stages:
        stage.prepare(pipeline.output_dir, pipeline.seed)
        needs, makes = ", ".join(stage.needs()) or "nothing", ", ".join(stage.makes) or "report.html"
        print(f"{stage.name:16} {stage.kind:10} needs {needs}; makes {makes}")
    print(f"into {pipeline.output_dir}, seed {pipeline.seed}; nothing was run")
    return 0


def tell(line: str) -> None:
    """One line of progress on stderr, from the process of a distributed launch that writes."""
    from open_r1.processes.ranks import is_main_process

    if is_main_process():
        print(line, file=sys.stderr, flush=True)
