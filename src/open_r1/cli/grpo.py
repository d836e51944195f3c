"""Reinforcement learning from verifiable rewards.

Any setting of the recipe can be given as --key value.

Example: open-r1 grpo --config recipes/tiny/grpo.yaml --model_name_or_path DIR --dataset_name FILE --output_dir OUT
"""

from __future__ import annotations

import argparse
from typing import Any

from open_r1.cli import _training
from open_r1.cli.options import add


def add_options(parser: Any) -> None:
    """The options of `grpo`."""
    _training.add_options(parser)
    preflight = "sample and score a few completions, report what would prevent learning, train nothing"
    add(parser, "preflight", action="store_true", help=preflight)
    add(parser, "json", help="print the result of --preflight as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Parse, show the notices, and train."""
    return _training.run("grpo", arguments)
