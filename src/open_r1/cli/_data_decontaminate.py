"""`open-r1 data decontaminate SOURCE --against SET …`: the rows that hold evaluation items, with evidence, and the rest."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.errors import ConfigError, RunFolderError

if TYPE_CHECKING:
    from open_r1.data.decontamination import Summary

EXAMPLE = """examples:
  open-r1 data decontaminate traces.jsonl --against math500.jsonl aime24.jsonl --output clean.jsonl
  open-r1 data decontaminate open-r1/OpenR1-Math-220k --against math_500 'gsm8k.jsonl?column=question' --report hits.jsonl
  open-r1 data decontaminate 'shards/*.parquet' --columns problem messages --against aime24 aime25 --output clean.parquet

A set is a file, a Hub id, or a known name (aime24, aime25, math_500, gpqa, lcb), with options after a question mark:
column, config, split, name. Every hit is a line of the report: row, item, coverage, matched text.
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "decontaminate",
        help="rows out that hold evaluation items",
        description="Find the rows that hold items of evaluation sets, report each with its evidence, and write the others.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source_arguments(parser)
    parser.add_argument("--against", nargs="+", required=True, metavar="SET", help="evaluation sets")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the rows that are left: .jsonl or .parquet")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="the hits (default: beside the output, .hits.jsonl)"
    )
    parser.add_argument("--mark", action="store_true", help="keep all rows, and add a column contaminated_<set>")
    parser.add_argument(
        "--rule", choices=("coverage", "open-r1"), default="coverage",
        help="coverage: normalised, enough of an item must be there; open-r1: any word n-gram in common (default: coverage)",
    )  # fmt: skip
    parser.add_argument("--ngram", type=int, default=8, metavar="N", help="words of an n-gram (default: 8)")
    parser.add_argument(
        "--coverage", type=float, metavar="SHARE", help="share of an item's n-grams that makes a hit (default: 0.5)"
    )
    parser.add_argument("--variants", action="store_true", help="an item with other numbers in it is a hit too")
    add_running_arguments(parser)
    parser.set_defaults(run=run)


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """What is read, for every action that goes through the rows of a source."""
    parser.add_argument("source", help="a file, a pattern in quotes, a folder, or a Hub id")
    parser.add_argument("--config", help="configuration of a Hub data set")
    parser.add_argument("--split", default="train", help="split of a folder or Hub data set (default: train)")
    parser.add_argument(
        "--columns", nargs="+", metavar="NAME", help="columns with the text (default: problem or the like)"
    )


def add_running_arguments(parser: argparse.ArgumentParser) -> None:
    """How it runs."""
    parser.add_argument(
        "--processes", type=int, metavar="N", help="processes (default: one a core; the result is the same)"
    )
    parser.add_argument("--overwrite", action="store_true", help="write over files that are there")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(arguments: argparse.Namespace) -> int:
    if arguments.mark and not arguments.output:
        raise ConfigError("--mark adds columns to the rows that are written; say where with --output.")
    if arguments.coverage is not None and arguments.rule == "open-r1":
        raise ConfigError(
            "--coverage is no part of the rule open-r1, which asks for any n-gram; leave one of them out."
        )
    report = arguments.report or (arguments.output and arguments.output.with_suffix(".hits.jsonl"))
    check_free([arguments.output, report], arguments.overwrite)

    from open_r1.data.columns import find_text_columns
    from open_r1.data.decontamination import decontaminate
    from open_r1.data.evaluation_index import Rule
    from open_r1.data.evaluation_sets import load_sets
    from open_r1.data.processes import available_cores
    from open_r1.data.row_file import Destination
    from open_r1.data.sources import open_rows

    rule = Rule(
        arguments.rule,
        arguments.ngram,
        Rule.coverage if arguments.coverage is None else arguments.coverage,
        not arguments.variants,
    )
    rows = open_rows(arguments.source, arguments.config, arguments.split)
    columns = find_text_columns(rows, arguments.columns, "--columns")
    sets = load_sets(arguments.against)
    processes = available_cores() if arguments.processes is None else arguments.processes
    destination = Destination(arguments.output, report, arguments.mark, arguments.overwrite)
    summary = decontaminate(rows, columns, sets, rule, destination, processes, num_examples=3)
    if arguments.json:
        print(json.dumps(summary.record(), indent=2, ensure_ascii=False))
    else:
        show(summary, destination)
    return 0


def check_free(paths: list[Path | None], overwrite: bool) -> None:
    """RunFolderError for a file that is there and may not be written over, before anything is read."""
    for path in paths:
        if path and path.exists() and not overwrite:
            raise RunFolderError(f"'{path}' is there already; give another name, or write over it with --overwrite.")


def show(summary: Summary, destination: Any) -> None:
    print(f"{summary.source}: {summary.rows} rows, {summary.contaminated} of them hold evaluation items")
    if summary.empty:
        print(f"  {summary.empty} rows have no text in {', '.join(summary.columns)}")
    for name, counts in summary.sets.items():
        short = f", {counts.too_short} too short to look for" if counts.too_short else ""
        print(f"  {name}: {counts.items_found} of {counts.items} items found, in {counts.rows} rows{short}")
    for example in summary.examples:
        print(f"  row {example['row']}: {example['set']} item {example['item']}, coverage {example['coverage']:.2f}")
        print(f"    {example['matched'][:160]}")
    if destination.output:
        print(f"{'all rows, marked,' if destination.marks else 'the others'} are in {destination.output}")
    if destination.report:
        print(f"every hit with its evidence is in {destination.report}")
