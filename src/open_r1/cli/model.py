"""`open-r1 model new TEXTS OUT`: a tiny model with random weights, and a tokenizer made from texts."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from open_r1.cli.console import show, tell
from open_r1.cli.options import add, add_settings, add_verb, read_settings


def add_parser(subparsers: Any) -> None:
    """Add `open-r1 model` to the commands, with its action `new`."""
    example = "Example: open-r1 model new traces.jsonl tiny --hidden_size 64 --num_layers 2"
    parser = subparsers.add_parser("model", help="make a tiny model", description="Make a tiny model.", epilog=example)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    described = "Make a tokenizer from the texts of a file, and a small model with random weights, as a model folder."
    new = add_verb(actions, "new", "make a tiny model from texts", example, described, fill=add_options)
    new.set_defaults(run=run)


def add_options(parser: Any) -> None:
    """The options of `model new`, the model's shape among them."""
    from open_r1.training.tiny_models import ModelShape

    parser.add_argument("texts", help="a file of rows: messages, or any columns of text")
    parser.add_argument("out", type=Path, help="folder for the model")
    add(parser, "seed", default=0, help="seed of the weights")
    add(parser, "overwrite", help="replace the model that is there")
    add_settings(parser, ModelShape)


def run(arguments: argparse.Namespace) -> int:
    """Write the model and its tokenizer, and show its number of parameters."""
    from open_r1.data.sources.local import find_files
    from open_r1.pipeline.kinds.model import make_model
    from open_r1.rundir import RunDir, hash_files, read_json, write_json
    from open_r1.training.tiny_models import ModelShape

    tell(f"reading {arguments.texts}")
    shape, run_dir = read_settings(ModelShape, arguments), RunDir(arguments.out)
    contents = hash_files(find_files(arguments.texts))
    identity = {"contents of the texts": contents, "seed": arguments.seed, **asdict(shape)}
    with run_dir.claimed(identity, arguments.overwrite):
        if run_dir.is_done():
            tell(f"already done in {arguments.out}")
        else:
            parameters = make_model(arguments.texts, arguments.out, shape, arguments.seed)
            write_json(run_dir.done, {"parameters": parameters})
        parameters = read_json(run_dir.done)["parameters"]
    show(f"{parameters:,} parameters with random weights in {arguments.out}")
    return 0
