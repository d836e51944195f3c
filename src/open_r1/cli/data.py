"""`open-r1 data ACTION`: the data engine. One private module an action, `_data_<action>.py`, named in `ACTIONS`."""

from __future__ import annotations

import argparse
import importlib

from open_r1.cli.options import add_verb

ACTIONS = ("generate", "verify", "select", "pass-rate", "dedup", "decontaminate", "merge", "mix", "publish")
"""In the order in which data goes through them; each module has SUMMARY, DESCRIPTION, EXAMPLE, `add_options` and `run`."""

EXAMPLE = """examples:
  open-r1 data generate problems.jsonl --server http://localhost:8000/v1 --num_samples 4 --output_dir traces
  open-r1 data verify traces/traces.jsonl --output verified.jsonl
  open-r1 data select verified.jsonl --output sft.jsonl --keep_per_problem 2 --as messages
  open-r1 data pass-rate problems.jsonl --server http://localhost:8000/v1 --min 0.1 --max 0.6 --output_dir rated
  open-r1 data dedup sft.jsonl --columns problem --output unique.jsonl
  open-r1 data decontaminate unique.jsonl --against math500.jsonl aime24 --output clean.jsonl
  open-r1 data merge clean.jsonl
  open-r1 data mix mixture.yaml --output_dir mixed
  open-r1 data publish mixed --repo_id me/mixed --private
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `open-r1 data` to the commands, an action for each `_data_*` module."""
    parser = subparsers.add_parser(
        "data",
        help="make, clean and mix data",
        description="Make, clean and mix data.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action in ACTIONS:
        module = importlib.import_module(f"open_r1.cli._data_{action.replace('-', '_')}")
        verb = add_verb(actions, action, module.SUMMARY, module.EXAMPLE, module.DESCRIPTION, fill=module.add_options)
        verb.set_defaults(run=module.run)
