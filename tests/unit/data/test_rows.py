"""Chunks of any source hold its rows once, in order, and what is kept is written as it was."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

import open_r1.data.rows as rows_module
from open_r1.data.columns import batch_rows, find_text_columns, read_texts, text_of
from open_r1.data.row_file import RowFile
from open_r1.data.rows import Changes
from open_r1.data.sources import open_rows
from open_r1.errors import ConfigError, DataError

ROWS = [{"id": number, "text": f"row {number} " + "é" * (number % 7)} for number in range(100)]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 200)
    monkeypatch.setattr(rows_module, "BATCH_ROWS", 3)


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def write_source(folder: Path, kind: str) -> str:
    if kind == "lines":
        (folder / "a.jsonl").write_bytes(as_lines(ROWS))
    elif kind == "gzip":
        (folder / "a.jsonl.gz").write_bytes(gzip.compress(as_lines(ROWS)))
        return str(folder / "a.jsonl.gz")
    elif kind == "bzip2":
        (folder / "a.jsonl.bz2").write_bytes(bz2.compress(as_lines(ROWS).rstrip(b"\n")))
        return str(folder / "a.jsonl.bz2")
    elif kind == "several":
        (folder / "1.jsonl").write_bytes(as_lines(ROWS[:30]).rstrip(b"\n"))
        (folder / "2.jsonl").write_bytes(b"\n" + as_lines(ROWS[30:]).replace(b"\n", b"\r\n \n"))
        return str(folder / "*.jsonl")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), folder / "a.parquet", row_group_size=7)
        return str(folder / "a.parquet")
    elif kind == "csv":
        Dataset.from_list(ROWS).to_csv(str(folder / "a.csv"), index=False)
        return str(folder / "a.csv")
    elif kind == "saved":
        Dataset.from_list([*ROWS[::-1]]).select(range(99, -1, -1)).save_to_disk(str(folder / "saved"))
        return str(folder / "saved")
    return str(folder / "a.jsonl")


KINDS = ("lines", "gzip", "bzip2", "several", "parquet", "csv", "saved")


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_hold_every_row_once_and_in_order(tmp_path: Path, kind: str) -> None:
    rows = open_rows(write_source(tmp_path, kind))
    chunks = list(rows.chunks(["text"]))
    assert len(chunks) > 3
    texts = [
        text for chunk in chunks for block in read_texts(pickle.loads(pickle.dumps(chunk)), ["text"]) for text in block
    ]
    assert texts == [row["text"] for row in ROWS]
    assert [row for chunk in rows.chunks(["text"]) for row in chunk.rows()] == ROWS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("marks", [(), ("marked",)])
def test_kept_rows_are_written_as_they_were(tmp_path: Path, kind: str, suffix: str, marks: tuple[str, ...]) -> None:
    rows = open_rows(write_source(tmp_path, kind))
    file, path = io.BytesIO(), Path(f"out{suffix}")
    if suffix == ".parquet" and rows.schema is None:
        with pytest.raises(ConfigError, match="end it in .jsonl"):
            RowFile(file, path, rows, marks)
        return
    output = RowFile(file, path, rows, marks)
    for chunk in rows.chunks(["text"]):
        dropped = frozenset(number for number, row in enumerate(chunk.rows()) if row["id"] % 3 == 0)
        output.write(chunk, Changes(marks={"marked": dropped}) if marks else Changes(dropped))
    output.close()
    written = file.getvalue()
    if suffix == ".parquet":
        found = pq.read_table(io.BytesIO(written)).to_pylist()
    else:
        found = [json.loads(line) for line in written.splitlines()]
    marked = [{**row, "marked": row["id"] % 3 == 0} for row in ROWS]
    assert found == (marked if marks else [row for row in ROWS if row["id"] % 3])


def test_lines_are_copied_byte_for_byte(tmp_path: Path) -> None:
    lines = [b'{"text":  "a\\u00e9", "n": 1.0}', b'\t{"text": "b", "n": NaN} ', '{"text": "é", "x": [1]}'.encode()]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n\n".join(lines))
    rows = open_rows(str(tmp_path / "a.jsonl"))
    file = io.BytesIO()
    output = RowFile(file, Path("o.jsonl"), rows)
    for chunk in rows.chunks(["text"]):
        output.write(chunk, Changes(frozenset([1])))
    assert file.getvalue().splitlines() == [lines[0], lines[2]]


def test_every_row_may_go(tmp_path: Path) -> None:
    rows = open_rows(write_source(tmp_path, "parquet"))
    file = io.BytesIO()
    output = RowFile(file, Path("o.parquet"), rows)
    for chunk in rows.chunks(["text"]):
        output.write(chunk, Changes(frozenset(range(100))))
    output.close()
    table = pq.read_table(io.BytesIO(file.getvalue()))
    assert (table.num_rows, table.column_names) == (0, ["id", "text"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (as_lines(ROWS[:50]) + b'{"text": "x\n' + as_lines(ROWS[50:]), r"a.jsonl:51 is not JSON"),
        (as_lines(ROWS[:50]) + b"\n[1]\n" + as_lines(ROWS[50:]), r"a.jsonl:52 is a list, not an object"),
        (as_lines(ROWS[:50]) + b'{"text": "\xff"}\n', r"a.jsonl:51 is not UTF-8"),
        (as_lines(ROWS[:50]) + b"[" * 5000 + b"\n", r"a.jsonl:51 is not JSON"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(open_rows(str(tmp_path / "a.jsonl")).read(["text"]))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "contains no rows"),
        ("a.jsonl", b"\n \n", "contains no rows"),
        ("a.jsonl.gz", b"not gzip at all", "can't be decompressed"),
        ("a.parquet", b"PAR1 not at all", "can't be read as Parquet"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_rows(str(tmp_path / name))


def test_patterns_without_files_or_of_two_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file matches"):
        open_rows(str(tmp_path / "*.jsonl"))
    write_source(tmp_path, "lines")
    write_source(tmp_path, "parquet")
    with pytest.raises(DataError, match="don't have one known format"):
        open_rows(str(tmp_path / "a.*"))


def test_a_compression_that_can_not_be_streamed_is_read_all_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl.xz").write_bytes(lzma.compress(b'{"problem": "%s"}\n' % name.encode()))
    rows = open_rows(str(tmp_path / "*.jsonl.xz"))
    assert [row["problem"] for chunk in rows.chunks(["problem"]) for row in chunk.rows()] == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (None, ""),
        (3.5, "3.5"),
        (
            [{"role": "user", "content": "q"}, {"role": "assistant", "content": None}, {"content": [{"text": "p"}]}],
            "q\n\np",
        ),
        (["a", ["b"]], "a\nb"),
        ({"answer": 4}, "4"),
    ],
)
def test_the_text_of_a_value(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_a_value_nested_without_end_is_cut(tmp_path: Path) -> None:
    value: Any = "x"
    for _ in range(800):
        value = [value]
    assert text_of(value) == ""


def test_text_columns_are_found_by_name_or_asked_for(tmp_path: Path) -> None:
    rows = open_rows(write_source(tmp_path, "lines"))
    assert find_text_columns(rows, None, "--columns") == ["text"]
    assert find_text_columns(rows, ["id"], "--columns") == ["id"]
    with pytest.raises(DataError, match=r"no column 'tekst'; did you mean 'text'.*--columns"):
        find_text_columns(rows, ["tekst"], "--columns")


def test_texts_are_split_into_batches_that_hold_all() -> None:
    texts = ["a" * 30, "b", "", "c" * 500, "d", ""]
    batches = list(batch_rows(texts, len, 4, 31))
    assert [text for batch in batches for text in batch] == texts
    assert [len(batch) for batch in batches] == [2, 2, 2]
