"""Remove exact and near duplicates.

Find rows that repeat an earlier row, and write the others: the first of each is kept.

examples:
  open-r1 data dedup problems.jsonl --output unique.jsonl
  open-r1 data dedup 'shards/*.parquet' --columns problem --threshold 0.8 --output unique.parquet --report duplicates.jsonl
  open-r1 data dedup open-r1/OpenR1-Math-220k --exact --output unique.parquet

Output and report appear when they are whole. Without --output, duplicates are counted and nothing is written.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.cli.console import ProgressLine, show, show_json, tell
from open_r1.cli.options import add, add_results, add_rows, add_settings, read_rows, read_settings


def add_options(parser: Any) -> None:
    """The options of `data dedup`."""
    from open_r1.data.deduplication import DedupSettings

    add_rows(parser)
    add(parser, "columns", help="columns with the text (default: problem or the like)")
    add_settings(parser, DedupSettings)
    add(parser, "report", type=Path, metavar="FILE", help="a line per dropped row: which row it repeats")
    add(parser, "processes")
    add_results(parser, "output", help="the rows that are kept: .jsonl or .parquet")


def run(arguments: argparse.Namespace) -> int:
    """Write the rows that repeat no other, and show how many do."""
    from open_r1.data.deduplication import DedupSettings, deduplicate
    from open_r1.data.row_file import NOWHERE, Destination
    from open_r1.rundir import hold_outputs

    output, report = arguments.output, arguments.report
    destination = NOWHERE if arguments.dry_run else Destination(output, report, overwrite=arguments.overwrite)
    rows, settings = read_rows(arguments), read_settings(DedupSettings, arguments)
    named = {"columns": arguments.columns, "processes": arguments.processes}
    with hold_outputs(destination.output, destination.report), ProgressLine() as line:
        summary = deduplicate(rows, destination, settings, **named, progress=line.counting("rows"), tell=tell)
    if arguments.json:
        show_json(summary.record())
        return 0
    show(f"{summary.source}: {summary.rows} rows, {summary.exact} exact and {summary.near} near duplicates")
    if summary.empty:
        show(f"  {summary.empty} rows have no text in {', '.join(summary.columns)}")
    if destination.output:
        show(f"the others are in {output}")
    if destination.report:
        show(f"each duplicate and the row that it repeats are in {report}")
    return 0
