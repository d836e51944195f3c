"""Rows to the Hub, as Parquet shards with a card.

Write rows as Parquet shards with a card that says how they were made, and push them to the Hub.

examples:
  open-r1 data publish mixed --repo_id me/my-mixture --private
  open-r1 data publish clean.jsonl --repo_id me/my-traces --output_dir clean-shards --dry-run

A folder that `open-r1 data mix` made is uploaded as it is; any other source is first written as shards to --output_dir.
The token is the one that `hf auth login` keeps, or HF_TOKEN. After a failed upload the same command uploads again.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from open_r1.cli.console import ProgressLine, tell
from open_r1.cli.options import add


def add_options(parser: Any) -> None:
    """The options of `data publish`."""
    parser.add_argument("source", help="a folder of shards, a file, a pattern, a Hub id")
    add(parser, "repo_id", required=True)
    add(parser, "output_dir", help="where shards of another source are written")
    for name in ("dataset_config", "revision", "private"):
        add(parser, name)
    add(parser, "dry-run", help="write the shards, push nothing")


def run(arguments: argparse.Namespace) -> int:
    """Push a data set to the Hub, writing its shards first where the source has none."""
    options = {name: getattr(arguments, name) for name in ("revision", "private", "dry_run")}
    push(arguments.source, arguments.repo_id, arguments.output_dir, config=arguments.dataset_config, **options)
    return 0


def push(source: str, repo_id: str, output_dir: Path | None, *, dry_run: bool = False, **options: Any) -> None:
    """Publish, and say so."""
    tell(f"reading {source}")
    from open_r1.data.shards import publish
    from open_r1.rundir import RunDir

    with RunDir(output_dir).locked() if output_dir else nullcontext(), ProgressLine() as line:
        options |= {"dry_run": dry_run, "report": tell, "progress": line.counting("rows")}
        folder = publish(source, repo_id, output_dir, **options)
    if dry_run:
        tell(f"'{folder}' is ready; without --dry-run it is pushed to {repo_id}")
    else:
        tell(f"{folder} is at {repo_id}, revision {options.get('revision', 'main')}")
