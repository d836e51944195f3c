"""The stages that make training data of samples: generate, verify, select and mix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from open_r1.errors import ConfigError, DataError
from open_r1.pipeline import read_pipeline, run_pipeline
from open_r1.rundir import read_json, read_jsonl, write_jsonl

STAGES = """
output_dir: out
stages:
  problems: {kind: problems, families: {sums: [1, 2]}, sft: 20, rl: 6, held_out: 5}
  traces: {kind: traces, lazy_share: {1: 0.5}}
  samples: {kind: generate, model: ./model, num_samples: 2, max_new_tokens: 8, use_cpu: true}
  verify: {kind: verify, traces: samples.jsonl}
  select: {kind: select, per_problem: 1, by: longest}
  mix: {kind: mix, traces: {select: 1, traces: 3}}
"""


def answer(thinking: str, number: int) -> str:
    return f"<think>\n{thinking}\n</think>\n<answer>\n\\boxed{{{number}}}\n</answer>"


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: Path) -> Path:
    """A pipeline whose verify stage reads samples of the user's own, so that it is known which are right."""
    (tmp_path / "model").symlink_to(tiny_model)
    completions = [answer("1+1=2", 2), answer("1+1=3", 3), answer("first 1+1=2", 2), answer("3", 3), answer("no", 4)]
    asked = [("1+1?", "2")] * 3 + [("1+2?", "3")] * 2
    write_jsonl(tmp_path / "samples.jsonl", [
        {"problem_id": prompt, "prompt": prompt, "solution": gold, "completion": text, "finish_reason": "stop"}
        for (prompt, gold), text in zip(asked, completions, strict=True)
    ])  # fmt: skip
    path = tmp_path / "pipeline.yaml"
    path.write_text(STAGES)
    return path


def run(recipe: Path, *changes: str) -> Path:
    pipeline = read_pipeline(recipe, recipe.parent / "out", changes=changes)
    run_pipeline(pipeline, lambda line: None)
    return recipe.parent / "out"


def test_rejection_sampling_leaves_the_best_right_trace_of_each_problem(recipe: Path) -> None:
    out = run(recipe)
    samples = read_jsonl(out / "samples" / "traces.jsonl")
    assert len(samples) == 12
    assert {row["solution"] for row in samples} == {
        row["solution"] for row in read_jsonl(out / "problems" / "rl.jsonl")
    }
    done = read_json(out / "samples" / "done.json")
    assert done["samples"] == 12 and done["completion_tokens"] == sum(row["completion_tokens"] for row in samples)
    assert [row["verified"] for row in read_jsonl(out / "verify" / "traces.jsonl")] == [True, False, True, True, False]
    selected = read_jsonl(out / "select" / "traces.jsonl")
    assert [row["messages"][-1]["content"] for row in selected] == [answer("first 1+1=2", 2), answer("3", 3)]
    mixed = read_jsonl(out / "mix" / "traces.jsonl")
    assert [list(row) for row in mixed] == [["messages"]] * 5
    assert read_json(out / "mix" / "done.json")["rows"] == {"select": 2, "traces": 3}


def test_the_teachers_traces_can_be_verified_and_selected_too(recipe: Path) -> None:
    out = run(recipe, "verify.traces=traces", "select.per_problem=null")
    assert read_json(out / "verify" / "done.json")["verified"] == 20
    assert [row["messages"] for row in read_jsonl(out / "select" / "traces.jsonl")] == [
        row["messages"] for row in read_jsonl(out / "traces" / "traces.jsonl")
    ]


@pytest.mark.parametrize("stage", ["samples", "verify"])
def test_a_killed_stage_goes_on_after_its_last_line(recipe: Path, stage: str) -> None:
    out = run(recipe)
    traces = out / stage / "traces.jsonl"
    whole = [without_times(row) for row in read_jsonl(traces)]
    lines = traces.read_bytes().splitlines(keepends=True)
    traces.write_bytes(b"".join(lines[:2]) + lines[2][:9])
    for name in ("done.json", "made.json"):
        (out / stage / name).unlink()
    run(recipe)
    assert traces.read_bytes().startswith(b"".join(lines[:2]))
    key = json.dumps
    assert sorted(map(key, map(without_times, read_jsonl(traces)))) == sorted(map(key, whole))


def without_times(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "seconds"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("mix.traces={}", "stage 'mix': traces is empty; name at least one stage"),
        ("mix.traces.traces=2.5", "stage 'mix': traces.traces must be a share above 0 and up to 1, or a whole number"),
        ("mix.traces.problems=1", "stage 'mix': traces names 'problems', which does not make traces.jsonl"),
        ("select.without=[loop]", "stage 'select': filter 'loop' can't be left out"),
        ("select.keep=best", "stage 'select': keep must be"),
        ("samples.temperature=0", "stage 'samples': temperature 0 gives the same completion every time"),
        ("samples.engine_options={dtype: auto}", "stage 'samples': engine_options are those of backend vllm"),
        ("samples.problems=traces", "stage 'samples': problems is stage 'traces', which does not make rl.jsonl"),
        ("verify.traces=problems", "stage 'verify': traces is stage 'problems', which does not make traces.jsonl"),
    ],
)
def test_what_cannot_work_is_named_before_anything_runs(recipe: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_pipeline(recipe, changes=[change])


def test_more_rows_than_a_stage_has_are_refused(recipe: Path) -> None:
    with pytest.raises(DataError, match=r"stage 'mix': traces.traces asks for 21 rows, but '.*' has 20"):
        run(recipe, "mix.traces.traces=21")


def test_a_selection_of_nothing_ends_the_pipeline_with_the_reasons(recipe: Path) -> None:
    with pytest.raises(DataError, match=r"stage 'select' keeps none of 5 traces \(not_verified 2, too_short 3\)"):
        run(recipe, "select.min_tokens=1000")
