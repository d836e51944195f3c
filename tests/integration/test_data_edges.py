"""The data engine's commands at their edges: shards of other rows, long numbers, mixed formats, outputs among the inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

LONG = 123456789012345678901234567891


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def problems(count: int) -> list[dict[str, Any]]:
    return [{"problem": f"What is {number} + 1?", "solution": str(number + 1)} for number in range(count)]


def test_shards_of_other_rows_are_written_anew(open_r1: Callable[..., Any], tmp_path: Path) -> None:
    source = write_lines(tmp_path / "p.jsonl", problems(3))
    command = ["data", "publish", source, "--repo_id", "me/x", "--output_dir", tmp_path / "shards", "--dry-run"]
    assert open_r1(*command).status == 0
    assert "again" not in open_r1(*command).err
    write_lines(source, problems(5))
    assert "contains shards of other rows; they are written again" in open_r1(*command).err
    assert json.loads((tmp_path / "shards" / "done.json").read_text())["rows"] == {"train": 5}


def test_a_finished_run_of_another_kind_is_no_folder_of_shards(open_r1: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()
    write_lines(folder / "traces.jsonl", problems(3))
    (folder / "done.json").write_text('{"samples": 3}')
    ran = open_r1("data", "publish", folder, "--repo_id", "me/x", "--dry-run")
    assert ran.status == 2
    assert "is not a finished folder of shards" in ran.err


def test_integers_of_more_than_64_bits_stay_what_they_are(open_r1: Callable[..., Any], tmp_path: Path) -> None:
    row = {"id": 2**65 + 1, "problem": "big?", "answer": LONG, "completion": rf"\boxed{{{LONG}}}"}
    source = write_lines(tmp_path / "traces.jsonl", [row])
    ran = open_r1("data", "verify", source, "--solution_column", "answer", "--output", tmp_path / "verified.jsonl")
    assert ran.status == 0, ran.err
    (written,) = [json.loads(line) for line in (tmp_path / "verified.jsonl").read_text().splitlines()]
    assert (written["id"], written["answer"]) == (row["id"], LONG)
    assert written["verify_reason"] == "correct"


def mix(open_r1: Callable[..., Any], tmp_path: Path, entries: list[dict[str, Any]]) -> Any:
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump({"dataset_mixture": {"datasets": entries, "seed": 0}}))
    return open_r1("data", "mix", tmp_path / "mix.yaml", "--output_dir", tmp_path / "mixed")


def test_lines_of_json_and_csv_mix(open_r1: Callable[..., Any], tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "a.jsonl", [{"problem": "one", "solution": "a"}])
    table = tmp_path / "b.csv"
    table.write_text("problem,solution\ntwo,b\n")
    columns = ["problem", "solution"]
    ran = mix(open_r1, tmp_path, [{"id": str(path), "columns": columns} for path in (lines, table)])
    assert ran.status == 0, ran.err


@pytest.mark.parametrize("columns", [[], ["problem", "problem"]])
def test_columns_are_named_once_and_not_none_of_them(
    open_r1: Callable[..., Any], tmp_path: Path, columns: list[str]
) -> None:
    source = write_lines(tmp_path / "a.jsonl", problems(2))
    ran = mix(open_r1, tmp_path, [{"id": str(source), "columns": columns}])
    assert ran.status == 2
    assert "name each column that is wanted once" in ran.err


@pytest.mark.parametrize("name", ["*.jsonl", "."])
def test_an_output_among_the_inputs_is_refused(open_r1: Callable[..., Any], tmp_path: Path, name: str) -> None:
    write_lines(tmp_path / "a.jsonl", problems(2))
    ran = open_r1("data", "dedup", f"{tmp_path}/{name}", "--output", tmp_path / "clean.jsonl")
    assert ran.status == 2
    assert "is what is read" in ran.err
