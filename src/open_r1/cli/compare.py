"""`open-r1 compare DIR DIR …`: evaluations side by side, with paired differences."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "compare",
        help="evaluations side by side, with paired differences",
        description="A table of several evaluations and, for each against the first, the difference over the problems "
        "that both scored, with its 95 % interval. A folder is what `open-r1 eval --output_dir` wrote.".replace(
            "%", "%%"
        ),
        epilog="Example: open-r1 compare data/evals/base data/evals/tuned",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="output folders of evaluations")
    parser.add_argument("--no_published", action="store_true", help="leave the published results out of the table")
    parser.add_argument(
        "--lighteval", nargs="+", type=Path, default=[], metavar="FILE", help="lighteval's results_*.json"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from open_r1.evaluation.lighteval import read_results_file
    from open_r1.evaluation.summary import as_record
    from open_r1.evaluation.table import compare_results, read_results, render_table

    each = label([read_results(folder) for folder in arguments.folders], arguments.folders)
    theirs = [result for path in arguments.lighteval for result in read_results_file(path)]
    comparisons = [pair for others in each[1:] for pair in compare_results(each[0], others)]
    results = [result for found in each for result in found]
    if arguments.json:
        listed = [{"model": r.model, "benchmark": r.benchmark, **as_record(r.estimate)} for r in [*results, *theirs]]
        pairs = [{**asdict(pair), "difference": as_record(pair.difference)} for pair in comparisons]
        json.dump({"results": listed, "comparisons": pairs}, sys.stdout, indent=2)
        print()
        return 0
    print(
        f"pass@1 in percent, with its 95 % interval\n\n{render_table([*results, *theirs], not arguments.no_published)}"
    )
    for pair in comparisons:
        print(f"\n{pair.benchmark}: {pair.second} - {pair.first}: {points(pair.difference)}: {pair.verdict}")
        for remark in pair.remarks:
            print(f"  notice: {remark}")
    return 0


def label(each: list[list[Any]], folders: list[Path]) -> list[list[Any]]:
    """Results whose models have one name are told apart by their folders."""
    from dataclasses import replace

    names = [{result.model for result in found} for found in each]
    return [
        [
            replace(result, model=f"{result.model} ({folder})")
            if sum(result.model in of for of in names) > 1
            else result
            for result in found
        ]
        for found, folder in zip(each, folders, strict=True)
    ]


def points(difference: Any) -> str:
    if math.isnan(difference.low):
        return f"- over {difference.n} problem{'' if difference.n == 1 else 's'}"
    low, high = 100 * difference.low, 100 * difference.high
    return f"{100 * difference.value:+.1f} points [{low:+.1f}, {high:+.1f}] over {difference.n} problems"
