"""What the command line says goes to the right stream, in one line, without anything that a terminal acts upon."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from open_r1.cli import console
from open_r1.cli.main import main, quieten_libraries

TOKEN = "hf_abcdefghijklmnop"
ESCAPES = "\x1b[31mred\x1b[0m \x07 \x9b2J \u202eturned \x7f"


def test_notices_go_to_stderr_and_results_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    console.tell("a notice")
    console.show("a result")
    assert capsys.readouterr() == ("a result\n", "a notice\n")


def test_only_the_first_process_of_a_launch_speaks(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    console.tell("a notice")
    monkeypatch.setenv("RANK", "0")
    console.tell("another")
    assert capsys.readouterr().err == "another\n"


@pytest.mark.parametrize("say", [console.tell, console.show, lambda text: console.fail(text, 1)])
def test_control_characters_never_reach_the_terminal(say, capsys: pytest.CaptureFixture[str]) -> None:
    say(ESCAPES)
    said = "".join(capsys.readouterr())
    assert "red" in said
    assert not any(mark in said for mark in "\x1b\x07\x9b\u202e\x7f")


def test_json_keeps_every_value_and_shows_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"text": ESCAPES, "é": [1, None, "数", "\U0001f600", "\U000e0041"]}
    console.show_json(value)
    said = capsys.readouterr().out
    assert json.loads(said) == value
    assert "数" in said
    assert not any(mark in said for mark in "\x1b\x07\x9b\u202e\x7f\U000e0041")


def test_an_error_is_one_line_and_its_status_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.fail("first\n   second\n", 3) == 3
    assert capsys.readouterr().err == "open-r1: first second\n"


def test_a_table_aligns_numbers_to_the_right_and_words_to_the_left() -> None:
    rows = [("a", 1, None), ("longer", 12345, 2.5)]
    assert console.table(rows, ("name", "n", "x")).splitlines() == [
        "name         n    x",
        "a            1    -",
        "longer  12,345  2.5",
    ]
    assert console.table([("a", "b")], indent=2) == "  a  b"
    assert console.table([], ("name", "n")) == "name  n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90061, "25 h 1 min"),
        (200_000, "2 days 7 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert console.duration(seconds) == words


def test_a_count_tells_share_rate_and_time_left() -> None:
    assert console.count_line(1200, 4000, "rows", 3.0) == "1,200 of 4,000 rows (30.0 %), 400.0/s, 7 s left"
    assert console.count_line(4000, 4000, "rows", 10.0) == "4,000 of 4,000 rows (100.0 %), 400.0/s"
    assert console.count_line(0, 4000, "rows", 10.0) == "0 of 4,000 rows (0.0 %), 0.0/s"
    assert console.count_line(1200, None, "rows", 3.0) == "1,200 rows, 400.0/s"
    assert console.count_line(0, 0, "rows", 1.0) == "0 of 0 rows (0.0 %), 0.0/s"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal:
    def __init__(self) -> None:
        self.written = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.written += text

    def flush(self) -> None:
        pass


def test_progress_in_a_log_is_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with console.ProgressLine(clock=clock) as progress:
        shows = progress.counting("rows")
        for clock.now in (0, 5, 9.9, 10, 11, 19, 20, 25):
            shows(int(clock.now), 100)
    assert capsys.readouterr().err.splitlines() == [
        "10 of 100 rows (10.0 %), 1.0/s, 1 min 30 s left",
        "20 of 100 rows (20.0 %), 1.0/s, 1 min 20 s left",
    ]


def test_progress_on_a_terminal_is_one_line_that_is_gone_at_the_end(monkeypatch) -> None:
    terminal, clock = Terminal(), Clock()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    with console.ProgressLine(clock=clock) as progress:
        for clock.now in (0.1, 0.5, 0.6, 1.0):
            progress.show(f"at {clock.now} \x1b[2J" + "x" * 80)
    assert terminal.written == "\r\x1b[Kat 0.5 ␛[2Jxxxxxxxx\r\x1b[Kat 1.0 ␛[2Jxxxxxxxx\r\x1b[K"


def test_the_command_is_quoted_to_be_given_again(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/open-r1", "run", "my file.yaml"])
    assert console.command_line() == "open-r1 run 'my file.yaml'"


def test_log_lines_and_tracebacks_carry_no_control_characters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back at the end
    quieten_libraries()
    logging.getLogger("open_r1.net").warning("the server said %s", "\x1b[2J\u202eevil\x07")
    try:
        raise ValueError("\x1b]0;owned\x07")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert "WARNING: the server said ␛[2J<U+202E>evil␇" in said
    assert "ValueError: ␛]0;owned␇" in said
    assert not set("\x1b\x07\u202e") & set(said)


@pytest.mark.parametrize("change", [f"sft.overrides.hub_tokn={TOKEN}", f"sft.model=https://me:{TOKEN}@host/x"])
def test_a_dry_run_of_a_pipeline_shows_no_token(change: str, repo: Path, tmp_path: Path, capsys: Any) -> None:
    recipe = str(repo / "recipes" / "tiny" / "pipeline.yaml")
    main(["run", recipe, "--dry-run", "--output_dir", str(tmp_path), "--set", change])
    said = capsys.readouterr()
    assert said.out or "hub_tok" in said.err or "host" in said.err
    assert TOKEN not in said.out + said.err
