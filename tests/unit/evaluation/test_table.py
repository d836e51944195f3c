"""Results side by side: ours, published ones; differences in pairs; the quality of outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_r1.estimates import estimate_share
from open_r1.evaluation.monitor import measure, summarise_quality
from open_r1.evaluation.table import Result, compare_pair, read_results, render_table
from open_r1.records import Estimate
from open_r1.rundir import read_jsonl, write_json, write_jsonl

Command = Callable[..., Any]


def write_result(folder: Path, model: str, scores: dict[str, list[float]], **settings: Any) -> Path:
    rows = [
        {"problem_id": name, "sample": index, "mode": "sampled", "score": score}
        for name, values in scores.items()
        for index, score in enumerate(values)
    ]
    write_jsonl(folder / "math_500" / "samples.jsonl", rows)
    estimate = estimate_share([sum(values) / len(values) for values in scores.values()])
    summary = {
        "name": "math_500",
        "model": model,
        "settings": settings,
        "modes": {"sampled": {"accuracy": vars(estimate)}},
    }
    write_json(folder / "math_500" / "summary.json", summary)
    return folder


def test_the_table_has_the_published_rows_below() -> None:
    table = render_table(
        [Result("ours", "aime24", Estimate(0.5, 0.4, 0.6, 30)), Result("ours", "gsm8k", Estimate(0.9, 0.8, 1, 9))]
    )
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert lines[0] == ["model", "AIME 2024", "GSM8K"]
    assert lines[2] == ["ours", "50.0 [40.0, 60.0]", "90.0 [80.0, 100.0]"]
    assert ["OpenR1-Distill-7B (published)", "52.7", ""] in lines
    assert len({len(line) for line in table.splitlines()}) == 1


def test_a_table_without_published_benchmarks_has_no_published_rows() -> None:
    assert "published" not in render_table([Result("ours", "gsm8k", Estimate(0.9, 0.8, 1, 9))])


def test_a_bar_in_a_models_name_does_not_break_the_table() -> None:
    assert "a\\|b" in render_table([Result("a|b", "gsm8k", Estimate(0.9, 0.8, 1, 9))])


def test_differences_are_paired_by_problem(tmp_path: Path) -> None:
    base = {f"p{index}": [float(index % 2)] * 4 for index in range(40)}
    better = {name: [*values[:3], 1.0] for name, values in base.items()}
    (first,) = read_results(write_result(tmp_path / "a", "base", base))
    (second,) = read_results(write_result(tmp_path / "b", "tuned", better))
    pair = compare_pair(first, second)
    assert pair.difference.value == pytest.approx(0.125)
    assert pair.verdict == "better" and pair.difference.n == 40
    assert compare_pair(second, first).verdict == "worse"
    assert compare_pair(first, first).verdict == "no significant difference"


def test_what_differs_between_two_runs_is_remarked(tmp_path: Path) -> None:
    scores = {"a": [1.0], "b": [0.0]}
    (first,) = read_results(write_result(tmp_path / "a", "m", scores, temperature=0.6, num_samples=1))
    (second,) = read_results(write_result(tmp_path / "b", "m", {**scores, "c": [1.0]}, temperature=1.0, num_samples=1))
    assert compare_pair(first, second).remarks == ("2 of 3 problems are in both", "temperature: 0.6 and 1.0")


def test_runs_without_a_problem_in_common_are_not_compared(tmp_path: Path) -> None:
    (first,) = read_results(write_result(tmp_path / "a", "m", {"a": [1.0]}))
    (second,) = read_results(write_result(tmp_path / "b", "n", {"b": [1.0]}))
    assert compare_pair(first, second).verdict == "too few problems in common"


def test_one_problem_in_common_is_too_few(tmp_path: Path) -> None:
    (first,) = read_results(write_result(tmp_path / "a", "m", {"a": [1.0], "b": [1.0]}))
    (second,) = read_results(write_result(tmp_path / "b", "n", {"a": [0.0], "c": [1.0]}))
    pair = compare_pair(first, second)
    assert (pair.difference.n, pair.verdict) == (1, "too few problems in common")


def test_unscored_samples_count_in_no_difference(tmp_path: Path) -> None:
    scores: dict[str, list[Any]] = {"a": [1.0, 0.0], "b": [1.0, 1.0], "c": [1.0, 0.0]}
    (first,) = read_results(write_result(tmp_path / "a", "m", scores))
    write_result(tmp_path / "b", "n", scores)
    path = tmp_path / "b" / "math_500" / "samples.jsonl"
    rows = [row | {"score": None if (row["problem_id"], row["sample"]) in {("a", 1), ("c", 0), ("c", 1)} else row["score"]}
            for row in read_jsonl(path)]  # fmt: skip
    write_jsonl(path, rows)
    (second,) = read_results(tmp_path / "b")
    assert (compare_pair(first, second).difference.n, compare_pair(first, second).difference.value) == (2, 0.25)


def test_the_command_compares_folders_of_one_model_by_their_names(open_r1: Command, tmp_path: Path) -> None:
    write_result(tmp_path / "a", "m", {f"p{index}": [0.0] for index in range(20)})
    write_result(tmp_path / "b", "m", {f"p{index}": [float(index % 2)] for index in range(20)})
    ran = open_r1("compare", tmp_path / "a", tmp_path / "b")
    assert ran.status == 0, ran.err
    assert (
        f"math_500, sampled: m ({tmp_path / 'b'}) - m ({tmp_path / 'a'}): +50.0 points" in ran.out
        and ": better" in ran.out
    )
    listed = json.loads(open_r1("compare", tmp_path / "a", tmp_path / "b", "--json").out)
    assert listed["comparisons"][0]["difference"]["value"] == 0.5


def test_a_folder_without_an_evaluation_is_refused(open_r1: Command, tmp_path: Path) -> None:
    ran = open_r1("compare", tmp_path)
    assert ran.status == 2 and "contains no finished evaluation" in ran.err


def test_a_folder_without_samples_or_accuracy_is_told(open_r1: Command, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_result(tmp_path / name, name, {"p": [1.0], "q": [0.0]})
    (tmp_path / "b" / "math_500" / "samples.jsonl").unlink()
    ran = open_r1("compare", tmp_path / "a", tmp_path / "b")
    assert ran.status == 2 and "samples.jsonl' does not exist" in ran.err and "Traceback" not in ran.err
    write_json(tmp_path / "c" / "math_500" / "summary.json", {"name": "x", "model": "m", "modes": {"sampled": {}}})
    ran = open_r1("compare", tmp_path / "a", tmp_path / "c")
    assert ran.status == 2 and "is incomplete: KeyError('accuracy')" in ran.err and "--overwrite" in ran.err


# --- lighteval ------------------------------------------------------------------------------------------------------


def test_the_guides_line_is_printed(open_r1: Command) -> None:
    ran = open_r1("eval", "M", "--benchmarks", "aime24,gpqa,lcb", "--lighteval", "print")
    lines = ran.out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("lighteval vllm 'model_name=M,dtype=bfloat16,") and "'lighteval|aime24|0|0'" in lines[0]
    assert "--use-chat-template --output-dir data/evals/M" in lines[0]
    assert "'lighteval|gpqa:diamond|0|0'" in lines[1] and "'extended|lcb:codegeneration|0|0'" in lines[2]


@pytest.mark.parametrize("parallel", ["data", "tensor"])
def test_parallel_evaluation_is_passed_on(open_r1: Command, parallel: str) -> None:
    ran = open_r1(
        "eval", "M", "--benchmarks", "aime24", "--lighteval", "print", "--parallel", parallel, "--num_gpus", 8
    )
    assert f"{parallel}_parallel_size=8" in ran.out and ran.out.startswith("VLLM_WORKER_MULTIPROC_METHOD=spawn ")


def test_a_benchmark_that_lighteval_lacks_is_told(open_r1: Command) -> None:
    ran = open_r1("eval", "M", "--benchmarks", "humaneval", "--lighteval", "print")
    assert ran.status == 2 and "lighteval has no task for 'humaneval'" in ran.err


# --- quality --------------------------------------------------------------------------------------------------------


def test_the_guides_monitor() -> None:
    good = measure("<think>\nStep 1: add.\nStep 2: done.\n</think>\n4")
    assert good == {"has_think_tags": True, "reasoning_steps": 2, "response_length": 45}
    assert not measure("<think> never ends")["has_think_tags"]
    assert summarise_quality([good, measure("4")]) == {
        "outputs": 2, "has_think_tags": 0.5, "reasoning_steps": 1.0, "response_length": 23.0
    }  # fmt: skip


def test_the_monitor_reads_any_set_of_outputs(open_r1: Command, tmp_path: Path) -> None:
    path = tmp_path / "outputs.jsonl"
    path.write_text(json.dumps({"messages": [{"role": "assistant", "content": "<think>x</think>y"}]}) + "\n")
    ran = open_r1("monitor", path, "--output", tmp_path / "each.jsonl")
    assert json.loads(ran.out)["has_think_tags"] == 1.0
    assert json.loads((tmp_path / "each.jsonl").read_text()) == {
        "has_think_tags": True, "reasoning_steps": 0, "response_length": 17
    }  # fmt: skip
    path.write_text(json.dumps({"words": "x"}) + "\n")
    ran = open_r1("monitor", path)
    assert ran.status == 2 and "Found: words" in ran.err
