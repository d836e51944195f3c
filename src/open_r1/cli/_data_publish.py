"""`open-r1 data publish SOURCE --repo_id NAME`: rows to the Hub as Parquet shards with a card."""

from __future__ import annotations

import argparse
import glob
from pathlib import Path
from typing import Any

from open_r1.cli.console import tell
from open_r1.errors import ConfigError
from open_r1.hub import check_repo_id, default_api, push_folder

EXAMPLE = """examples:
  open-r1 data publish mixed --repo_id me/my-mixture --private
  open-r1 data publish clean.jsonl --repo_id me/my-traces --output_dir clean-shards --dry-run

A folder that `open-r1 data mix` made is uploaded as it is; any other source is first written as shards to --output_dir.
The token is the one that `hf auth login` keeps, or HF_TOKEN. After a failed upload the same command uploads again.
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "publish",
        help="rows to the Hub, as Parquet shards with a card",
        description="Write rows as Parquet shards with a card that tells how they were made, and push them to the Hub.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="a folder of shards, a file, a pattern, a Hub id")
    parser.add_argument("--repo_id", required=True, help="repository on the Hub, as user/name")
    parser.add_argument("--output_dir", type=Path, help="where shards of another source are written")
    parser.add_argument("--config", help="configuration of the data set")
    parser.add_argument("--revision", default="main", help="branch to push to (default: main)")
    parser.add_argument("--private", action="store_true", help="make the repository private when it is new")
    parser.add_argument("--dry-run", "--dry_run", action="store_true", help="write the shards, push nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    check_repo_id(arguments.repo_id)
    folder = prepare(arguments)
    if arguments.dry_run:
        tell(f"'{folder}' is ready; without --dry-run it is pushed to {arguments.repo_id}")
        return 0
    push(folder, arguments, default_api())
    tell(f"{folder} is at {arguments.repo_id}, revision {arguments.revision}")
    return 0


def prepare(arguments: argparse.Namespace) -> Path:
    """The folder of shards: the source itself, what an earlier run wrote, or what is written now."""
    from open_r1.data.provenance import Step, steps_behind
    from open_r1.data.shards import DONE, contents_of, is_finished, write_folder
    from open_r1.data.sources import load_source

    source = Path(arguments.source)
    if is_finished(source):
        return source
    folder = arguments.output_dir
    if folder is None:
        raise ConfigError(f"'{source}' is no finished folder of shards; name a new folder for them with --output_dir.")
    contents = fingerprint(arguments.source, arguments.config)
    if is_finished(folder) and contents_of(folder):
        if contents_of(folder) == contents:
            return folder
        tell(f"'{folder}' holds shards of other rows; they are written anew")
        (folder / DONE).unlink()
    loaded = load_source(arguments.source, arguments.config)
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    step = Step("publish", arguments.source, {}, {name: len(rows) for name, rows in splits.items()})
    write_folder(
        folder, splits, [*steps_behind(arguments.source), step], arguments.repo_id.partition("/")[2], contents
    )
    return folder


def fingerprint(source: str, config: str | None) -> str:
    """What the shards of a source are made of: its files by their contents, a set of the Hub by its name."""
    from open_r1.rundir import hash_files

    path = Path(source).expanduser()
    if path.is_dir():
        files = [found for found in path.rglob("*") if found.is_file()]
    else:
        files = [path] if path.is_file() else [Path(found) for found in glob.glob(str(path), recursive=True)]
    return " ".join([source, config or "", hash_files(files)])


def push(folder: Path, arguments: argparse.Namespace, api: Any) -> None:
    """Upload the folder. RunError, with everything still there, when the Hub doesn't take it."""
    ignored = ["done.json", ".*"]
    message = "Rows and card by open-r1 data publish"
    private = arguments.private or None
    push_folder(api, folder, arguments.repo_id, "dataset", arguments.revision, private, ignored, message)
