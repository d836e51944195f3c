"""Write a folder to start from: problems, a reward, recipes, a pipeline.

Write a small project that runs as it is, to be changed file by file.

Example: open-r1 new mine && open-r1 run mine/pipeline.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.cli.console import show


def add_options(parser: Any) -> None:
    """The options of `new`."""
    parser.add_argument("name", type=Path, metavar="NAME", help="the folder to write")


def run(arguments: argparse.Namespace) -> int:
    """Write the folder, and show its files and the command to run next."""
    from open_r1.pipeline.skeleton import write_skeleton

    for path in write_skeleton(arguments.name):
        show(str(path))
    show(f"\nnext: open-r1 run {arguments.name / 'pipeline.yaml'}")
    return 0
