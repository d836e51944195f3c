"""`open-r1 data dedup SOURCE`: exact and near duplicates out, the first of each kept."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from open_r1.cli._data_decontaminate import add_running_arguments, add_source_arguments, check_free

if TYPE_CHECKING:
    from open_r1.data.deduplication import DedupSummary

EXAMPLE = """examples:
  open-r1 data dedup problems.jsonl --output unique.jsonl
  open-r1 data dedup 'shards/*.parquet' --columns problem --threshold 0.8 --output unique.parquet --report duplicates.jsonl
  open-r1 data dedup open-r1/OpenR1-Math-220k --exact --output unique.parquet
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "dedup",
        help="exact and near duplicates out",
        description="Find rows that say what an earlier row says, and write the others: the first of each is kept.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source_arguments(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="the rows that are left: .jsonl or .parquet")
    parser.add_argument("--report", type=Path, metavar="FILE", help="a line a dropped row: which row it repeats")
    parser.add_argument("--exact", action="store_true", help="exact duplicates only: the same words and operators")
    parser.add_argument(
        "--threshold", type=float, default=0.9, metavar="SHARE", help="similarity of near duplicates (default: 0.9)"
    )
    parser.add_argument(
        "--ngram", type=int, default=5, metavar="N", help="words of the n-grams that are compared (default: 5)"
    )
    parser.add_argument("--variants", action="store_true", help="rows that differ in their numbers are duplicates too")
    add_running_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    check_free([arguments.output, arguments.report], arguments.overwrite)

    from open_r1.data.columns import find_text_columns
    from open_r1.data.deduplication import Likeness, deduplicate
    from open_r1.data.processes import available_cores
    from open_r1.data.row_file import Destination
    from open_r1.data.sources import open_rows

    likeness = Likeness(not arguments.exact, arguments.threshold, arguments.ngram, not arguments.variants)
    rows = open_rows(arguments.source, arguments.config, arguments.split)
    columns = find_text_columns(rows, arguments.columns, "--columns")
    processes = available_cores() if arguments.processes is None else arguments.processes
    destination = Destination(arguments.output, arguments.report, overwrite=arguments.overwrite)
    summary = deduplicate(rows, columns, likeness, destination, processes)
    if arguments.json:
        print(json.dumps(summary.record(), indent=2, ensure_ascii=False))
    else:
        show(summary, destination.output, destination.report)
    return 0


def show(summary: DedupSummary, output: Path | None, report: Path | None) -> None:
    print(f"{summary.source}: {summary.rows} rows, {summary.exact} exact and {summary.near} near duplicates")
    if summary.empty:
        print(f"  {summary.empty} rows have no text in {', '.join(summary.columns)}")
    if output:
        print(f"the others are in {output}")
    if report:
        print(f"each duplicate and the row that it repeats are in {report}")
