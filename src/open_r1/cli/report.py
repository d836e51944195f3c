"""Write report.html from a run's records.

Write report.html, one self-contained page, from the records of a pipeline's or stage's run.

Example: open-r1 report runs/tiny
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.cli.console import show, tell


def add_options(parser: Any) -> None:
    """The options of `report`."""
    parser.add_argument("run_dir", type=Path, help="the folder of a run")


def run(arguments: argparse.Namespace) -> int:
    """Write the report of a run, and show its path."""
    tell(f"reading {arguments.run_dir}")
    from open_r1.evaluation.table import compare_folders
    from open_r1.report import build_report

    show(str(build_report(arguments.run_dir, compare_folders)))
    return 0
