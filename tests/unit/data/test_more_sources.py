"""Patterns, compressed files, streams, renamed columns, generators, revisions of the Hub, budgets of tokens."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
import zstandard

from open_r1.configs import DatasetMixtureConfig
from open_r1.data.mixtures import mix_shares
from open_r1.data.sources import load_splits
from open_r1.errors import ConfigError, DataError

ROWS = [{"problem": f"p{i}", "solution": str(i)} for i in range(10)]
needs_gym = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None, reason="reasoning-gym isn't installed: pip install '.[gym]'"
)


def lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def train(name: str, **options: Any) -> Any:
    return load_splits(name, None, "train", **options)["train"]


def test_a_pattern_reads_its_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        (tmp_path / f"shard-{number:03}.jsonl").write_bytes(lines([{"n": number}]))
    assert train(f"{tmp_path}/shard-*.jsonl")["n"][:] == [1, 2, 10]


def test_a_pattern_without_files_or_of_several_kinds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file matches"):
        train(f"{tmp_path}/*.jsonl")
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS))
    (tmp_path / "b.csv").write_text("problem\n1\n", encoding="utf-8")
    with pytest.raises(DataError, match="don't have one known format"):
        train(f"{tmp_path}/*")


def test_the_broken_one_of_many_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS))
    (tmp_path / "b.jsonl").write_bytes(lines(ROWS) + b"{broken\n")
    with pytest.raises(DataError, match=r"b\.jsonl:11 is not JSON"):
        train(f"{tmp_path}/*.jsonl")


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard.compress)],
)
def test_compressed_lines_are_read_and_their_faults_found(tmp_path: Path, suffix: str, pack: Any) -> None:
    path = tmp_path / f"data.jsonl{suffix}"
    path.write_bytes(pack(lines(ROWS)))
    assert train(str(path)).to_list() == ROWS
    path = tmp_path / f"broken.jsonl{suffix}"
    path.write_bytes(pack(lines(ROWS[:2]) + b"[1]\n"))
    with pytest.raises(DataError, match=r"broken\.jsonl.*:3 is a list, not an object"):
        train(str(path))


def test_a_stream_gives_the_same_rows_as_a_table(tmp_path: Path) -> None:
    from datasets import Dataset

    (tmp_path / "a.jsonl").write_bytes(lines(ROWS))
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    for name in (f"{tmp_path}/a.jsonl", f"{tmp_path}/*.jsonl", f"{tmp_path}/saved"):
        assert list(train(name, streaming=True)) == ROWS
    assert list(train("tasks:sums?n=5", streaming=True)) == train("tasks:sums?n=5").to_list()


def test_tasks_are_drawn_by_name(tmp_path: Path) -> None:
    rows = train("tasks:linear_equation?level=2&n=50&seed=1")
    assert (len(rows), set(rows["difficulty"])) == (50, {2.0})
    assert rows.to_list() == train("tasks:linear_equations?level=2&n=50&seed=1").to_list()
    assert rows.to_list() != train("tasks:linear_equation?level=2&n=50&seed=2").to_list()
    assert not set(rows["prompt"]) & set(train("tasks:linear_equation?level=2&n=50&seed=1&split=held_out")["prompt"])
    assert set(train("tasks:linear_equation?level=1-2&n=50")["difficulty"]) == {1.0, 2.0}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tasks:linear_equatoin", "did you mean 'linear_equations'"),
        ("tasks:sums?levels=2", "unknown option 'levels'; did you mean 'level'"),
        ("tasks:sums?n=many", "n=many, which is not a whole number"),
        ("tasks:sums?level=two", "neither a number nor a range"),
        ("tasks:sums?split=test", "asks for the split 'test'"),
        ("tasks:sums?n", "not of the form NAME"),
        ("tasks:sums?n=999999999999999999999", "from 0 to 10,000,000"),
    ],
)
def test_what_no_generator_makes_is_refused(name: str, message: str) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        train(name)


@needs_gym
def test_reasoning_gym_is_drawn_with_what_its_scorer_needs() -> None:
    import reasoning_gym

    rows = train("reasoning_gym:chain_sum?size=5&seed=3&min_terms=4&max_terms=4")
    assert len(rows) == 5
    for row in rows:
        wanted = json.loads(row["reasoning_gym"])
        score = reasoning_gym.get_score_answer_fn(wanted["task"])
        assert score(row["solution"], wanted["entry"]) == 1.0
    assert rows.to_list() == train("reasoning_gym:chain_sum?size=5&seed=3&min_terms=4&max_terms=4").to_list()


@needs_gym
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reasoning_gym:chain_sums", "did you mean 'chain_sum'"),
        ("reasoning_gym:chain_sum?min_term=3", "did you mean 'min_terms'"),
        ("reasoning_gym:chain_sum?min_terms=three", "not a JSON value"),
        ("reasoning_gym:chain_sum?min_terms=-1", "refuses"),
    ],
)
def test_what_reasoning_gym_can_not_make_is_refused(name: str, message: str) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        train(name)


def test_columns_are_renamed_by_the_mixture(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS))
    (tmp_path / "b.jsonl").write_bytes(lines([{"question": "q", "answer": "a", "extra": 1}]))
    mixture = DatasetMixtureConfig.from_mapping(
        {
            "datasets": [
                {"id": f"{tmp_path}/a.jsonl", "columns": ["problem", "solution"], "weight": 0.5},
                {
                    "id": f"{tmp_path}/b.jsonl",
                    "columns": ["problem", "solution"],
                    "column_map": {"question": "problem", "answer": "solution"},
                },
            ]
        }
    )
    rows = mix_shares(mixture)[0]["train"]
    assert rows.column_names == ["problem", "solution"]
    assert len(rows) == 6
    assert rows.info.description == (
        f"mixture of 6 rows (seed 0): 5 of 10 rows of {tmp_path}/a.jsonl, weight 0.5; 1 of 1 rows of {tmp_path}/b.jsonl"
    )


@pytest.mark.parametrize(
    ("column_map", "message"),
    [({"problems": "x"}, "did you mean 'problem'"), ({"problem": "solution"}, "two columns 'solution'")],
)
def test_a_renaming_that_can_not_be_is_refused(tmp_path: Path, column_map: dict[str, str], message: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS))
    mixture = {"datasets": [{"id": f"{tmp_path}/a.jsonl", "column_map": column_map}]}
    with pytest.raises(DataError, match=message):
        mix_shares(DatasetMixtureConfig.from_mapping(mixture))


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """One token a word."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    (tmp_path / "model").mkdir()
    words.save(str(tmp_path / "model" / "tokenizer.json"))
    return tmp_path / "model"


def test_a_budget_of_tokens_is_shared_by_weight(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "short.jsonl").write_bytes(lines([{"text": "one two"}] * 1000))
    (tmp_path / "long.jsonl").write_bytes(lines([{"text": "word " * 50}] * 1000))
    entries = [{"id": f"{tmp_path}/short.jsonl", "weight": 0.25}, {"id": f"{tmp_path}/long.jsonl", "weight": 0.75}]
    mixture = {"datasets": entries, "tokens": 2000, "tokenizer": str(tokenizer)}
    rows = mix_shares(DatasetMixtureConfig.from_mapping(mixture))[0]["train"]
    assert rows["text"][:].count("one two") == 250
    assert len(rows) == 250 + 30
    assert "250 of 1,000 rows" in rows.info.description
    assert "500 tokens" in rows.info.description


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": 0}, "at least 1"),
        ({"tokenizer": None}, "needs a dataset_mixture.tokenizer"),
        ({"datasets": [{"id": "a"}]}, "each data set needs a weight"),
    ],
)
def test_a_budget_that_can_not_be_shared_is_refused(change: dict[str, Any], message: str) -> None:
    mixture = {"datasets": [{"id": "a", "weight": 1.0}], "tokens": 10, "tokenizer": "t"} | change
    with pytest.raises(ConfigError, match=message):
        DatasetMixtureConfig.from_mapping(mixture)
