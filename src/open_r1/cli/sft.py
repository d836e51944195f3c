"""Supervised fine-tuning on reasoning traces.

Any setting of the recipe can be given as --key value.

Example: open-r1 sft --config recipes/tiny/sft.yaml --model_name_or_path DIR --dataset_name FILE --output_dir OUT
"""

from __future__ import annotations

import argparse

from open_r1.cli import _training

add_options = _training.add_options


def run(arguments: argparse.Namespace) -> int:
    """Parse, show the notices, and train."""
    return _training.run("sft", arguments)
