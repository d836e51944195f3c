"""`open-r1 data mix RECIPE`: a mixture written out as a data set, with its exact counts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from open_r1.errors import ConfigError

EXAMPLE = """example:
  open-r1 data mix mixture.yaml --output_dir mixed

The recipe has a dataset_mixture, as a training recipe has:

  dataset_mixture:
    datasets:
      - {id: math.jsonl, columns: [problem, solution], weight: 0.5}
      - {id: code.parquet, columns: [problem, solution]}
    seed: 42
    test_split_size: 0.1
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "mix",
        help="a mixture of sets, written out with its exact counts",
        description="Write a recipe's mixture as Parquet shards with a card.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", type=Path, help="YAML with a dataset_mixture")
    parser.add_argument("--output_dir", type=Path, required=True, help="new folder for the shards")
    parser.add_argument("--dry-run", "--dry_run", action="store_true", help="count, and write nothing")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from open_r1.configs import DatasetMixtureConfig
    from open_r1.data.mixtures import mix_shares
    from open_r1.data.provenance import Step
    from open_r1.data.shards import claim, write_folder

    written = read_mixture(arguments.recipe)
    mixture = DatasetMixtureConfig.from_mapping(written)
    if not arguments.dry_run:
        claim(arguments.output_dir)
    mixed, shares = mix_shares(mixture)
    splits = {str(name): rows for name, rows in mixed.items()}
    counts = {name: len(rows) for name, rows in splits.items()}
    taken = [{"id": share.entry.id, **{k: v for k, v in asdict(share).items() if k != "entry"}} for share in shares]
    if not arguments.dry_run:
        step = Step(
            "mix",
            str(arguments.recipe),
            written,
            {"rows": counts, **{str(i): s for i, s in enumerate(map(str, shares))}},
        )
        write_folder(arguments.output_dir, splits, [step], arguments.output_dir.name)
    if arguments.json:
        print(json.dumps({"rows": counts, "datasets": taken}, indent=2))
        return 0
    for share in shares:
        print(share)
    where = "" if arguments.dry_run else f" in {arguments.output_dir}"
    print(", ".join(f"{count:,} rows of {name}" for name, count in counts.items()) + where)
    return 0


def read_mixture(path: Path) -> Any:
    """The `dataset_mixture` of a recipe. ConfigError when it can't be read or has none."""
    import yaml

    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"recipe '{path}' can't be read: {' '.join(str(error).split())}.") from None
    if not isinstance(recipe, dict) or "dataset_mixture" not in recipe:
        found = ", ".join(map(str, recipe)) if isinstance(recipe, dict) else type(recipe).__name__
        raise ConfigError(
            f"recipe '{path}' has no dataset_mixture (found {found}); write one as `open-r1 data mix --help` shows."
        )
    return recipe["dataset_mixture"]
