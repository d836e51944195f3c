"""Push a model to the Hub, with its lineage and measured results.

Check a model's weights, write its card from the files of its runs, and push it to the Hub.

examples:
  open-r1 publish runs/tiny/grpo --repo_id me/my-model --dry-run
  open-r1 publish runs/tiny/grpo --repo_id me/my-model --tags math --evaluations data/evals/my-model

The card says base, data, settings and commit of every training run behind the model, and the results that are found: in
the model's own eval folder, in the pipeline that it is part of, and in --evaluations. The token is the one that
`hf auth login` keeps, or HF_TOKEN. After a failed upload the same command uploads again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.cli.console import show, tell
from open_r1.cli.options import add


def add_options(parser: Any) -> None:
    """The options of `publish`."""
    parser.add_argument("model", type=Path, help="a model folder")
    add(parser, "repo_id", required=True)
    add(parser, "tags", nargs="+", default=[], metavar="TAG", help="tags beside open-r1 and reasoning")
    help = "what open-r1 eval wrote for this model"
    add(parser, "evaluations", nargs="+", type=Path, default=[], metavar="FOLDER", help=help)
    add(parser, "card", type=Path, metavar="FILE", help="a card of your own in place of the one that is made")
    help = "put the new card in place of a README.md that open-r1 did not write"
    add(parser, "overwrite_card", action="store_true", help=help)
    add(parser, "revision")
    add(parser, "private")
    add(parser, "dry-run", help="check, print the card and the files, push nothing")


def run(arguments: argparse.Namespace) -> int:
    """Push the model; a dry run prints its card and its files."""
    tell(f"checking {arguments.model}")
    from open_r1.hub import publish

    names = ("tags", "evaluations", "card", "overwrite_card", "revision", "private", "dry_run")
    settings: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    published = publish(arguments.model, arguments.repo_id, report=tell, **settings)
    place = f"{arguments.repo_id}, revision {arguments.revision}"
    if not arguments.dry_run:
        tell(f"'{arguments.model}' is at {place}")
        return 0
    show(published.card)
    for name in published.files:
        tell(f"  {name}")
    tell(f"without --dry-run this is pushed to {place}")
    return 0
