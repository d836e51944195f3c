"""The README's commands on real files: GSM8K and MATH, in their own columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from open_r1.rundir import read_json

SMALL = [
    "--max_steps", "2", "--per_device_train_batch_size", "2", "--gradient_checkpointing", "false",
    "--report_to", "none", "--max_samples", "64",
]  # fmt: skip


def test_sft_on_gsm8k(open_r1: Callable[..., Any], tiny_model: Path, real_data: Path, tmp_path: Path) -> None:
    ran = open_r1(
        "sft", "--model_name_or_path", tiny_model, "--dataset_name", real_data / "gsm8k_train.jsonl",
        "--dataset_prompt_column", "question", "--dataset_response_format", "r1", "--output_dir", tmp_path / "out",
        *SMALL, "--max_length", "2048",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert "⟦<think>" in ran.err
    assert "<<" not in ran.err.split("⟦")[1]
    assert read_json(tmp_path / "out" / "done.json")["steps"] == 2


def test_grpo_on_gsm8k_and_math(
    open_r1: Callable[..., Any], tiny_model: Path, real_data: Path, tmp_path: Path
) -> None:
    group = ["--num_generations", "2", "--max_completion_length", "16"]
    for name, column in (("gsm8k_train", "question"), ("math_train", "problem"), ("math500", "problem")):
        ran = open_r1(
            "grpo", "--model_name_or_path", tiny_model, "--dataset_name", real_data / f"{name}.jsonl",
            "--dataset_prompt_column", column, "--output_dir", tmp_path / name, *SMALL, *group,
        )  # fmt: skip
        assert ran.status == 0, ran.err
        assert len(list((tmp_path / name / "rollouts").iterdir())) == 2


def test_evaluation_on_real_problems(
    open_r1: Callable[..., Any], tiny_model: Path, real_data: Path, tmp_path: Path
) -> None:
    ran = open_r1(
        "eval", tiny_model, "--problems", real_data / "aime24.jsonl", "--prompt_column", "problem",
        "--solution_column", "answer", "--max_new_tokens", "8", "--num_samples", "2", "--skip_unusable",
        "--output_dir", tmp_path / "e",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    evaluated = read_json(tmp_path / "e" / "aime24" / "summary.json")["num_problems"]
    assert 0 < evaluated < 30 and f"{30 - evaluated} of 30 problems are left out" in ran.err
    assert f"n = {evaluated}" in ran.out
