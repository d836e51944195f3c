"""A benchmark as a pipeline's stage: run, compared, shown in the report; refused before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from open_r1.rundir import read_json

Command = Callable[..., Any]


def write_pipeline(folder: Path, **settings: Any) -> Path:
    benchmark = {"kind": "benchmark", "model": "base", "benchmark": "tasks:sums?n=5", "num_samples": 2,
                 "max_new_tokens": 8, **settings}  # fmt: skip
    stages = {
        "problems": {"kind": "problems", "families": {"sums": [3, 3]}, "sft": 32, "rl": 8, "held_out": 4},
        "traces": {"kind": "traces", "problems": "problems", "style": "terse"},
        "base": {
            "kind": "model", "traces": "traces",
            "shape": {"hidden_size": 32, "num_layers": 1, "intermediate_size": 64},
        },
        "first": benchmark,
        "second": {**benchmark, "baseline": "first", "temperature": 1.0},
        "report": {"kind": "report"},
    }  # fmt: skip
    path = folder / "pipeline.yaml"
    path.write_text(
        yaml.safe_dump({"name": "p", "output_dir": str(folder / "out"), "seed": 0, "stages": stages}, sort_keys=False)
    )
    return path


def test_a_benchmark_is_a_stage(open_r1: Command, tmp_path: Path) -> None:
    path = write_pipeline(tmp_path)
    ran = open_r1("run", path)
    assert ran.status == 0, ran.err
    summary = read_json(tmp_path / "out" / "second" / "summary.json")
    assert (summary["model"], summary["name"], summary["num_problems"]) == ("base", "tasks-sums", 5)
    comparison = read_json(tmp_path / "out" / "second" / "comparison.json")
    assert comparison["modes"]["sampled"]["difference"]["n"] == 5
    assert "tasks-sums" in (tmp_path / "out" / "report.html").read_text()
    again = open_r1("run", path)
    assert again.status == 0 and "scoring" not in again.err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"benchmark": "math500"}, "unknown benchmark 'math500'; did you mean 'math_500'"),
        ({"num_samples": 0}, "num_samples must be at least 1"),
        ({"data": "absent.jsonl", "benchmark": "math_500"}, "'absent.jsonl' does not exist"),
    ],
)
def test_what_cannot_be_run_is_refused_first(
    open_r1: Command, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    ran = open_r1("run", write_pipeline(tmp_path, **settings))
    assert ran.status == 2 and message in ran.err
    assert not (tmp_path / "out" / "problems").exists()
