"""A folder that can't be written to and a disk that is full are the user's to fix, and one sentence says so."""

from __future__ import annotations

import argparse
import errno
import json
import os
from pathlib import Path

import pytest

from open_r1.cli.main import main, run_parsed

VERBS = {
    "dedup": ("rows.jsonl", "--output", "unique.jsonl"),
    "mix": ("mix.yaml", "--output_dir", "mixed"),
    "select": ("rows.jsonl", "--output", "kept.jsonl"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    row = {"problem": "What is one plus one?", "solution": "2", "completion": "2", "messages": []}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "mix.yaml").write_text(
        "dataset_mixture: {datasets: [{id: rows.jsonl, columns: [problem, solution]}]}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("verb", VERBS)
def test_an_output_below_a_file_is_refused_in_one_sentence(
    folder: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, option, name = VERBS[verb]
    assert main(["data", verb, source, option, f"rows.jsonl/{name}"]) in (1, 2)
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("open-r1: ") and "rows.jsonl" in said[-1]
    assert not [line for line in said if "Traceback" in line]


@pytest.mark.parametrize("verb", ["dedup", "mix"])
def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing(
    folder: Path, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source, option, name = VERBS[verb]
    before = sorted(folder.iterdir())
    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(os, "fsync", full)
    assert main(["data", verb, source, option, name]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("open-r1: ") and "free some space" in said
    assert verb == "mix" or sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "choose a place that you may write to"),
        (errno.EACCES, "choose a place that you may write to"),
        (errno.ENOTDIR, "choose another place"),
    ],
)
def test_trouble_with_a_place_ends_with_what_to_do(
    number: int, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> int:
        raise OSError(number, os.strerror(number), "/some/place")

    assert run_parsed(argparse.Namespace(run=run, output_dir=Path("out"))) == 1
    said = capsys.readouterr().err
    assert "/some/place" in said and remedy in said and "Traceback" not in said


def test_any_other_fault_of_the_system_s_is_ours_to_see() -> None:
    def run(_: object) -> int:
        raise OSError(errno.EBADF, "Bad file descriptor")

    with pytest.raises(OSError, match="Bad file"):
        run_parsed(argparse.Namespace(run=run))
