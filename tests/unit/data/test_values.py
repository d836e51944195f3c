"""Numbers and text stay what the file says, on every way in."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.data.problems import ProblemSet, ProblemSource, read_problem_file
from open_r1.data.sources import load_splits, open_rows
from open_r1.data.values import LongInteger, as_text, dump, dump_row, load, load_leniently, read_cell
from open_r1.errors import DataError

LONG = 123456789012345678901234567891
PRECISE = "0.12345678901234567890123"
LINE = f'{{"prompt":"q","answer":{LONG},"share":{PRECISE},"when":"2024-01-01","n":1.5}}'

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)  # fmt: skip


@given(JSON)
def test_what_is_read_is_written_back(value: Any) -> None:
    text = json.dumps(value)
    assert json.loads(dump(load(text.encode()))) == value
    assert load_leniently(text) == value


def test_numbers_of_any_length_are_written_as_they_were() -> None:
    row = load(LINE.encode())
    assert dump_row(row) == LINE.encode()
    assert dump_row(pickle.loads(pickle.dumps(row))) == LINE.encode()
    assert (str(row["answer"]), str(row["share"])) == (str(LONG), PRECISE)
    assert row["answer"] == LONG
    assert row["share"] == pytest.approx(float(PRECISE))


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 10**17, 10**18 + 1])
def test_integers_around_64_bits_are_exact(number: int) -> None:
    assert load(b'{"a": %d}' % number) == {"a": number}
    assert dump(load(b'{"a": %d}' % number)) == b'{"a":%d}' % number


@pytest.mark.parametrize("digits", range(14, 20))
def test_decimals_keep_all_their_digits(digits: int) -> None:
    text = b'{"a":0.%s}' % (b"1234567890123456789"[:digits])
    assert dump(load(text)) == text


def test_what_json_lacks_is_refused_by_dump_and_written_as_text_by_dump_row() -> None:
    with pytest.raises(TypeError):
        dump({"a": {1}})
    assert json.loads(dump_row({"a": {1}, "b": "\ud800"})) == {"a": "{1}", "b": "?"}
    assert dump({"a": float("nan")}) == b'{"a":null}'


@pytest.mark.parametrize(
    ("cell", "value"),
    [("", None), ("7", 7), ("-3", -3), ("007", "007"), ("1.5", 1.5), ("1.50", "1.50"), ("1e5", "1e5"), ("nan", "nan"),
     ("inf", "inf"), ("True", True), ("true", "true"), ("NA", "NA"), (" 5", " 5"), ("1_000", "1_000"), (str(LONG), LONG),
     ("2024-01-01", "2024-01-01"), ("9" * 5000, "9" * 5000)],
)  # fmt: skip
def test_a_cell_is_a_number_only_where_that_loses_nothing(cell: str, value: Any) -> None:
    assert read_cell(cell) == value
    assert type(read_cell(cell)) in (type(value), type(read_cell(str(LONG))))


@given(st.text())
def test_any_cell_can_be_written_back(cell: str) -> None:
    value = read_cell(cell)
    assert ("" if value is None else str(value)) == cell


@pytest.mark.parametrize(("value", "text"), [(None, None), ("a", "a"), (True, "true"), (1.5, "1.5"), (4, "4")])
def test_a_value_as_text_is_what_json_says(value: Any, text: str | None) -> None:
    assert as_text(value) == text


def write(folder: Path, suffix: str) -> Path:
    row = json.loads(LINE) | {"share": None}
    path = folder / f"rows{suffix}"
    if suffix == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["prompt", "answer", "when", "n"], ["q", str(LONG), "2024-01-01", "1.50"]])
    elif suffix == ".json":
        path.write_text(json.dumps([row]))
    elif suffix == "":
        path.mkdir()
        (path / "train.jsonl").write_text(LINE + "\n")
    else:
        path.write_text(LINE + "\n")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".json", ""])
def test_golds_and_dates_stay_whole_on_every_way_in(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix)
    (row,) = open_rows(str(path)).read()
    assert (str(row["answer"]), row["when"]) == (str(LONG), "2024-01-01")
    (row,) = load_splits(str(path))["train"]
    assert (row["answer"], row["when"]) == (str(LONG), "2024-01-01")
    (row,) = load_splits(str(path), streaming=True)["train"]
    assert (str(row["answer"]), row["when"]) == (str(LONG), "2024-01-01")
    (problem,) = ProblemSet(ProblemSource(str(path)))
    assert str(problem.columns["answer"]) == str(LONG)
    (record,) = read_problem_file(str(path))
    assert record.gold == str(LONG)


def table(tmp_path: Path, *rows: dict[str, Any]) -> Any:
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_splits(str(tmp_path / "t.jsonl"))["train"]


def test_a_column_of_text_and_numbers_is_text_as_written(tmp_path: Path) -> None:
    rows = table(tmp_path, {"gold": 4}, {"gold": "x"}, {"gold": None}, {"gold": 2.5}, {"gold": True})
    assert rows["gold"][:] == ["4", "x", None, "2.5", "true"]


def test_a_column_of_both_kinds_of_numbers_is_of_floats_unless_that_loses_digits(tmp_path: Path) -> None:
    assert table(tmp_path, {"gold": 4}, {"gold": 2.5})["gold"][:] == [4.0, 2.5]
    assert table(tmp_path, {"gold": 2**60 + 1}, {"gold": 2.5})["gold"][:] == [str(2**60 + 1), "2.5"]


def test_columns_that_only_some_rows_have_are_null_in_the_others(tmp_path: Path) -> None:
    rows = table(tmp_path, {"a": 1, "deep": [{"x": 1}]}, {"b": "t", "deep": [{"y": "z"}]})
    assert rows.column_names == ["a", "deep", "b"]
    assert rows.to_list() == [
        {"a": 1, "deep": [{"x": 1, "y": None}], "b": None},
        {"a": None, "deep": [{"x": None, "y": "z"}], "b": "t"},
    ]


@pytest.mark.parametrize(
    "rows",
    [
        [{"a": [1]}, {"a": "x"}],
        [{"a": [1, "x"]}],
        [{"a": {"b": [1]}}, {"a": {"b": "x"}}, {"a": None}],
        [*[{"a": [1]}] * 2000, {"a": [{"b": 1}]}],
        [{"a": None}, {"a": 100000000000008.0}, {"a": []}],
    ],
)
def test_a_column_without_one_type_keeps_every_value(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    assert table(tmp_path, *rows).to_list() == rows


@pytest.mark.parametrize("number", [2**70, 0.12345678901234567])
def test_digits_that_json_columns_of_datasets_lose_are_refused(tmp_path: Path, number: float) -> None:
    with pytest.raises(DataError, match="digits would be lost"):
        table(tmp_path, {"a": [number]}, {"a": "x"})


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    assert len(table(tmp_path, {"a": 1})) == 1
    assert len(table(tmp_path, {"a": 1}, {"a": 2})) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "x,y\n1,2,3\n", r"a.csv:2 has more cells than there are columns"),
        ("a.csv", "x,y,x\n1,2,3\n", "has two columns 'x'"),
        ("a.json", "[1]", "item 1 of .* is a int, not an object"),
        ("a.json", '[{"a": 1}', "is not JSON"),
        ("a.json", "[]", "contains no rows"),
        ("a.csv", "x,y\n", "contains no rows"),
    ],
)
def test_broken_text_files_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        load_splits(str(tmp_path / name))


def test_a_cell_may_be_longer_than_a_page_and_contain_lines(tmp_path: Path) -> None:
    text = "line\n" * 50_000
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text", "n"], *([text, number] for number in range(2500))][:4])
    rows = load_splits(str(tmp_path / "a.csv"))["train"]
    assert (rows["text"][2], rows["n"][:]) == (text, [0, 1, 2])


@pytest.mark.parametrize("text", ["9223372036854775808", "18446744073709551615", "-9223372036854775809", "1" * 40])
def test_integers_beyond_64_bits_are_known_as_such_however_deep(text: str) -> None:
    line = f'{{"a":[{{"b":{text}}}]}}'.encode()
    value = load(line)
    assert type(value["a"][0]["b"]) is LongInteger and str(value["a"][0]["b"]) == text
    assert dump(value) == line
