"""`open-r1 data dedup SOURCE`: remove exact and near duplicates; the first of each is kept."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import ProgressLine, show, show_json
from open_r1.cli.options import add, add_results, add_rows, add_settings, read_settings

if TYPE_CHECKING:
    from open_r1.data.deduplication import DedupSummary

SUMMARY = "remove exact and near duplicates"
DESCRIPTION = "Find rows that repeat an earlier row, and write the others: the first of each is kept."
EXAMPLE = """examples:
  open-r1 data dedup problems.jsonl --output unique.jsonl
  open-r1 data dedup 'shards/*.parquet' --columns problem --threshold 0.8 --output unique.parquet --report duplicates.jsonl
  open-r1 data dedup open-r1/OpenR1-Math-220k --exact --output unique.parquet

Output and report appear when they are whole. Without --output, duplicates are counted and nothing is written.
"""


def add_options(parser: Any) -> None:
    """The command's options."""
    from open_r1.data.deduplication import DedupSettings

    add_rows(parser)
    add(parser, "columns", help="columns with the text (default: problem or the like)")
    add_settings(parser, DedupSettings)
    add(parser, "report", type=Path, metavar="FILE", help="a line per dropped row: which row it repeats")
    add(parser, "processes")
    add_results(parser, "output", help="the rows that are kept: .jsonl or .parquet")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    from open_r1.data.deduplication import DedupSettings, deduplicate
    from open_r1.data.row_file import NOWHERE, Destination
    from open_r1.data.sources import open_rows

    destination = Destination(arguments.output, arguments.report, overwrite=arguments.overwrite)
    with ProgressLine() as line:
        summary = deduplicate(
            open_rows(arguments.source, arguments.dataset_config, arguments.split),
            NOWHERE if arguments.dry_run else destination,
            read_settings(DedupSettings, arguments),
            columns=arguments.columns,
            processes=arguments.processes,
            progress=line.counting("rows"),
        )
    if arguments.json:
        show_json(summary.record())
    else:
        show_summary(summary)
        if not arguments.dry_run:
            show_paths(arguments.output, arguments.report)
    return 0


def show_summary(summary: DedupSummary) -> None:
    """Print the counts, and where the results are."""
    show(f"{summary.source}: {summary.rows} rows, {summary.exact} exact and {summary.near} near duplicates")
    if summary.empty:
        show(f"  {summary.empty} rows have no text in {', '.join(summary.columns)}")


def show_paths(output: Path | None, report: Path | None) -> None:
    """Print where the results are."""
    if output:
        show(f"the others are in {output}")
    if report:
        show(f"each duplicate and the row that it repeats are in {report}")
