"""Make a tiny model, or show what is behind a model.

Example: open-r1 model new traces.jsonl tiny --hidden_size 64 --num_layers 2
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from open_r1.cli.console import show, show_json, tell
from open_r1.cli.options import add, add_settings, add_verb, read_settings
from open_r1.errors import RunFolderError


def add_options(parser: Any) -> None:
    """The actions of `model`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_verb(actions, "new", run_new.__doc__, add_model_options, run_new)
    add_verb(actions, "lineage", run_lineage.__doc__, add_lineage_options, run_lineage)


def add_model_options(parser: Any) -> None:
    """The options of `model new`, the model's shape among them."""
    from open_r1.training.tiny_models import ModelShape

    parser.add_argument("texts", help="a file of rows: messages, or any columns of text")
    parser.add_argument("out", type=Path, help="folder for the model")
    add(parser, "seed", default=0, help="seed of the weights")
    add(parser, "overwrite", help="replace the model that is there")
    add_settings(parser, ModelShape)


def add_lineage_options(parser: Any) -> None:
    """The options of `model lineage`."""
    parser.add_argument("folder", type=Path, help="a model's folder, or a file of rows")
    add(parser, "json", help="show the records as JSON")


def run_lineage(arguments: argparse.Namespace) -> int:
    """Show all that is behind a model.

    Show every stage, command, file and model behind a model or a file of rows, from records alone, oldest first.

    Example: open-r1 model lineage runs/tiny-r1/grpo
    """
    from open_r1.hub.origins import read_origin, read_origins

    origins = read_origins(arguments.folder)
    if not origins:
        read_origin(arguments.folder)  # refuses where it is there and damaged
        raise RunFolderError(
            f"'{arguments.folder}' has no record of how it was made; give the folder of a run or a pipeline's stage, or a "
            "file that open-r1 data wrote."
        )
    if arguments.json:
        show_json([asdict(origin) for origin in origins])
        return 0
    for number, origin in enumerate(origins, start=1):
        show(f"{number}. {origin.name} ({origin.kind})")
        facts = {key: value for key, value in origin.facts.items() if isinstance(value, int | float | str)}
        lines = {
            "made from": ", ".join(origin.inputs),
            "files": origin.say_made(),
            "facts": ", ".join(f"{key} {value}" for key, value in facts.items()),
            "command": origin.command,
        }
        for label, line in lines.items():
            if line:
                show(f"   {label + ':':<11}{line}")
    return 0


def run_new(arguments: argparse.Namespace) -> int:
    """Make a tiny model from texts.

    Make a tokenizer from the texts of a file, and a small model with random weights, as a model folder.

    Example: open-r1 model new traces.jsonl tiny --hidden_size 64 --num_layers 2
    """
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
