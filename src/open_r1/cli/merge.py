"""Make a whole model of a LoRA adapter and its base.

Add the weights of a LoRA adapter to those of its base model, and write the whole model.

Example: open-r1 merge runs/lora runs/merged
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.cli.console import tell
from open_r1.hub.folders import model_files
from open_r1.rundir import RunDir, hash_files, read_json


def add_options(parser: Any) -> None:
    """The options of `merge`."""
    parser.add_argument("adapter", type=Path, help="the folder of a LoRA adapter")
    parser.add_argument("out", type=Path, help="folder for the merged model")


def run(arguments: argparse.Namespace) -> int:
    """Write the whole model that an adapter and its base make."""
    tell(f"merging '{arguments.adapter}'")
    done = RunDir(arguments.out).done
    if done.is_file() and read_json(done).get("merged") == hash_files(model_files(str(arguments.adapter))):
        tell(f"already done in {arguments.out}")
        return 0
    from open_r1.training.models import merge_adapter

    merge_adapter(arguments.adapter, arguments.out)
    tell(f"the merged model is in '{arguments.out}'")
    return 0
