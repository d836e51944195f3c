"""Writes docs/reference/commands.md from the parsers; `--check` fails when the page is not what it would write."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from open_r1.cli.main import build_parser
from open_r1.cli.options import VOCABULARY

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"

INTRODUCTION = """# Commands

Every verb of `open-r1` with its options; `open-r1 VERB --help` shows the same. A dash and an underscore are the same in
an option's name: `--output-dir` is `--output_dir`. `sft` and `grpo` also take every setting of the
[settings reference](settings.md) as `--key value`."""


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a command takes, its own --help aside."""
    return [action for action in parser._actions if action.dest != "help" and action.help != argparse.SUPPRESS]


def title(action: argparse.Action) -> str:
    return action.option_strings[0] if action.option_strings else str(action.metavar or action.dest).upper()


def help_of(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%").replace("|", "\\|").replace("\n", " ")


def section(name: str, parser: argparse.ArgumentParser) -> str:
    lines = [
        f"## `{name}`\n",
        f"{(parser.description or '').replace('%%', '%')}\n",
        "| option | what it does |",
        "|---|---|",
    ]
    lines += [f"| `{title(action)}` | {help_of(action)} |" for action in options(parser)]
    return "\n".join(lines)


def vocabulary() -> str:
    """The words that several verbs share, and the other spellings that are accepted."""
    lines = ["## Words that verbs share\n", "| option | what it means | also accepted |", "|---|---|---|"]
    for name, option in VOCABULARY.items():
        spellings = ", ".join(f"`{spelling}`" for spelling in option.spellings)
        lines.append(f"| `--{name}` | {option.help} | {spellings} |")
    return "\n".join(lines)


def page() -> str:
    parts = [INTRODUCTION, vocabulary(), *(section(*command) for command in build_parser().commands().items())]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    if "--check" in sys.argv:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        print("docs/reference/commands.md is out of date; run: python scripts/make_commands_page.py", file=sys.stderr)
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
