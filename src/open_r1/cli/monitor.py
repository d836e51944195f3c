"""Think tags, reasoning steps and length of outputs.

Measure every output of a file (JSONL, Parquet, …): has_think_tags, reasoning_steps, response_length in characters.
Samples of evaluations, traces and data sets of messages have outputs.

Example: open-r1 monitor data/evals/MODEL/aime24/samples.jsonl
"""

from __future__ import annotations

import argparse
from typing import Any

from open_r1.cli.console import ProgressLine, show_json, tell
from open_r1.cli.options import add

COLUMNS = ("completion", "generation", "output", "response", "text", "messages")


def add_options(parser: Any) -> None:
    """The options of `monitor`."""
    parser.add_argument("file", metavar="FILE", help="a file, folder or Hub id with an output a row")
    add(parser, "column", help=f"column with the outputs (default: the first of {', '.join(COLUMNS)})", metavar="NAME")
    add(parser, "split")
    add(parser, "output", help="write each output's measures to this JSONL file")


def run(arguments: argparse.Namespace) -> int:
    """Measure each output of the file, and show the means as JSON."""
    tell(f"reading {arguments.file}")
    from open_r1.data.columns import find_column
    from open_r1.data.sources import open_rows
    from open_r1.evaluation.monitor import measure, summarise_quality
    from open_r1.rewards.base import text_of
    from open_r1.rundir import write_jsonl

    rows = open_rows(arguments.file, None, arguments.split)
    column = find_column(list(rows.columns), arguments.column, COLUMNS, arguments.file, "--column", "outputs")
    measured: list[dict[str, Any]] = []
    with ProgressLine() as line:
        show = line.counting("outputs")
        for row in rows.read([column]):
            measured.append(measure(text_of(row.get(column) or "")))
            show(len(measured), None)
    if arguments.output:
        write_jsonl(arguments.output, measured)
    show_json(summarise_quality(measured))
    return 0
