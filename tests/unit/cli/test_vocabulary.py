"""One word for one thing over all commands, found from the parsers; the page of commands is what they say."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from open_r1.cli.main import build_parser
from open_r1.cli.options import VOCABULARY, Parser, undashed

DASHED = {"--dry-run"}
"""The one option that is written with a dash, as in every other tool; either spelling is accepted."""

OTHER_WORDS = {"--max_tokens": {"open-r1 data select"}}
"""Other spellings of a word of the vocabulary that mean something else here: a limit of what is kept, not sampled."""

BY_ANOTHER_NAME = {
    "workers": "processes or concurrency", "jobs": "processes", "num_proc": "processes", "out": "output",
    "out_dir": "output_dir", "output_file": "output", "force": "overwrite", "dataset_name": "the source",
    "subset": "dataset_config", "num_completions": "num_samples", "url": "server", "base_url": "server",
    "reward": "rewards", "limit": "max_problems", "max_samples": "max_problems", "max_rows": "max_problems",
}  # fmt: skip
"""Words that other tools have for what VOCABULARY calls otherwise."""


COMMANDS = build_parser().commands()
OPTIONS = [
    (command, action)
    for command, parser in COMMANDS.items()
    for action in parser._actions
    if action.option_strings and action.dest != "help" and action.help != argparse.SUPPRESS
]


def test_every_command_has_our_parser() -> None:
    assert len(COMMANDS) > 15
    assert [name for name, parser in COMMANDS.items() if not isinstance(parser, Parser)] == []


def test_an_option_is_declared_under_one_spelling_with_underscores() -> None:
    doubled = [(command, action.option_strings) for command, action in OPTIONS if len(action.option_strings) > 1]
    assert doubled == []
    names = {action.option_strings[0] for _, action in OPTIONS}
    assert {name for name in names if name != undashed(name)} == DASHED


def test_no_option_is_a_second_word_for_one_of_the_vocabulary() -> None:
    ours = {spelling: f"--{name}" for name, option in VOCABULARY.items() for spelling in option.spellings}
    second = [
        (command, action.option_strings[0], ours[action.option_strings[0]])
        for command, action in OPTIONS
        if action.option_strings[0] in ours and command not in OTHER_WORDS.get(action.option_strings[0], ())
    ]
    assert second == []
    assert [
        (command, action.option_strings[0], BY_ANOTHER_NAME[action.dest])
        for command, action in OPTIONS
        if action.option_strings[0].lstrip("-") in BY_ANOTHER_NAME and action.metavar != "STAGE"  # which is forced
    ] == []


def test_one_word_has_one_type_in_all_commands() -> None:
    kinds: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for command, action in OPTIONS:
        shape = f"{getattr(action.type, '__name__', action.type)} {action.nargs} {type(action).__name__}"
        kinds[action.option_strings[0]][shape.replace("Once", "_StoreAction")].append(command)
    assert {name: dict(shapes) for name, shapes in kinds.items() if len(shapes) > 1} == {}


def test_one_meaning_has_one_word() -> None:
    words: dict[str, set[str]] = defaultdict(set)
    for _, action in OPTIONS:
        words[(action.help or "").partition(" (default")[0]].add(action.option_strings[0])
    assert {help: names for help, names in words.items() if len(names) > 1} == {}


def test_what_several_verbs_have_is_declared_in_the_vocabulary() -> None:
    verbs: dict[str, set[str]] = defaultdict(set)
    for command, action in OPTIONS:
        verbs[action.option_strings[0].lstrip("-")].add(command.split()[1])
    assert {name for name, users in verbs.items() if len(users) > 2 and name not in VOCABULARY} == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_accepted_with_dashes_and_with_underscores(command: str) -> None:
    declared: dict[str, Any] = COMMANDS[command].declared()  # type: ignore[attr-defined]
    for action in COMMANDS[command]._actions:
        for name in action.option_strings:
            assert name == "-h" or declared[undashed(name)] == name


def test_the_page_of_commands_is_current(repo: Path) -> None:
    script = repo / "scripts" / "make_commands_page.py"
    ran = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
