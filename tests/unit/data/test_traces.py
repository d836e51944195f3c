"""The file of traces: whole lines whatever happens."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.data.traces import TraceHead, read_heads, to_line
from open_r1.errors import DataError, RunError
from open_r1.rundir import LineAppender


def row(problem_id: str = "p", sample: int = 0, **more: Any) -> dict[str, Any]:
    head = {"problem_id": problem_id, "sample": sample, "prompt_tokens": 3, "completion_tokens": None}
    return head | {"finish_reason": "stop", "completion": "x"} | more


def line_of(problem_id: str, sample: int = 0, **more: Any) -> bytes:
    return to_line(row(problem_id, sample, **more), {})


def write(path: Path, *lines: bytes) -> LineAppender:
    path.write_bytes(b"".join(lines))
    return LineAppender(path)


def heads_of(file: LineAppender) -> list[TraceHead]:
    return [head for _, head in read_heads(file.path)]


def test_lines_are_in_the_file_as_soon_as_they_are_flushed(tmp_path: Path) -> None:
    file = LineAppender(tmp_path / "t.jsonl")
    file.add(line_of("a"))
    file.add(line_of("b", 1))
    assert (tmp_path / "t.jsonl").read_bytes() == b""
    file.flush()
    assert [(head.problem_id, head.sample) for head in heads_of(file)] == [("a", 0), ("b", 1)]
    file.close()


WHOLE = line_of("a") + line_of("b")


@pytest.mark.parametrize("length", range(len(WHOLE) + 1))
def test_a_file_cut_anywhere_keeps_its_whole_lines(tmp_path: Path, length: int) -> None:
    file = write(tmp_path / "t.jsonl", WHOLE[:length])
    kept = [head.problem_id for head in heads_of(file)]
    file.add(line_of("c"))
    file.flush()
    first = len(line_of("a"))
    assert kept == ["a"] * (length >= first - 1) + ["b"] * (length >= len(WHOLE) - 1)
    assert [json.loads(line)["problem_id"] for line in (tmp_path / "t.jsonl").read_bytes().splitlines()] == [
        *kept,
        "c",
    ]


def test_a_broken_line_elsewhere_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "t.jsonl", b'{"half\n', WHOLE)
    with pytest.raises(RunError, match=r"t.jsonl:1 is not a trace"):
        list(heads_of(file))


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, st.integers(0, 99), TEXT, st.none() | st.integers(0, 2**40))
def test_a_head_is_read_back_as_it_was_written(problem_id: str, sample: int, text: str, tokens: int | None) -> None:
    line = to_line(row(problem_id, sample, completion=text) | {"completion_tokens": tokens}, {"x": text})
    assert line.count(b"\n") == 1
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder) / "t.jsonl", line)
        assert heads_of(file) == [TraceHead(problem_id, sample, 3, tokens, "stop")]
    assert json.loads(line)["x"] == text


def test_a_line_that_another_writer_spaced_is_read_too(tmp_path: Path) -> None:
    lines = [json.dumps(one).encode() + b"\n" for one in (row("a", 2), {"x": 1} | row("a", 2))]
    assert [head.sample for head in heads_of(write(tmp_path / "t.jsonl", *lines))] == [2, 2]


def test_columns_keep_their_values_and_ours_their_names() -> None:
    import datetime

    columns = {
        "seed": 5,
        "nan": float("nan"),
        "when": datetime.date(2026, 1, 2),
        "deep": {"a": [1, None]},
        "text": "\u2028\x00",
    }
    line = to_line(row(seed=9), columns)
    read = json.loads(line)
    assert (read["seed"], read["source_seed"], read["nan"], read["when"]) == (9, 5, None, "2026-01-02")
    assert read["deep"] == {"a": [1, None]}
    assert read["text"] == "\u2028\x00"


def test_columns_that_json_cannot_hold_are_named_with_the_remedy() -> None:
    with pytest.raises(DataError, match="--columns"):
        to_line(row(), {"image": b"\x89PNG"})
