"""Put the results of all shards together.

Write one file or folder of what the commands with --shard have written, after a check that all are there.

examples:
  open-r1 data verify traces.jsonl --output verified.jsonl --shard 0/2    # and 1/2, as jobs or one after another
  open-r1 data merge verified.jsonl
  sbatch --array=0-15 slurm/data.slurm verify traces.jsonl --output verified.jsonl

The result is what the command without --shard writes. Of generate and pass-rate the samples are put together: the same
command without --shard then finds them all, and scores and counts them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.cli.console import show, show_json
from open_r1.cli.options import add


def add_options(parser: Any) -> None:
    """The options of `data merge`."""
    parser.add_argument("result", type=Path, help="the --output or --output_dir that the commands were given")
    add(parser, "overwrite")
    add(parser, "json")


def run(arguments: argparse.Namespace) -> int:
    """Put the shards together, and show their counts."""
    from open_r1.data.sharding import merge_shards

    shards, counts = merge_shards(arguments.result, arguments.overwrite)
    if arguments.json:
        show_json({"shards": shards, **counts})
        return 0
    show(f"{arguments.result} has the rows of {shards} shards")
    return 0
