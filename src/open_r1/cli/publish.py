"""`open-r1 publish MODEL --repo_id NAME`: a model to the Hub, with a card of where it came from and what it can do."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.cli.console import show, tell
from open_r1.cli.options import add, add_verb

EXAMPLE = """examples:
  open-r1 publish runs/tiny/grpo --repo_id me/my-model --dry-run
  open-r1 publish runs/tiny/grpo --repo_id me/my-model --tags math --evaluations data/evals/my-model

The card reports base, data, settings and commit of every training run behind the model, and the results that are found: in
the model's own eval folder, in the pipeline that it is part of, and in --evaluations. The token is the one that
`hf auth login` keeps, or HF_TOKEN. After a failed upload the same command uploads again.
"""

LEFT_OUT = [".*", "*.partial", "*.log", "eval/*/samples.jsonl", "eval/*/drawn*"]
"""What stays here beside that which is no part of a model."""

CARD = "README.md"

OWN_TAG = "- open-r1\n"
OWN_LINES = ("## How it was made", "Every setting, with where it came from, is in `resolved.yaml`")
"""What a card of `open-r1 publish` or of a training says, beside the tag in its metadata."""


def add_parser(subparsers: Any) -> None:
    parser = add_verb(
        subparsers,
        "publish",
        "push a model to the Hub, with its lineage and measured results",
        EXAMPLE,
        "Check a model's weights, write its card from the files of its runs, and push it to the Hub.",
    )
    parser.add_argument("model", type=Path, help="a model folder")
    add(parser, "repo_id", required=True)
    add(parser, "tags", nargs="+", default=[], metavar="TAG", help="tags beside open-r1 and reasoning")
    add(
        parser, "evaluations", nargs="+", type=Path, default=[], metavar="FOLDER",
        help="what open-r1 eval wrote for this model",
    )  # fmt: skip
    add(parser, "card", type=Path, metavar="FILE", help="a card of your own in place of the one that is made")
    add(
        parser, "overwrite_card", action="store_true",
        help=f"put the new card in place of a {CARD} that open-r1 did not write",
    )  # fmt: skip
    add(parser, "revision")
    add(parser, "private")
    add(parser, "dry-run", help="check, print the card and the files, push nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from open_r1.hub import check_repo_id, push_folder
    from open_r1.rundir import write_text

    folder: Path = arguments.model.expanduser()
    check_repo_id(arguments.repo_id)
    parameters = check_folder(folder)
    card = make_card(folder, arguments)
    check_old_card(folder / CARD, card, arguments.overwrite_card)
    files = files_to_push(folder)
    size = sum((folder / name).stat().st_size for name in files if (folder / name).is_file())
    tell(f"{parameters:,} parameters, all of them numbers; {len(files)} files, {size / 1e6:,.1f} MB")
    if arguments.dry_run:
        show(card)
        for name in files:
            tell(f"  {name}")
        tell(f"without --dry-run this is pushed to {arguments.repo_id}, revision {arguments.revision}")
        return 0
    write_text(folder / CARD, card)
    push_folder(
        default_api(),
        folder,
        arguments.repo_id,
        "model",
        arguments.revision,
        arguments.private or None,
        left_out(folder),
        "Model and card by open-r1 publish",
    )
    tell(f"'{folder}' is at {arguments.repo_id}, revision {arguments.revision}")
    return 0


def default_api() -> Any:
    """The Hub's client."""
    from open_r1.hub import default_api as real_api

    return real_api()


def check_folder(folder: Path) -> int:
    """The number of parameters. ModelError or RunFolderError for what no one should be given."""
    from open_r1.errors import ModelError, RunFolderError
    from open_r1.model_folder import check_model_path
    from open_r1.rundir import RunDir, hash_files, read_json
    from open_r1.weights import check_weights

    if not folder.is_dir():
        raise ModelError(f"model folder '{folder}' does not exist; publish takes a folder on this machine.")
    check_model_path(str(folder.resolve()))
    run_folder = RunDir(folder)
    if run_folder.resolved.is_file() and not run_folder.done.is_file():
        raise RunFolderError(
            f"the run in '{folder}' is not finished (no done.json); run its command again, or publish a "
            "checkpoint of it."
        )
    parameters = check_weights(folder)
    recorded = read_json(run_folder.done).get("weights") if run_folder.done.is_file() else None
    if recorded and hash_files(folder.glob("*.safetensors")) != recorded:
        raise ModelError(
            f"the weights in '{folder}' are not those that its training left (done.json has their SHA-256); restore them, "
            "or publish a copy of the folder without done.json and resolved.yaml."
        )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")):
        raise ModelError(f"'{folder}' has no tokenizer; save it there too, since nobody can use the model without it.")
    return parameters


def make_card(folder: Path, arguments: argparse.Namespace) -> str:
    """The text of the model card, made or the user's own."""
    from open_r1.errors import ConfigError
    from open_r1.report.publication import find_evaluations, publication_card, read_lineage, read_measured

    evaluations = find_evaluations(folder, arguments.evaluations)
    if arguments.card is not None:
        try:
            return arguments.card.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ConfigError(f"--card {arguments.card} can't be read: {error}.") from None
    measured = read_measured(evaluations)
    if not measured:
        tell("no evaluation of this model was found; name its folder with --evaluations")
    return publication_card(arguments.repo_id, arguments.tags, read_lineage(folder), measured)


def check_old_card(path: Path, card: str, overwrites: bool) -> None:
    """ConfigError where the new card would replace a text that somebody wrote."""
    from open_r1.errors import ConfigError

    if overwrites or not path.is_file():
        return
    old = path.read_text(encoding="utf-8", errors="replace")
    if old.strip() and old != card and not is_own_card(old):
        raise ConfigError(
            f"'{path}' was not written by open-r1, and the new card would replace it; publish it as it is with "
            f"--card '{path}', move it away, or replace it with --overwrite_card."
        )


def is_own_card(text: str) -> bool:
    """Whether `open-r1 publish` or a training wrote a card."""
    start, metadata, body = [*text.split("---\n", 2), "", ""][:3]
    return not start and OWN_TAG in metadata and any(line in body for line in OWN_LINES)


def left_out(folder: Path) -> list[str]:
    """Patterns of what stays here, and the settings where they contain a token."""
    from open_r1.configs.reader import read_values
    from open_r1.hub import MODEL_LEFT_OUT

    resolved = folder / "resolved.yaml"
    has_token = resolved.is_file() and bool(read_values(resolved).get("hub_token"))
    return [*MODEL_LEFT_OUT, *LEFT_OUT, *(["resolved.yaml"] if has_token else [])]


def files_to_push(folder: Path) -> list[str]:
    """Names of the files that will be uploaded, the card among them."""
    from huggingface_hub.utils import filter_repo_objects

    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(filter_repo_objects({*names, CARD}, ignore_patterns=left_out(folder)))
