"""Remove rows that contain evaluation items.

Find the rows that contain items of evaluation sets, report each with its evidence, and write the others.

examples:
  open-r1 data decontaminate traces.jsonl --against math500.jsonl aime24.jsonl --output clean.jsonl
  open-r1 data decontaminate open-r1/OpenR1-Math-220k --against math_500 'gsm8k.jsonl?column=question' --report hits.jsonl
  open-r1 data decontaminate 'shards/*.parquet' --columns problem messages --against aime24 aime25 --output clean.parquet

A set is a file, a Hub id, or a known name (aime24, aime25, math_500, gpqa, lcb), with options after a question mark:
column, config, split, name. Every hit is a line of the report: row, item, coverage, matched text. Output and report appear
when they are whole.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import ProgressLine, show, show_json, tell
from open_r1.cli.options import add, add_results, add_rows, add_settings, add_shard, read_rows, read_settings
from open_r1.errors import ConfigError

if TYPE_CHECKING:
    from open_r1.data.decontamination import Summary
    from open_r1.data.row_file import Destination


def add_options(parser: Any) -> None:
    """The options of `data decontaminate`."""
    from open_r1.data.evaluation_index import Rule

    add_rows(parser)
    add(parser, "columns", help="columns with the text (default: problem or the like)")
    parser.add_argument("--against", nargs="+", required=True, metavar="SET", help="evaluation sets")
    add(parser, "report", type=Path, metavar="FILE", help="the hits (default: beside the output, .hits.jsonl)")
    add(parser, "mark", action="store_true", help="keep all rows, and add a column contaminated_<set>")
    add_settings(
        parser, Rule, coverage={"default": None, "help": "share of an item's n-grams that makes a hit (default: 0.5)"}
    )
    add(parser, "variants", action="store_true", help="an item with other numbers in it is a hit too")
    add(parser, "processes")
    add_shard(parser)
    add_results(parser, "output", help="the rows that are kept: .jsonl or .parquet")


def run(arguments: argparse.Namespace) -> int:
    """Write the rows without evaluation problems, and the hits; ConfigError for options that exclude each other."""
    from open_r1.data.decontamination import decontaminate
    from open_r1.data.evaluation_index import Rule
    from open_r1.data.row_file import NOWHERE, Destination
    from open_r1.rundir import hold_outputs

    if arguments.mark and not arguments.output:
        raise ConfigError("--mark adds columns to the rows that are written; say where with --output.")
    if arguments.coverage is None:
        arguments.coverage = Rule.coverage
    elif arguments.name == "open-r1":
        raise ConfigError(
            "--coverage has no effect with the rule open-r1, where any n-gram is a hit; leave one of them out."
        )
    rule = read_settings(Rule, arguments, same_numbers=not arguments.variants)
    output, report = arguments.output, arguments.report
    if arguments.shard:
        output, report = (path and arguments.shard.path(path) for path in (output, report))
    report = report or (output and output.with_suffix(".hits.jsonl"))
    destination = Destination(output, report, arguments.mark, arguments.overwrite)
    destination = NOWHERE if arguments.dry_run else destination
    rows, named = read_rows(arguments), {"columns": arguments.columns, "processes": arguments.processes}
    with hold_outputs(destination.output, destination.report), ProgressLine() as line:
        named |= {"num_examples": 3, "progress": line.counting("rows"), "tell": tell}
        summary = decontaminate(rows, arguments.against, destination, rule, **named)
    if arguments.json:
        show_json(summary.record())
    else:
        show_summary(summary, destination)
    return 0


def show_summary(summary: Summary, destination: Destination) -> None:
    """Print the counts, and where the results are."""
    show(f"{summary.source}: {summary.rows} rows, {summary.contaminated} of them contain evaluation items")
    if summary.empty:
        show(f"  {summary.empty} rows have no text in {', '.join(summary.columns)}")
    for name, counts in summary.sets.items():
        short = f", {counts.too_short} too short to search for" if counts.too_short else ""
        show(f"  {name}: {counts.items_found} of {counts.items} items found, in {counts.rows} rows{short}")
    for example in summary.examples:
        show(f"  row {example['row']}: {example['set']} item {example['item']}, coverage {example['coverage']:.2f}")
        show(f"    {example['matched'][:160]}")
    if destination.output:
        show(f"{'all rows, marked,' if destination.marks else 'the others'} are in {destination.output}")
    if destination.report:
        show(f"every hit with its evidence is in {destination.report}")
