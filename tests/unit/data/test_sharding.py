"""What several processes make of the shards of a source is what one process makes of the whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_server import FakeSettings, running_fake

import open_r1.data.rows as rows_module
from open_r1.data.provenance import read_steps, steps_file
from open_r1.data.sharding import Shard, merge_shards, read_shard, shard_rows
from open_r1.data.sources import open_rows
from open_r1.errors import RunFolderError
from open_r1.rundir import RunDir, read_jsonl

Command = Callable[..., Any]

ITEM = "A train leaves the station at noon and travels north at sixty miles an hour until it meets another train"
ROWS = [
    {
        "problem": f"What is {n} + {n % 5}?" if n % 7 else f"{ITEM} {n}.",
        "completion": f"<think>{n}</think> \\boxed{{{n + n % 5 + (n % 3 == 0)}}}",
        "solution": str(n + n % 5),
    }
    for n in range(53)
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 700)
    monkeypatch.setattr(rows_module, "BATCH_ROWS", 3)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps(row) + ("\n\n" if n % 10 == 0 else "\n") for n, row in enumerate(ROWS)]
    Path("rows.jsonl").write_text("".join(lines))
    pq.write_table(pa.Table.from_pylist(ROWS), "rows.parquet", row_group_size=7)
    Path("items.jsonl").write_text(json.dumps({"problem": ITEM}) + '\n{"problem": "What is 8 + 3?"}\n')
    return "rows.jsonl"


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet", "rows.*l"])
@pytest.mark.parametrize("count", [1, 2, 7, 53])
def test_shards_have_every_row_once_and_in_order(source: str, name: str, count: int) -> None:
    rows = open_rows(name)
    shards = [shard_rows(rows, Shard(index, count)) for index in range(count)]
    assert [row for shard in shards for row in shard.read()] == ROWS
    assert [shard.first for shard in shards] == [53 * index // count for index in range(count)]


@pytest.mark.parametrize("text", ["3/3", "-1/3", "1", "1/0", "a/b", "1/2/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a shard; write 0/16"):
        read_shard(text)


def run_shards(open_r1: Command, count: int, *words: str) -> None:
    for index in reversed(range(count)):
        ran = open_r1("data", *words, "--shard", f"{index}/{count}")
        assert ran.status == 0, ran.err


def test_verdicts_of_shards_are_those_of_one_process(source: str, open_r1: Command) -> None:
    assert open_r1("data", "verify", source, "--output", "whole.jsonl").status == 0
    run_shards(open_r1, 4, "verify", source, "--output", "v.jsonl")
    merged = open_r1("data", "merge", "v.jsonl", "--json")
    assert merged.status == 0 and json.loads(merged.out)["traces"] == 53
    assert Path("v.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    assert read_steps(steps_file(Path("v.jsonl"))) == read_steps(steps_file(Path("whole.jsonl")))
    again = open_r1("data", "verify", source, "--output", "v.jsonl")
    assert again.status == 0 and "already done in v.jsonl" in again.err


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_rows_and_hits_of_shards_are_those_of_one_process(source: str, open_r1: Command, kind: str) -> None:
    words = ["decontaminate", f"rows.{kind}", "--against", "items.jsonl", "--columns", "problem", "--output"]
    assert open_r1("data", *words, f"whole.{kind}").status == 0
    run_shards(open_r1, 3, *words, f"clean.{kind}")
    merged = open_r1("data", "merge", f"clean.{kind}")
    assert merged.status == 0, merged.err
    assert Path("clean.hits.jsonl").read_bytes() == Path("whole.hits.jsonl").read_bytes() != b""
    assert list(open_rows(f"clean.{kind}").read()) == list(open_rows(f"whole.{kind}").read())
    if kind == "jsonl":
        assert Path("clean.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    assert read_steps(steps_file(Path(f"clean.{kind}"))) == read_steps(steps_file(Path(f"whole.{kind}")))
    assert "already done" in open_r1("data", *words, f"clean.{kind}").err


def test_shards_that_are_missing_unfinished_or_made_otherwise_are_named(source: str, open_r1: Command) -> None:
    with pytest.raises(RunFolderError, match=r"there are no shards of 'v.jsonl' \(v-00000-of-00002.jsonl and so on\)"):
        merge_shards(Path("v.jsonl"))
    run_shards(open_r1, 3, "verify", source, "--output", "v.jsonl")
    Path("v-00001-of-00003.jsonl").rename("aside")
    with pytest.raises(RunFolderError, match="1 of 3 shards of 'v.jsonl' are missing: 1; run them first"):
        merge_shards(Path("v.jsonl"))
    steps = Path("v-00001-of-00003.steps.json")
    kept = steps.read_text()
    Path("aside").rename("v-00001-of-00003.jsonl")
    steps.write_text(json.dumps(json.loads(kept) | {"steps": [json.loads(kept)["steps"][0] | {"counts": {}}]}))
    with pytest.raises(RunFolderError, match="shard 'v-00001-of-00003.jsonl' is not finished; run its command again"):
        merge_shards(Path("v.jsonl"))
    steps.write_text('{"steps": [{"source": "rows.jsonl"}]}')
    with pytest.raises(
        RunFolderError, match=r"v-00001-of-00003.steps.json': steps\[0\] has no key 'action'; restore it"
    ):
        merge_shards(Path("v.jsonl"))
    words = ["verify", source, "--output", "v.jsonl", "--threshold", "0.5", "--overwrite", "--shard", "1/3"]
    assert open_r1("data", *words).status == 0
    with pytest.raises(RunFolderError, match="was made with other settings than 'v-00000-of-00003.jsonl'"):
        merge_shards(Path("v.jsonl"))
    run_shards(open_r1, 2, "verify", source, "--output", "v.jsonl")
    with pytest.raises(RunFolderError, match="has shards of 2 and of 3; remove the old ones"):
        merge_shards(Path("v.jsonl"))


def samples(path: Path) -> list[Any]:
    rows = [{**row, "seconds": 0, "endpoint": ""} for row in read_jsonl(path)]
    return sorted(rows, key=lambda row: (row["problem_id"], row["sample"]))


def test_samples_of_shards_are_those_of_one_process(tmp_path: Path, open_r1: Command) -> None:
    problems = tmp_path / "problems.jsonl"
    texts = [f"What is {n % 9} + 1?" for n in range(23)]  # several rows have one prompt, whose ids are numbered
    problems.write_text("".join(json.dumps({"problem": text}) + "\n" for text in texts))
    with running_fake(FakeSettings(model="teacher")) as server:
        words = ["generate", str(problems), "--server", server.url, "--model", "teacher", "--num_samples", "2"]
        assert open_r1("data", *words, "--output_dir", tmp_path / "whole").status == 0
        run_shards(open_r1, 3, *words, "--output_dir", str(tmp_path / "traces"))
        assert open_r1("data", "merge", tmp_path / "traces").status == 0
        finished = open_r1("data", *words, "--output_dir", tmp_path / "traces")
    assert finished.status == 0 and "already done" in finished.err
    assert samples(tmp_path / "traces" / "traces.jsonl") == samples(tmp_path / "whole" / "traces.jsonl")
    assert (tmp_path / "traces" / "done.json").read_text() == (tmp_path / "whole" / "done.json").read_text()


@pytest.mark.parametrize("inner", [".", "traces"])  # of generate, and of pass-rate
def test_folders_of_shards_are_merged_once_and_only_where_they_were_made_alike(tmp_path: Path, inner: str) -> None:
    folders = [Shard(index, 2).path(tmp_path / "all") / inner for index in range(2)]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "traces.jsonl").write_text(f'{{"n": {number}}}\n')
        (folder / "identity.json").write_text('{"temperature": 1.0}')
    with pytest.raises(RunFolderError, match=r"is not finished; run its command again"):
        merge_shards(tmp_path / "all")
    for folder in folders:
        (folder / "done.json").write_text("{}")
    (folders[1] / "identity.json").write_text('{"temperature": 0.7}')
    with pytest.raises(RunFolderError, match=r"temperature was 1.0 and is now 0.7; make all in one way"):
        merge_shards(tmp_path / "all")
    (folders[1] / "identity.json").write_text('{"temperature": 1.0}')
    merge_shards(tmp_path / "all")
    merged = tmp_path / "all" / inner
    assert read_jsonl(merged / "traces.jsonl") == [{"n": 0}, {"n": 1}]
    (merged / "done.json").write_text("{}")
    with pytest.raises(
        RunFolderError, match=r"traces.jsonl' already exists; remove it, or replace it with --overwrite"
    ):
        merge_shards(tmp_path / "all")
    with RunDir(merged).locked(), pytest.raises(RunFolderError, match="another run is writing"):
        merge_shards(tmp_path / "all", overwrite=True)
    merge_shards(tmp_path / "all", overwrite=True)
    assert not (merged / "done.json").exists()
