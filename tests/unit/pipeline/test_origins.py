"""Provenance: from a model back to its data, through every stage, by records that a chain of stages leaves."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from open_r1.data.provenance import Step, record_step
from open_r1.errors import RunFolderError
from open_r1.hub.card import model_card
from open_r1.hub.origins import ORIGIN, read_lineage, read_origins
from open_r1.pipeline import Selection, read_pipeline, run_pipeline
from open_r1.pipeline.stage import KINDS, WEIGHTS, Context, Stage, StageName
from open_r1.report import build_report
from open_r1.rundir import read_json, write_json, write_jsonl

RECIPE = """
output_dir: {output}
seed: 3
stages:
  base: {{kind: fake_model, from_: org/base}}
  samples: {{kind: fake_rows, model: base, rows: {problems}, keep: 4}}
  verified: {{kind: fake_rows, rows: samples, keep: 3}}
  selected: {{kind: fake_rows, rows: verified, keep: 2}}
  trained: {{kind: fake_model, from_: base, rows: selected}}
  unrelated: {{kind: fake_rows, rows: {problems}, keep: 1}}
"""


@pytest.fixture
def fake_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that copy rows and write weights, without computing anything."""
    monkeypatch.setattr("open_r1.pipeline.stage.KINDS", dict(KINDS))
    monkeypatch.setattr("open_r1.pipeline.recipe.KINDS", KINDS | fake_stages())


def fake_stages() -> dict[str, type[Stage]]:
    known = dict(KINDS)

    @dataclass(frozen=True)
    class FakeRows(Stage):
        kind: ClassVar[str] = "fake_rows"
        makes: ClassVar[tuple[str, ...]] = ("traces.jsonl",)
        inputs: ClassVar[tuple[str, ...]] = ("model", "rows")
        reads: ClassVar[Mapping[str, str]] = {"model": WEIGHTS, "rows": "traces.jsonl"}
        rows: StageName = StageName("")
        model: StageName = StageName("")
        keep: int = 1

        def run(self, context: Context) -> dict[str, Any]:
            source = Path(self.place(self.rows, context.root, "traces.jsonl"))
            kept = source.read_text().splitlines()[: self.keep]
            (context.run.path / "traces.jsonl").write_text("".join(f"{line}\n" for line in kept))
            return {"kept": len(kept)}

    @dataclass(frozen=True)
    class FakeModel(Stage):
        kind: ClassVar[str] = "fake_model"
        makes: ClassVar[tuple[str, ...]] = (WEIGHTS,)
        inputs: ClassVar[tuple[str, ...]] = ("from_", "rows")
        reads: ClassVar[Mapping[str, str]] = {"from_": WEIGHTS, "rows": "traces.jsonl"}
        from_: StageName = StageName("")
        rows: StageName = StageName("")

        def run(self, context: Context) -> dict[str, Any]:
            (context.run.path / WEIGHTS).write_bytes(self.name.encode())
            return {"steps": 7}

    KINDS.clear()
    KINDS.update(known)
    return {"fake_rows": FakeRows, "fake_model": FakeModel}


@pytest.fixture
def run(fake_kinds: None, tmp_path: Path) -> Path:
    problems = tmp_path / "problems.jsonl"
    write_jsonl(problems, [{"prompt": f"{n}+1?"} for n in range(5)])
    record_step(problems, Step("dedup", "org/raw", {"threshold": 0.8}, {"rows": 5}))
    recipe = tmp_path / "pipeline.yaml"
    recipe.write_text(RECIPE.format(output=tmp_path / "run", problems=problems))
    run_pipeline(read_pipeline(recipe), report=lambda line: None)
    return tmp_path / "run"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_model_is_traced_through_every_stage_to_its_base_and_its_data(run: Path) -> None:
    origins = {origin.name: origin for origin in read_origins(run / "trained")}
    assert list(origins) == [
        "org/base",
        "base",
        "org/raw",
        "problems.jsonl",
        "samples",
        "verified",
        "selected",
        "trained",
    ]
    assert origins["trained"].inputs == ("base", "selected")
    assert origins["samples"].inputs == ("base", "problems.jsonl")
    assert origins["base"].inputs == ("org/base",)
    assert origins["problems.jsonl"].kind == "dedup"
    assert origins["problems.jsonl"].inputs == ("org/raw",)
    assert [origins[name].kind for name in ("org/base", "org/raw")] == ["source", "source"]


def test_files_have_their_rows_and_the_hash_that_sha256sum_gives(run: Path) -> None:
    origins = {origin.name: origin for origin in read_origins(run / "trained")}
    assert origins["verified"].made == {
        "traces.jsonl": {"sha256": sha256(run / "verified" / "traces.jsonl"), "rows": 3}
    }
    assert origins["trained"].made == {WEIGHTS: {"sha256": sha256(run / "trained" / WEIGHTS)}}
    assert origins["verified"].facts == {"kept": 3}
    assert origins["verified"].settings["keep"] == 3
    assert origins["verified"].command
    used = read_json(run / "trained" / ORIGIN)["inputs"]
    read = {"sha256": sha256(run / "selected" / "traces.jsonl"), "rows": 2}
    assert used[1] == {"stage": "selected", "files": {"traces.jsonl": read}}
    own = read_json(run / "samples" / ORIGIN)["inputs"][1]
    assert list(own["files"].values()) == [{"sha256": sha256(run.parent / "problems.jsonl"), "rows": 5}]


def test_a_run_that_was_moved_is_still_traced(run: Path, tmp_path: Path) -> None:
    moved = run.rename(tmp_path / "elsewhere")
    assert [origin.name for origin in read_origins(moved / "trained")][-3:] == ["verified", "selected", "trained"]


def test_the_command_shows_it_for_people_and_scripts(run: Path, open_r1: Callable[..., Any]) -> None:
    ran = open_r1("model", "lineage", run / "trained")
    assert ran.status == 0, ran.err
    assert "1. org/base (source)" in ran.out
    assert "8. trained (fake_model)\n   made from: base, selected\n" in ran.out
    assert f"files:     traces.jsonl: 2 rows, sha256 {sha256(run / 'selected' / 'traces.jsonl')[:12]}" in ran.out
    ran = open_r1("model", "lineage", run / "selected" / "traces.jsonl", "--json")
    assert [entry["name"] for entry in json.loads(ran.out)][-1] == "selected"


def test_the_report_and_the_card_show_it(run: Path) -> None:
    page = build_report(run).read_text(encoding="utf-8")
    assert "traces.jsonl: 2 rows, sha256" in page
    assert "base, selected" in page
    card = model_card(
        "trained", "me/trained", read_lineage(run / "trained"), [], origins=read_origins(run / "trained")
    )
    assert "## From the data to this model" in card
    assert "| selected | fake_rows | verified | traces.jsonl: 2 rows, sha256" in card
    assert str(run.parent) not in card


def test_a_training_by_hand_and_the_rows_of_data_verbs_are_traced_too(tmp_path: Path) -> None:
    traces, out = tmp_path / "traces.jsonl", tmp_path / "out"
    write_jsonl(traces, [{"messages": []}])
    record_step(traces, Step("generate", "org/problems", {"model": "org/teacher"}, {"samples": 1}))
    out.mkdir()
    (out / "resolved.yaml").write_text(f"model_name_or_path: org/base\ndataset_name: {traces}\n")
    write_json(out / "identity.json", {f"contents of {traces}": "abc"})
    write_json(out / "done.json", {"steps": 3, "weights": "def"})
    origins = read_origins(out)
    assert [(one.name, one.kind) for one in origins] == [
        ("org/base", "source"),
        ("org/problems", "source"),
        ("traces.jsonl", "generate"),
        ("out", "sft"),
    ]
    assert origins[-1].made == {"weights": {"sha256": "def"}}


def test_records_that_lead_in_a_circle_or_are_torn_end(tmp_path: Path, open_r1: Callable[..., Any]) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / ORIGIN, {"kind": "sft", "inputs": [{"stage": other}]})
    assert [one.name for one in read_origins(tmp_path / "a")] == ["b", "a"]
    (tmp_path / "a" / ORIGIN).write_text("{")
    ran = open_r1("model", "lineage", tmp_path / "a")
    assert ran.status == 2
    assert "origin.json' can't be read" in ran.err
    assert open_r1("model", "lineage", tmp_path / "none").status == 2


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"inputs": [{"files": {}}]}, "inputs[0] has no key 'name'"),
        ({"inputs": {"a": 1}}, "inputs of the record must be a list"),
        ({"made": {"traces.jsonl": "abc"}}, 'traces.jsonl of made must be an object, but is "abc"'),
    ],
)
def test_a_record_that_was_edited_by_hand_is_named_with_its_key(
    run: Path, record: dict[str, Any], said: str, open_r1: Callable[..., Any], tmp_path: Path
) -> None:
    path = run / "verified" / ORIGIN
    write_json(path, {"kind": "fake_rows"} | record)
    assert said in open_r1("model", "lineage", run / "trained").out
    shutil.rmtree(run / "selected")
    recipe = tmp_path / "pipeline.yaml"
    with pytest.raises(RunFolderError) as refused:
        run_pipeline(read_pipeline(recipe), report=lambda line: None, selection=Selection(only="selected"))
    assert f"'{path}': " in str(refused.value) and said in str(refused.value)
    assert str(refused.value).endswith("restore it, or remove it, and what is behind its stage is left out.")
    path.unlink()
    run_pipeline(read_pipeline(recipe), report=lambda line: None)


def test_an_input_that_was_changed_since_it_was_made_is_noticed_by_a_stage_alone(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "trained")
    rows = run / "selected" / "traces.jsonl"
    kept = rows.read_bytes()
    rows.write_bytes(kept + b"{}\n")
    pipeline = read_pipeline(tmp_path / "pipeline.yaml")
    for selection in (Selection(only="trained"), Selection(start="trained"), Selection()):
        with pytest.raises(
            RunFolderError, match=r"selected/traces.jsonl' was changed or removed since stage 'selected'"
        ):
            run_pipeline(pipeline, report=lambda line: None, selection=selection)
    assert not (run / "trained").exists()
    rows.write_bytes(kept)
    run_pipeline(pipeline, report=lambda line: None, selection=Selection(only="trained"))
