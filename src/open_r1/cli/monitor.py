"""`open-r1 monitor FILE`: the guide's quality monitor over a file of outputs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = ("completion", "generation", "output", "response", "text", "messages")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "monitor",
        help="think tags, reasoning steps and length of outputs",
        description="Measure every output of a file (JSONL, Parquet, …): has_think_tags, reasoning_steps, "
        "response_length in characters. Samples of evaluations, traces and data sets of messages will do.",
        epilog="Example: open-r1 monitor data/evals/MODEL/aime24/samples.jsonl",
    )
    parser.add_argument("file", help="a file, folder or Hub id with an output a row")
    parser.add_argument("--column", help=f"where the outputs are (default: the first of {', '.join(COLUMNS)})")
    parser.add_argument("--split", default="train", help="of a data set with several (default: train)")
    parser.add_argument("--output", type=Path, help="write each output's measures here, as JSON lines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from open_r1.data.columns import require_columns
    from open_r1.data.sources import load_splits
    from open_r1.errors import DataError
    from open_r1.evaluation.monitor import measure, summarise_quality
    from open_r1.rewards.base import text_of
    from open_r1.rundir import write_jsonl

    rows: Any = load_splits(arguments.file, None, arguments.split)[arguments.split]
    found = rows.column_names
    column = arguments.column or next((name for name in COLUMNS if name in found), None)
    if column is None:
        raise DataError(f"'{arguments.file}' has no column of outputs known by its name. Found: {', '.join(found)}; "
                        "name it with --column.")  # fmt: skip
    require_columns(found, [column], arguments.file, "--column")
    measured = [measure(text_of(row[column] or "")) for row in rows.select_columns([column])]
    if arguments.output:
        write_jsonl(arguments.output, (asdict(quality) for quality in measured))
    json.dump(summarise_quality(measured), sys.stdout, indent=2)
    print()
    return 0
