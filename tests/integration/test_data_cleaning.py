"""`open-r1 data decontaminate` and `dedup` from the command line, on real problems, and the original's script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_r1.text.ngrams import MATHEMATICAL


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_math_train_against_math_500_shows_what_it_found(
    open_r1: Callable[..., Any], real_data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "clean.jsonl"
    ran = open_r1(
        "data", "decontaminate", real_data / "math_train.jsonl", "--against", real_data / "math500.jsonl",
        "--output", output, "--processes", "2",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    hits = read(tmp_path / "clean.hits.jsonl")
    rows = read(real_data / "math_train.jsonl")
    assert f"7474 rows, {len(hits)} of them contain evaluation items" in ran.out
    assert hits and all(hit["coverage"] >= 0.5 for hit in hits)
    assert any("hot-air balloon" in hit["matched"] for hit in hits)
    dropped = {hit["row"] for hit in hits}
    assert read(output) == [row for number, row in enumerate(rows) if number not in dropped]


def test_test_problems_put_into_training_data_are_all_found(
    open_r1: Callable[..., Any], real_data: Path, tmp_path: Path
) -> None:
    items = [row["problem"] for name in ("math500", "aime24") for row in read(real_data / f"{name}.jsonl")]
    rows = [{"messages": [{"role": "user", "content": f"Solve.\n{item}\nThink first."}]} for item in items]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    against = [real_data / "math500.jsonl", real_data / "aime24.jsonl"]
    ran = open_r1("data", "decontaminate", tmp_path / "in.jsonl", "--against", *against, "--json")
    assert ran.status == 0, ran.err
    summary = json.loads(ran.out)
    assert summary["columns"] == ["messages"]
    assert summary["contaminated"] >= 0.99 * len(items)
    assert summary["sets"]["aime24"]["items_found"] == 30


def test_the_original_rule_flags_far_more_on_the_same_data(open_r1: Callable[..., Any], real_data: Path) -> None:
    ran = open_r1(
        "data", "decontaminate", real_data / "math_train.jsonl", "--against", real_data / "math500.jsonl",
        "--rule", "open-r1", "--json",
    )  # fmt: skip
    assert json.loads(ran.out)["contaminated"] == count_plainly(real_data)


def count_plainly(real_data: Path) -> int:
    """The original's rule, written out."""

    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return {tuple(words[start : start + 8]) for start in range(len(words) - 7)}

    known = set().union(*(runs(row["problem"]) for row in read(real_data / "math500.jsonl")))
    return sum(bool(runs(row["problem"]) & known) for row in read(real_data / "math_train.jsonl"))


def test_dedup_of_math_train(open_r1: Callable[..., Any], real_data: Path, tmp_path: Path) -> None:
    ran = open_r1(
        "data", "dedup", real_data / "math_train.jsonl", "--output", tmp_path / "u.jsonl", "--report", tmp_path / "d.jsonl"
    )  # fmt: skip
    assert ran.status == 0, ran.err
    rows = read(real_data / "math_train.jsonl")
    repeats = read(tmp_path / "d.jsonl")
    assert len(read(tmp_path / "u.jsonl")) == len(rows) - len(repeats)
    exact = [(rows[one["row"]], rows[one["duplicate_of"]]) for one in repeats if one["kind"] == "exact"]
    assert exact and all(
        MATHEMATICAL.split(row["answer"]) == MATHEMATICAL.split(first["answer"]) for row, first in exact
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--against", "none.jsonl"], "none.jsonl"),
        (["--against", "set.jsonl", "--columns", "problm"], "did you mean 'problem'"),
        (["--against", "set.jsonl", "--mark"], "say where with --output"),
        (["--against", "set.jsonl", "--output", "in.jsonl"], "is what is read"),
        (["--against", "set.jsonl", "--output", "out.txt"], "end it in .jsonl or .parquet"),
        (["--against", "set.jsonl", "--ngram", "2"], "ngram must be at least 4"),
        (["--against", "set.jsonl", "--processes", "0"], "--processes must be at least 1"),
        (["--against", "set.jsonl", "--rule", "open-r1", "--coverage", "0.3"], "leave one of them out"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(
    open_r1: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in", "set"):
        Path(f"{name}.jsonl").write_text('{"problem": "a problem"}\n')
    ran = open_r1("data", "decontaminate", "in.jsonl", *words)
    assert ran.status == 2
    assert message in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "set.jsonl"]


def test_a_killed_run_leaves_no_half_file_and_no_process(real_data: Path, tmp_path: Path) -> None:
    rows = (real_data / "math_train.jsonl").read_bytes()
    with (tmp_path / "in.jsonl").open("wb") as file:
        for _ in range(40):
            file.write(rows)
    words = [
        sys.executable,
        "-m",
        "open_r1.cli.main",
        "data",
        "decontaminate",
        str(tmp_path / "in.jsonl"),
        "--processes",
        "2",
    ]
    words += ["--against", str(real_data / "math500.jsonl"), "--output", str(tmp_path / "out.jsonl")]
    running = subprocess.Popen(words, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.jsonl.*.partial")) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.kill()
    running.wait(30)
    assert not (tmp_path / "out.jsonl").exists()
    while session_lives(running.pid) and time.monotonic() < deadline + 60:
        time.sleep(0.1)
    assert not session_lives(running.pid)
    assert subprocess.run(words, timeout=300, check=False).returncode == 0
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 40 * (7474 - 8)


def session_lives(session: int) -> bool:
    """Whether a process of the session, which has the number of its first process, is left."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_original_script_works_with_its_flags(real_data: Path, repo: Path, tmp_path: Path) -> None:
    source = tmp_path / "problems.jsonl"
    source.write_bytes((real_data / "math_train.jsonl").read_bytes())
    words = [sys.executable, str(repo / "scripts" / "decontaminate.py"), "--dataset", str(source), "--split", "train"]
    words += ["--ngram_size", "8", "--problem_column", "problem", "--against", str(real_data / "math500.jsonl")]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    marked = read(tmp_path / "problems_decontaminated.jsonl")
    assert sum(row["contaminated_math500"] for row in marked) == 8
    words += ["--cleanup", "--rule", "open-r1", "--new_dataset_name", str(tmp_path / "clean.jsonl")]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert len(read(tmp_path / "clean.jsonl")) == 7474 - count_plainly(real_data)
