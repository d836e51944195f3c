"""JSON-lines files: whole lines whatever happens, and each line is one row."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.errors import RunError
from open_r1.rundir.jsonl import (
    BLOCK_BYTES,
    Line,
    LineAppender,
    append_line,
    encode_row,
    index_rows,
    iter_lines,
    iter_rows,
    read_jsonl,
    read_row,
    write_jsonl,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('a\n\r\u2028\u0085"\\é😀', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=3),
    max_leaves=8,
)
WHOLE = b'{"a": 1}\n{"b": 2}\n'


@given(st.lists(st.fixed_dictionaries({"more": JSON}), max_size=5))
def test_rows_are_read_back_as_they_were_written(tmp_path_factory: Any, rows: list[Any]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_jsonl(path, rows)
    assert read_jsonl(path) == rows


@given(st.lists(st.binary(max_size=8)), st.integers(0, 60))
def test_lines_split_at_newlines_alone_and_know_their_places(lines: list[bytes], end: int) -> None:
    content = b"\n".join(lines)
    found = list(iter_lines(io.BytesIO(content)))
    assert b"".join(line.content for line in found) == content
    assert all(content[line.start :].startswith(line.content) for line in found)
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    assert all(b"\n" not in line.content[:-1] for line in found)
    assert list(iter_lines(io.BytesIO(content), end)) == [line for line in found if line.start < end]


def test_lines_count_from_the_current_position() -> None:
    file = io.BytesIO(b"one\ntwo\nthree")
    file.seek(4)
    assert list(iter_lines(file)) == [Line(1, 4, b"two\n"), Line(2, 8, b"three")]


def test_a_row_is_found_by_its_key_and_the_first_of_a_key_counts(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": "a", "n": 1}\n{"id": "b", "n": 2}\n{"id": "a", "n": 3}\n{"n": 4}\n{"id": "to')
    places = index_rows(path, lambda row: row.get("id"))
    with path.open("rb") as file:
        assert {key: read_row(file, place)["n"] for key, place in places.items()} == {"a": 1, "b": 2}


def test_rows_know_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(WHOLE)
    assert list(iter_rows(path)) == [(1, 0, {"a": 1}), (2, 9, {"b": 2})]


@pytest.mark.parametrize("broken", [b'{"ste', b"", b"[" * 100_000, b"\xff"])
def test_a_broken_line_is_left_out_only_at_the_end(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(WHOLE + broken)
    assert read_jsonl(path) == [{"a": 1}, {"b": 2}]
    path.write_bytes(WHOLE + broken + b"\n" + WHOLE)
    with pytest.raises(RunError, match=r"metrics.jsonl:3 is not JSON"):
        read_jsonl(path)


@pytest.mark.parametrize("make", ["link", "pipe", "folder"])
def test_what_is_not_a_regular_file_is_not_read(tmp_path: Path, make: str) -> None:
    path = tmp_path / "metrics.jsonl"
    (tmp_path / "elsewhere").write_bytes(WHOLE)
    {
        "link": lambda: path.symlink_to(tmp_path / "elsewhere"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[make]()
    with pytest.raises(OSError, match="symbolic links|regular"):
        read_jsonl(path)


def test_nothing_is_appended_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(WHOLE)
    (tmp_path / "log.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"):
        append_line(tmp_path / "log.jsonl", {"c": 3})
    with pytest.raises(RunError, match="is a link"):
        LineAppender(tmp_path / "log.jsonl")
    assert (tmp_path / "elsewhere").read_bytes() == WHOLE


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_appending_to_a_full_device_is_a_run_error() -> None:
    with pytest.raises(RunError, match="disk is full"):
        append_line(Path("/dev/full"), {"step": 1})


def test_half_a_surrogate_pair_does_not_stop_a_run() -> None:
    assert json.loads(encode_row({"text": "a\ud800"})) == {"text": "a?"}


@pytest.mark.parametrize("length", range(len(WHOLE) + 1))
def test_a_file_cut_anywhere_keeps_its_whole_lines(tmp_path: Path, length: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(WHOLE[:length])
    file = LineAppender(path)
    first, both = length >= 8, length >= 17
    kept = WHOLE[:9] * first + WHOLE[9:] * both
    assert path.read_bytes() == kept and file.size == len(kept)
    assert file.cut == max(0, length - len(kept))
    file.add(b'{"c": 3}\n')
    assert path.read_bytes() == kept
    file.flush()
    assert path.read_bytes() == kept + b'{"c": 3}\n'
    assert [line.number for line in file.iter_lines()] == list(range(1, 2 + first + both))
    file.close()


def test_reading_what_is_there_stops_before_lines_added_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(WHOLE)
    file = LineAppender(path)
    lines = file.iter_lines()
    assert next(lines).content == b'{"a": 1}\n'
    append_line(path, {"c": 3})
    assert [line.content for line in lines] == [b'{"b": 2}\n']


@pytest.mark.parametrize("tail", [b"\0" * 4096, b'{"c": "' + b"y" * (2 * BLOCK_BYTES)])
def test_what_a_power_cut_leaves_after_the_last_line_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(WHOLE + tail)
    file = LineAppender(path)
    assert file.cut == len(tail)
    assert path.read_bytes() == WHOLE


def test_a_full_disk_leaves_whole_lines_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(WHOLE)
    file, real = LineAppender(path), os.write

    def write_half_then_fail(descriptor: int, data: bytes) -> int:
        if len(data) < 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(data)[:-4])

    monkeypatch.setattr(os, "write", write_half_then_fail)
    file.add(b'{"c": 3}\n')
    with pytest.raises(RunError, match="the disk is full"):
        file.flush()
    assert path.read_bytes() == WHOLE
