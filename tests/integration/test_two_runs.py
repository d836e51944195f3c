"""Two runs into one place: the second is refused, by every verb that writes, and leaves what is there alone."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from short_recipe import write_short_recipe

from open_r1.cli.main import main
from open_r1.rundir.claim import hold_file, hold_lock

ROW = {
    "problem": "What is one plus one?", "solution": "2", "answer": "2", "completion": r"\boxed{2}", "problem_id": "a",
    "messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}], "verified": True,
    "text": "one and one is two", "prompt": "1+1?",
}  # fmt: skip
FILES = {
    "dedup": "data dedup rows.jsonl --output out/held.jsonl --columns problem",
    "decontaminate": "data decontaminate rows.jsonl --against other.jsonl --output out/held.jsonl",
    "verify": "data verify rows.jsonl --output out/held.jsonl",
    "select": "data select rows.jsonl --output out/held.jsonl",
}
FOLDERS = {
    "mix": "data mix mix.yaml --output_dir out",
    "mix again": "data mix mix.yaml --output_dir out --overwrite",
    "generate": "data generate rows.jsonl --output_dir out --backend transformers --model {model} --max_new_tokens 4",
    "pass_rate": "data pass-rate rows.jsonl --output_dir out --backend transformers --model {model} --max_new_tokens 4",
    "run": "run recipe/pipeline.yaml --output_dir out",
    "model": "model new texts.jsonl out",
    "publish": "data publish rows.jsonl --repo_id me/rows --output_dir out --dry-run",
}
EVALUATION = "eval --model {model} --problems rows.jsonl --output_dir out --max_new_tokens 4"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("rows.jsonl", "other.jsonl", "texts.jsonl"):
        (tmp_path / name).write_text(json.dumps(ROW) + "\n")
    (tmp_path / "mix.yaml").write_text(
        "dataset_mixture: {datasets: [{id: rows.jsonl, columns: [problem, solution]}]}\n"
    )
    write_short_recipe(tmp_path / "recipe", tmp_path / "out")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_refused(
    command: str, held: AbstractContextManager[None], model: Path, capsys: pytest.CaptureFixture
) -> None:
    with held:
        before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*") if path.is_file()}
        status = main(command.format(model=model).split())
        said = capsys.readouterr().err
        assert status == 2 and "another run is writing to" in said, said
        assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("verb", FILES)
def test_a_file_that_a_run_writes_is_refused_to_another(
    folder: Path, verb: str, tiny_model: Path, capsys: pytest.CaptureFixture
) -> None:
    assert_refused(FILES[verb], hold_file(folder / "out" / "held.jsonl"), tiny_model, capsys)


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_folder_that_a_run_writes_is_refused_to_another(
    folder: Path, verb: str, tiny_model: Path, capsys: pytest.CaptureFixture
) -> None:
    out = folder / "out"
    assert_refused(FOLDERS[verb], hold_lock(out / ".lock", out), tiny_model, capsys)


@pytest.mark.parametrize("further", ["", " --overwrite"])
def test_an_evaluation_that_runs_is_refused_to_another_and_not_removed(
    folder: Path, further: str, tiny_model: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(EVALUATION.format(model=tiny_model).split()) == 0
    (evaluation,) = {path.parent for path in (folder / "out").rglob("summary.json") if "completions" not in path.parts}
    (evaluation / "summary.json").unlink()
    capsys.readouterr()
    assert_refused(EVALUATION + further, hold_lock(evaluation / ".lock", evaluation), tiny_model, capsys)
