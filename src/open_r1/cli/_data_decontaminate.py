"""`open-r1 data decontaminate SOURCE --against SET …`: rows out that hold evaluation items."""

from __future__ import annotations

import argparse

from open_r1.errors import ConfigError


def add_parser(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser("decontaminate", help="rows that hold evaluation items out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    raise ConfigError("data decontaminate is not there yet.")
