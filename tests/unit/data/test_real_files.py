"""Files as people have them: names that look like patterns, columns that change, other writers' text, a full cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from open_r1.configs import DatasetMixtureConfig
from open_r1.data.mixtures import mix_shares
from open_r1.data.shards import write_folder
from open_r1.data.sources import load_splits, open_rows
from open_r1.errors import DataError, RunError

TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def trained_on(name: str) -> list[dict[str, Any]]:
    return load_splits(name)["train"].to_list()


@pytest.mark.parametrize("name", ["[final]", "a?b", "a*b", "x::y", "two words", "Übung", "hf:__", "{a,b}", "100%20"])
def test_a_name_that_looks_like_a_pattern_means_itself(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / name / "rows.jsonl", {"a": name})
    for other in ("f", "aXb", "final", "x"):
        write(tmp_path / other / "rows.jsonl", {"a": "another"})
    datasets.Dataset.from_list([{"a": name}]).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "saved").rename(tmp_path / f"saved {name}")
    for source in (file, str(tmp_path / name), f"{tmp_path}/{name}/*.jsonl", str(tmp_path / f"saved {name}")):
        assert trained_on(source) == [{"a": name}]
        assert list(open_rows(source).read()) == [{"a": name}]
        assert list(load_splits(source, streaming=True)["train"]) == [{"a": name}]


def test_files_change_their_columns_from_one_to_the_next(tmp_path: Path) -> None:
    write(tmp_path / "1.jsonl", {"a": None, "m": []}, {"a": 1, "m": []})
    write(tmp_path / "2.jsonl", {"a": "007", "m": [{"role": "user"}], "late": 1.5})
    rows = [
        {"a": None, "m": [], "late": None},
        {"a": "1", "m": [], "late": None},
        {"a": "007", "m": [{"role": "user"}], "late": 1.5},
    ]
    for source in (str(tmp_path), f"{tmp_path}/*.jsonl"):
        assert trained_on(source) == rows
        assert "late" in open_rows(source).columns


def test_a_column_that_begins_after_a_thousand_rows_is_a_column(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", *[{"a": 1}] * 3000, {"a": 1, "late": "x"})
    assert open_rows(source).columns == ("a", "late")


def test_text_of_other_parquet_writers_is_text(tmp_path: Path) -> None:
    kinds = {
        "1": pa.string(),
        "2": pa.large_string(),
        "3": pa.string_view(),
        "4": pa.dictionary(pa.int8(), pa.string()),
    }
    for name, kind in kinds.items():
        pq.write_table(pa.table({"n": [1], "a": pa.array([name]).cast(kind)}), tmp_path / f"{name}.parquet")
    assert [row["a"] for row in trained_on(f"{tmp_path}/*.parquet")] == list("1234")
    assert [row["a"] for row in open_rows(f"{tmp_path}/*.parquet").read()] == list("1234")
    entries = [{"id": f"{tmp_path}/{name}.parquet"} for name in kinds]
    mixed = mix_shares(DatasetMixtureConfig.from_mapping({"datasets": entries}))[0]["train"]
    assert sorted(mixed["a"][:]) == list("1234")


def test_a_short_float_keeps_its_writing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"answer": pa.array([0.1, None], pa.float32())}), tmp_path / "a.parquet")
    assert [str(row["answer"]) for row in trained_on(f"{tmp_path}/a.parquet")] == ["0.1", "None"]
    assert [str(row["answer"]) for row in open_rows(f"{tmp_path}/a.parquet").read()] == ["0.1", "None"]


def test_golds_of_both_kinds_of_numbers_are_as_written(tmp_path: Path) -> None:
    rows = trained_on(write(tmp_path / "a.jsonl", *[{"answer": 4, "n": 1}] * 1500, {"answer": 2.5, "n": 2.5}))
    assert (rows[0], rows[-1]) == ({"answer": "4", "n": 1.0}, {"answer": "2.5", "n": 2.5})


def test_chats_with_other_keys_or_another_order_of_keys_mix(tmp_path: Path) -> None:
    swapped = [{"content": turn["content"], "extra": 1, "role": turn["role"]} for turn in TURNS]
    parts = [[{**turn, "content": [{"type": "text", "text": "q"}]} for turn in TURNS[:1]] + TURNS[1:]]
    table = pa.table({"messages": pa.array([TURNS], pa.large_list(pa.struct({"content": pa.large_string(),
                                                                            "role": pa.string_view()})))})  # fmt: skip
    pq.write_table(table, tmp_path / "c.parquet")
    sources = [write(tmp_path / "a.jsonl", {"messages": TURNS}), write(tmp_path / "b.jsonl", {"messages": swapped}),
               f"{tmp_path}/c.parquet", write(tmp_path / "d.jsonl", {"messages": parts[0]})]  # fmt: skip
    for number in (3, 4):
        entries = [{"id": source} for source in sources[:number]]
        mixed = mix_shares(DatasetMixtureConfig.from_mapping({"datasets": entries}))[0]["train"]
        assert len(mixed) == number
        assert all([turn["role"] for turn in chat] == ["user", "assistant"] for chat in mixed["messages"])
        assert all(chat[1]["content"] == "a" for chat in mixed["messages"])


def test_a_folder_is_read_by_its_card_or_by_the_names_of_its_files(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train-0.jsonl", {"a": 1})
    write(tmp_path / "data" / "test.jsonl", {"a": 2})
    write(tmp_path / "data" / "extra.jsonl", {"a": 3})
    (tmp_path / "done.json").write_text("{}")
    assert {name: rows["a"][:] for name, rows in load_splits(str(tmp_path)).items()} == {"train": [3, 1], "test": [2]}
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: one\n  data_files:\n  - {split: train, path: data/train-*}\n"
        "- config_name: two\n  data_files: data/extra.jsonl\n---\n# A card\n"
    )
    assert load_splits(str(tmp_path))["train"]["a"][:] == [1]
    assert load_splits(str(tmp_path), "two")["train"]["a"][:] == [3]
    assert [row["a"] for row in open_rows(str(tmp_path), "two").read()] == [3]
    with pytest.raises(DataError, match="no configuration 'three'; its README.md has: one, two"):
        open_rows(str(tmp_path), "three")


def test_a_cache_that_cannot_be_written_is_named_and_not_the_data(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "full").touch()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "full" / "cache")
    with pytest.raises(RunError, match=r"the cache of data sets, '.*full/cache', can't be written.*HF_DATASETS_CACHE"):
        load_splits(write(tmp_path / "a.jsonl", {"a": 1}))


def test_published_rows_do_not_name_the_servers_that_wrote_them(tmp_path: Path) -> None:
    trace = {"completion": "a", "endpoint": "http://10.0.0.7:8000", "request_samples": 1}
    source = write(tmp_path / "traces.jsonl", trace)
    write_folder(tmp_path / "out", load_splits(source), [], "set")
    assert trained_on(str(tmp_path / "out")) == [{"completion": "a", "request_samples": 1}]
    assert "endpoint" not in (tmp_path / "out" / "README.md").read_text()
    own = write(tmp_path / "own.jsonl", {"endpoint": "a city"})
    write_folder(tmp_path / "own", load_splits(own), [], "set")
    assert trained_on(str(tmp_path / "own")) == [{"endpoint": "a city"}]


def test_an_object_without_keys_is_kept_and_can_be_published(tmp_path: Path) -> None:
    rows = [{"a": {}, "b": [{"c": {}}]}, {"a": None, "b": []}]
    source = write(tmp_path / "a.jsonl", *rows)
    assert trained_on(source) == rows
    write_folder(tmp_path / "out", load_splits(source), [], "set")
    assert list(open_rows(str(tmp_path / "out")).read()) == rows


def test_numbers_mix_with_text_as_their_file_has_them(tmp_path: Path) -> None:
    """Golds of one set are numbers, of another text: a mixture has both as written."""
    golds: list[list[Any]] = [["0.7", "x+1"], [12, 2**60 + 1], [0.7, 1.0], [None, 4]]
    for number, column in enumerate(golds):
        rows = [json.dumps({"problem": "p", "solution": gold}) for gold in column]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(rows))
    pq.write_table(pa.table({"problem": ["p"], "solution": pa.array([0.1], pa.float32())}), tmp_path / "4.parquet")
    names = [*(f"{number}.jsonl" for number in range(4)), "4.parquet"]
    mixture = DatasetMixtureConfig.from_mapping({"datasets": [{"id": str(tmp_path / name)} for name in names]})
    golds_read = mix_shares(mixture)[0]["train"]["solution"]
    assert sorted(map(str, golds_read)) == sorted(
        ["0.7", "x+1", "12", "1152921504606846977", "0.7", "1.0", "None", "4", "0.1"]
    )
    assert {type(gold) for gold in golds_read} == {str, type(None)}


def test_whole_and_broken_golds_of_two_sets_are_as_written(tmp_path: Path) -> None:
    sources = [write(tmp_path / "a.jsonl", {"answer": 4}), write(tmp_path / "b.jsonl", {"answer": 2.5})]
    mixture = DatasetMixtureConfig.from_mapping({"datasets": [{"id": source} for source in sources]})
    assert sorted(mix_shares(mixture)[0]["train"]["answer"]) == ["2.5", "4"]
