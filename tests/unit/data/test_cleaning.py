"""Decontamination of a source: what is written, reported and counted, with any number of processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import open_r1.data.rows as rows_module
from open_r1.data.decontamination import Summary, decontaminate, load_sets, parse_set
from open_r1.data.evaluation_index import EvalSet, Rule
from open_r1.data.provenance import Step, record_step, steps_behind
from open_r1.data.row_file import Destination
from open_r1.errors import ConfigError, DataError

FIRST = "A train leaves the old station at 9 and runs at 80 miles an hour; how far is it from there at 12 o'clock?"
SECOND = "Mia has 17 red and 5 blue marbles in a bag, and takes 3 of them out in the dark: how likely are all blue?"
SHORT = "What is $7 \\times 8$?"
SETS = [EvalSet("trains", [FIRST, "Go"]), EvalSet("mixed", [SECOND, SHORT])]
TEXTS = [
    "nothing",
    FIRST.upper(),
    None,
    "",
    f"Q: {SECOND} A: {FIRST}",
    "more of nothing",
    "What is 7*8",
    "What is 7 + 8",
]


def write_rows(folder: Path, texts: list[Any] = TEXTS * 40) -> str:
    rows = [{"id": number, "problem": text} for number, text in enumerate(texts)]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "in.jsonl")


def run(source: str, destination: Destination, processes: int = 1, rule: Rule | None = None) -> Summary:
    return decontaminate(
        source, SETS, destination, rule or Rule(), columns=["problem"], processes=processes, num_examples=1
    )


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_with_items_are_reported_and_the_others_kept(tmp_path: Path) -> None:
    destination = Destination(tmp_path / "out.jsonl", tmp_path / "hits.jsonl", overwrite=True)
    summary = run(write_rows(tmp_path, TEXTS), destination)
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [0, 2, 3, 5, 7]
    hits = read(tmp_path / "hits.jsonl")
    assert [(hit["row"], hit["set"], hit["item"], hit["kind"]) for hit in hits] == [
        (1, "trains", 0, "coverage"),
        (4, "trains", 0, "coverage"),
        (4, "mixed", 0, "coverage"),
        (6, "mixed", 1, "alone"),
    ]
    assert hits[0]["matched"].startswith("a train leaves")
    assert hits[0]["item_text"] == FIRST
    assert hits[0]["row_text"] == FIRST.upper()
    assert (summary.rows, summary.empty, summary.contaminated) == (8, 2, 3)
    trains, mixed = summary.sets["trains"], summary.sets["mixed"]
    assert (trains.items, trains.too_short, trains.items_found, trains.rows) == (2, 1, 1, 2)
    assert (mixed.items, mixed.too_short, mixed.items_found, mixed.rows) == (2, 0, 2, 2)
    assert summary.examples == [hits[0]]


def test_rows_can_be_marked_instead(tmp_path: Path) -> None:
    run(write_rows(tmp_path, TEXTS), Destination(tmp_path / "out.jsonl", marks=True))
    marks = [(row["contaminated_trains"], row["contaminated_mixed"]) for row in read(tmp_path / "out.jsonl")]
    no = (False, False)
    assert marks == [no, (True, False), no, no, (True, True), no, (False, True), no]


def test_any_number_of_processes_and_any_chunks_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_rows(tmp_path)
    results = set()
    for processes, chunk_bytes in ((1, 1 << 20), (1, 100), (2, 1000), (3, 300)):
        monkeypatch.setattr(rows_module, "CHUNK_BYTES", chunk_bytes)
        destination = Destination(tmp_path / "out.jsonl", tmp_path / "hits.jsonl", overwrite=True)
        summary = run(source, destination, processes)
        results.add(((tmp_path / "out.jsonl").read_bytes(), (tmp_path / "hits.jsonl").read_bytes(), str(summary)))
    assert len(results) == 1


def test_parquet_keeps_its_columns_and_types(tmp_path: Path) -> None:
    table = pa.table({"problem": TEXTS, "score": pa.array(range(8), pa.int8()), "tags": [["a"]] * 8})
    pq.write_table(table, tmp_path / "in.parquet")
    run(str(tmp_path / "in.parquet"), Destination(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet") == table.take([0, 2, 3, 5, 7])


def test_the_steps_that_made_a_file_are_beside_it(tmp_path: Path) -> None:
    record_step(tmp_path / "in.jsonl", Step("generate", "problems"))
    run(write_rows(tmp_path), Destination(tmp_path / "out.jsonl"))
    steps = steps_behind(str(tmp_path / "out.jsonl"))
    assert [step.action for step in steps] == ["generate", "decontaminate"]
    assert steps[1].counts["contaminated"] == 120
    assert steps[1].settings["against"] == ["trains", "mixed"]


def test_a_run_that_fails_leaves_no_file(tmp_path: Path) -> None:
    source = write_rows(tmp_path)
    with Path(source).open("a") as file:
        file.write("{broken\n")
    with pytest.raises(DataError, match=r"in.jsonl:321 is not JSON"):
        run(source, Destination(tmp_path / "out.jsonl", tmp_path / "hits.jsonl", overwrite=True), processes=2)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    source = write_rows(tmp_path)
    with pytest.raises(ConfigError, match="is what is read"):
        run(source, Destination(Path(source)))
    with pytest.raises(ConfigError, match="the same file"):
        run(source, Destination(tmp_path / "x.jsonl", tmp_path / "." / "x.jsonl"))
    (tmp_path / "m.jsonl").write_text('{"problem": "p", "contaminated_mixed": 1}\n')
    with pytest.raises(ConfigError, match="already has a column 'contaminated_mixed'"):
        run(str(tmp_path / "m.jsonl"), Destination(tmp_path / "x.jsonl", marks=True))


def test_a_very_long_row_and_odd_characters_go_through(tmp_path: Path) -> None:
    texts = ["\x00\x1e\ud800 " + "word " * 200_000 + FIRST, "\x1e".join([FIRST, SECOND]), "e\u0301" * 50_000]
    summary = run(
        write_rows(tmp_path, texts), Destination(tmp_path / "out.jsonl", tmp_path / "hits.jsonl", overwrite=True)
    )
    assert summary.contaminated == 2
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [2]


def test_sets_are_named_with_their_options(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"q": FIRST, "problem": "p"}) + "\n")
    named = load_sets([f"{tmp_path}/a.jsonl", f"{tmp_path}/a.jsonl?column=q&name=b"])
    assert [(one.name, list(one.texts)) for one in named] == [("a", ["p"]), ("b", [FIRST])]
    gpqa = parse_set("gpqa")
    assert (gpqa.source, gpqa.config, gpqa.column, gpqa.name) == (
        "Idavidrein/gpqa", "gpqa_diamond", "Question", "gpqa",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("specs", "error", "message"),
    [
        (["{}/a.jsonl?colum=q"], ConfigError, "did you mean 'column'"),
        (["{}/a.jsonl?q"], ConfigError, "not of the form"),
        (["{}/a.jsonl", "{}/a.jsonl?column=q"], ConfigError, "two evaluation sets are called 'a'"),
        (["{}/a.jsonl?column=z"], DataError, r"no column 'z'.*\?column="),
        (["{}/a.jsonl?column=empty"], DataError, "has no text in empty"),
        (["{}/none.jsonl"], DataError, "does not exist"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused(
    tmp_path: Path, specs: list[str], error: type[Exception], message: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"q": FIRST, "problem": "p", "empty": None}) + "\n")
    with pytest.raises(error, match=message):
        load_sets([spec.format(tmp_path) for spec in specs])
