"""`open-r1 new NAME`: a folder with problems, a reward, recipes and a pipeline that runs as it is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.cli.console import show
from open_r1.cli.options import add_verb


def add_parser(subparsers: Any) -> None:
    """Add `open-r1 new` to the commands."""
    parser = add_verb(
        subparsers,
        "new",
        "write a folder to start from: problems, a reward, recipes, a pipeline",
        "Example: open-r1 new mine && open-r1 run mine/pipeline.yaml",
        "Write a small project that runs as it is, to be changed file by file.",
    )
    parser.add_argument("name", type=Path, metavar="NAME", help="the folder to write")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the folder, and show its files and the command to run next."""
    from open_r1.pipeline.skeleton import write_skeleton

    for path in write_skeleton(arguments.name):
        show(str(path))
    show(f"\nnext: open-r1 run {arguments.name / 'pipeline.yaml'}")
    return 0
