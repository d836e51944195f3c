"""A mixture of data sets, written out with its exact counts.

Write a recipe's mixture as Parquet shards with a card.

example:
  open-r1 data mix mixture.yaml --output_dir mixed

The recipe has a dataset_mixture, as a training recipe has:

  dataset_mixture:
    datasets:
      - {id: math.jsonl, columns: [problem, solution], weight: 0.5}
      - {id: code.parquet, columns: [problem, solution]}
    seed: 42
    test_split_size: 0.1

done.json is written last; the same command replaces what an interrupted one left.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from open_r1.cli.console import ProgressLine, show, show_json, tell
from open_r1.cli.options import add_results
from open_r1.errors import ConfigError


def add_options(parser: Any) -> None:
    """The options of `data mix`."""
    parser.add_argument("recipe", type=Path, help="YAML with a dataset_mixture")
    add_results(parser, "output_dir", required=True, help="new folder for the shards")


def run(arguments: argparse.Namespace) -> int:
    """Write the mixture as shards, and show each data set's share."""
    tell(f"reading {arguments.recipe}")
    from open_r1.data.mixtures import mix
    from open_r1.rundir import RunDir

    folder = None if arguments.dry_run else arguments.output_dir
    mixture, recipe, overwrite = read_mixture(arguments.recipe), str(arguments.recipe), arguments.overwrite
    with RunDir(folder).locked() if folder else nullcontext(), ProgressLine() as line:
        callbacks: dict[str, Any] = {"progress": line.counting("rows"), "tell": tell}
        mixed = mix(mixture, folder, recipe=recipe, overwrite=overwrite, **callbacks)
    if arguments.json:
        show_json(mixed.record())
        return 0
    for share in mixed.shares:
        show(str(share))
    counts = ", ".join(f"{count:,} rows of {name}" for name, count in mixed.rows.items())
    show(counts + (f" in {folder}" if folder else ""))
    return 0


def read_mixture(path: Path) -> Any:
    """The `dataset_mixture` of a recipe. ConfigError when it can't be read or has none."""
    from open_r1.configs.reader import read_recipe

    settings = {setting.key: setting.value for setting in read_recipe(path)}
    if "dataset_mixture" not in settings:
        raise ConfigError(
            f"recipe '{path}' has no dataset_mixture (found {', '.join(settings) or 'nothing'}); write one as "
            "`open-r1 data mix --help` shows."
        )
    return settings["dataset_mixture"]
