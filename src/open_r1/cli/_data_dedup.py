"""`open-r1 data dedup SOURCE`: exact and near duplicates out, the first of each kept."""

from __future__ import annotations

import argparse

from open_r1.errors import ConfigError


def add_parser(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser("dedup", help="exact and near duplicates out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    raise ConfigError("data dedup is not there yet.")
