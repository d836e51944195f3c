"""Evaluations side by side, with paired differences.

A table of several evaluations and, for each against the first, the difference over the problems that both scored,
with its 95 % interval. A folder is what `open-r1 eval --output_dir` wrote.

examples:
  open-r1 compare data/evals/base data/evals/tuned
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, show_json, tell
from open_r1.cli.options import add

if TYPE_CHECKING:
    from open_r1.evaluation.table import Result
    from open_r1.records import Estimate


def add_options(parser: Any) -> None:
    """The options of `compare`."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="output folders of evaluations")
    add(parser, "no_published", action="store_true", help="leave the published results out of the table")
    add(parser, "json")


def run(arguments: argparse.Namespace) -> int:
    """Show the table of results, and each evaluation's difference from the first."""
    tell(f"reading {', '.join(map(str, arguments.folders))}")
    from open_r1.evaluation.summary import as_record
    from open_r1.evaluation.table import compare_results, read_results, render_table

    each = label([read_results(folder) for folder in arguments.folders], arguments.folders)
    shown = [result for found in each for result in found]
    comparisons = [pair for others in each[1:] for pair in compare_results(each[0], others)]
    if arguments.json:
        listed = [
            {"model": result.model, "benchmark": result.benchmark, "mode": result.mode, **as_record(result.estimate)}
            for result in shown
        ]
        pairs = [{**asdict(pair), "difference": as_record(pair.difference)} for pair in comparisons]
        show_json({"results": listed, "comparisons": pairs})
        return 0
    show(f"pass@1 in percent, with its 95 % interval\n\n{render_table(shown, not arguments.no_published)}")
    for pair in comparisons:
        name = f"{pair.benchmark}, {pair.mode}"
        show(f"\n{name}: {pair.second} - {pair.first}: {points(pair.difference)}: {pair.verdict}")
        for remark in pair.remarks:
            show(f"  notice: {remark}")
    return 0


def label(each: Sequence[Sequence[Result]], folders: Sequence[Path]) -> list[list[Result]]:
    """The results, with the folder beside a model's name where several folders have that model."""
    counts = Counter(model for found in each for model in {result.model for result in found})
    return [
        [replace(one, model=f"{one.model} ({folder})") if counts[one.model] > 1 else one for one in found]
        for found, folder in zip(each, folders, strict=True)
    ]


def points(difference: Estimate) -> str:
    """The difference in percentage points, with its interval and the number of problems."""
    if math.isnan(difference.low):
        return f"- over {difference.n} problem{'' if difference.n == 1 else 's'}"
    low, high = 100 * difference.low, 100 * difference.high
    return f"{100 * difference.value:+.1f} points [{low:+.1f}, {high:+.1f}] over {difference.n} problems"
