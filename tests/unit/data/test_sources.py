"""Local sources: read in every format, and refused with a cause when they can't be."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from open_r1.configs import DatasetMixtureConfig
from open_r1.data import get_dataset
from open_r1.data.problems import read_problem_file
from open_r1.data.sources import load_splits, open_rows
from open_r1.errors import ConfigError, DataError

ROWS = [{"problem": f"p{i}", "solution": str(i)} for i in range(10)]


def arguments(name: str | None = None, mixture: Any = None) -> Any:
    parsed = DatasetMixtureConfig.from_mapping(mixture) if mixture else None
    return SimpleNamespace(dataset_name=name, dataset_config=None, dataset_train_split="train", mixture=parsed)


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".csv"])
def test_every_local_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    from datasets import Dataset

    path = tmp_path / f"data{suffix}"
    rows = Dataset.from_list(ROWS)
    {
        ".jsonl": rows.to_json,
        ".json": lambda p: Path(p).write_text(json.dumps(ROWS), encoding="utf-8"),
        ".parquet": rows.to_parquet,
        ".csv": rows.to_csv,
    }[suffix](str(path))
    loaded = get_dataset(arguments(str(path)))["train"]
    assert [str(row["solution"]) for row in loaded] == [row["solution"] for row in ROWS]


def test_folders_of_files_and_of_save_to_disk_are_read(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    Dataset.from_list(ROWS).save_to_disk(tmp_path / "one")
    DatasetDict({"train": Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "many")
    (tmp_path / "files").mkdir()
    jsonl(tmp_path / "files" / "train.jsonl", ROWS)
    for name in ("one", "many", "files"):
        assert len(get_dataset(arguments(str(tmp_path / name)))["train"]) == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\n{"a": \n{"a": 3}\n', r"broken.jsonl:2 is not JSON"),
        ('{"a": 1}\n[1, 2]\n', r"broken.jsonl:2 is a list, not an object"),
        ("", "contains no rows"),
        ("\n\n", "no rows|can't be read"),
        ("\x00\x01\x02", "is not JSON"),
    ],
)
def test_a_broken_file_names_the_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        get_dataset(arguments(str(path)))


def test_a_missing_file_an_unknown_kind_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        get_dataset(arguments(str(tmp_path / "none.jsonl")))
    (tmp_path / "data.docx").write_text("x")
    with pytest.raises(DataError, match="has an unknown format; known: .jsonl"):
        get_dataset(arguments(str(tmp_path / "data.docx")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="contains no data set"):
        get_dataset(arguments(str(tmp_path / "empty")))


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="can't be read as Parquet"):
        get_dataset(arguments(str(tmp_path / "data.parquet")))


def test_a_hub_set_that_cannot_be_had_is_refused_in_one_sentence() -> None:
    with pytest.raises(DataError, match="not a local path and can.t be loaded from the Hub"):
        get_dataset(arguments("nobody/nothing-at-all"))


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    DatasetDict({"training": Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "d")
    with pytest.raises(DataError, match=r"has no split 'train'; did you mean 'training'\? Found: training"):
        get_dataset(arguments(str(tmp_path / "d")))


def mixture(tmp_path: Path, seed: int = 1, **extra: Any) -> dict[str, Any]:
    first = jsonl(tmp_path / "first.jsonl", [{**row, "extra": 1} for row in ROWS])
    second = jsonl(tmp_path / "second.jsonl", [{"problem": f"q{i}", "solution": "x"} for i in range(20)])
    columns = ["problem", "solution"]
    return {
        "datasets": [
            {"id": str(first), "columns": columns, "weight": 0.5},
            {"id": str(second), "columns": columns, "weight": 0.25},
        ],
        "seed": seed,
        **extra,
    }


def test_a_mixture_takes_exact_shares_and_repeats_by_seed(tmp_path: Path) -> None:
    first = get_dataset(arguments(mixture=mixture(tmp_path)))["train"]
    assert sorted(row["problem"][0] for row in first) == ["p"] * 5 + ["q"] * 5
    assert first.column_names == ["problem", "solution"]
    again = get_dataset(arguments(mixture=mixture(tmp_path)))["train"]
    assert first.to_list() == again.to_list()
    other = get_dataset(arguments(mixture=mixture(tmp_path, seed=2)))["train"]
    assert first.to_list() != other.to_list()


def test_a_mixture_can_be_split(tmp_path: Path) -> None:
    splits = get_dataset(arguments(mixture=mixture(tmp_path, test_split_size=0.2)))
    assert len(splits["train"]) == 8
    assert len(splits["test"]) == 2


def test_a_mixture_of_columns_of_two_types_names_the_column(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "first.jsonl", [{"problem": "p", "solution": True}])
    second = jsonl(tmp_path / "second.jsonl", [{"problem": "p", "solution": "1"}])
    with pytest.raises(
        DataError, match=r"column 'solution' is .*bool.* in '.*first.jsonl' but .*string.* in '.*second"
    ):
        get_dataset(arguments(mixture={"datasets": [{"id": str(first)}, {"id": str(second)}]}))


@pytest.mark.parametrize("size", [10, 500])
def test_a_split_that_leaves_no_row_to_train_on_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(DataError, match=f"test_split_size = {size} leaves no row"):
        get_dataset(arguments(mixture=mixture(tmp_path, test_split_size=size)))


def test_a_mixture_with_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(DataError, match=r"no column 'solutions'; did you mean 'solution'\? Found: problem, solution"):
        get_dataset(arguments(mixture={"datasets": [{"id": str(path), "columns": ["solutions"]}]}))


def test_a_weight_that_takes_no_row_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(DataError, match="takes no row"):
        get_dataset(arguments(mixture={"datasets": [{"id": str(path), "weight": 0.01}]}))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": None, "answer": "4"}, "row 2 of data set .* has None as its 'prompt'"),
        ({"prompt": "q", "answer": None}, "row 2 of data set .* has None as its 'answer'"),
        ({"prompt": " ", "answer": "4"}, "row 2 of data set .* has ' ' as its 'prompt'"),
        ({"prompt": "q", "answer": "4", "difficulty": "hard"}, "row 2 of data set .* has the difficulty 'hard'"),
    ],
)
def test_a_row_that_is_no_problem_is_refused_by_its_number(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = jsonl(tmp_path / "p.jsonl", [{"prompt": "1+1", "answer": "2", "difficulty": None}, row])
    with pytest.raises(DataError, match=message):
        read_problem_file(str(path))


def test_a_difficulty_that_is_not_known_is_zero(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "answer": "2", "difficulty": None}, {"prompt": "b", "answer": "2", "difficulty": "3.5"}]
    problems = read_problem_file(str(jsonl(tmp_path / "p.jsonl", rows)))
    assert [problem.difficulty for problem in problems] == [0.0, 3.5]


def test_the_same_question_with_two_golds_is_two_problems(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "answer": "1"}, {"prompt": "a", "answer": "2"}, {"prompt": "a", "answer": "1"}]
    ids = [problem.id for problem in read_problem_file(str(jsonl(tmp_path / "p.jsonl", rows)))]
    assert ids[0] != ids[1]
    assert ids[0] == ids[2]


def test_problems_are_read_by_the_names_of_their_columns(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "p.jsonl", [{"question": "2+2?", "answer": "4", "difficulty": 3}])
    problem = read_problem_file(str(path))[0]
    assert (problem.prompt, problem.gold, problem.difficulty) == ("2+2?", "4", 3.0)
    with pytest.raises(DataError, match="has no column of answers"):
        read_problem_file(str(jsonl(tmp_path / "q.jsonl", [{"question": "2+2?", "result": "4"}])))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for split, count in (("train", 20), ("test", 5)):
        rows = "".join(json.dumps({"number": number}) + "\n" for number in range(count))
        (tmp_path / f"{split}.jsonl").write_text(rows)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("split", "numbers"),
    [
        ("train[:3]", [0, 1, 2]),
        ("train[90%:]", [18, 19]),
        ("train[:2]+test[-1:]", [0, 1, 4]),
        ("test+train[:1]", [0, 1, 2, 3, 4, 0]),
    ],
)
def test_parts_and_sums_of_splits_are_those_that_datasets_would_take(
    folder: str, split: str, numbers: list[int]
) -> None:
    assert load_splits(folder, None, split)[split]["number"][:] == numbers
    assert [row["number"] for row in open_rows(folder, None, split).read()] == numbers


def test_a_part_of_a_single_files_rows_is_taken(folder: str) -> None:
    assert load_splits(f"{folder}/test.jsonl", None, "train[:2]")["train[:2]"]["number"][:] == [0, 1]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("train[a]", r"split 'train\[a\]' of .* Write train\[:10\], train\[10%:20%\] or train\+test"),
        ("train+tets", "has no split 'tets'; did you mean 'test'"),
        ("train[5:5]", "is empty"),
    ],
)
def test_a_part_that_cannot_be_taken_says_why(folder: str, split: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_splits(folder, None, split)


def test_a_mixture_made_in_python_is_the_one_of_a_recipe_and_is_checked(folder: str) -> None:
    from dataclasses import asdict

    from open_r1.configs import DatasetConfig, ScriptArguments

    entries = [
        DatasetConfig(id=folder, split="train", weight=0.25),
        DatasetConfig(id=folder, split="test", weight=0.5),
    ]
    mixture = DatasetMixtureConfig(datasets=entries)
    for given in (mixture, asdict(mixture)):
        script = ScriptArguments(dataset_mixture=given)  # type: ignore[arg-type]
        assert script.dataset_mixture == script.mixture == mixture
        assert len(get_dataset(script)["train"]) == 20 // 4 + 5 // 2
    halves = DatasetMixtureConfig(datasets=[DatasetConfig(id=folder, split="train[:10]")], test_split_size=0.2)
    splits = get_dataset(ScriptArguments(dataset_mixture=halves))  # type: ignore[arg-type]
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 8, "test": 2}
    with pytest.raises(ConfigError, match="weight must be above 0"):
        ScriptArguments(dataset_mixture=DatasetMixtureConfig(datasets=[DatasetConfig(id=folder, weight=2.0)]))  # type: ignore[arg-type]
