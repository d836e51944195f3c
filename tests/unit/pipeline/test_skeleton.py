"""What `open-r1 new` and `open-r1 model new` write, and that it runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_r1.pipeline import read_pipeline
from open_r1.rewards import build_reward

Command = Callable[..., Any]


def test_a_new_folder_has_all_that_a_run_needs(
    open_r1: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = open_r1("new", "mine")
    assert ran.status == 0 and "next: open-r1 run mine/pipeline.yaml" in ran.out
    stages = {stage.name: stage for stage in read_pipeline(Path("mine/pipeline.yaml")).stages}
    assert list(stages) == ["base", "sft", "before", "grpo", "after", "report"]
    assert open_r1("run", "mine/pipeline.yaml", "--dry-run").status == 0
    chats = [[{"role": "assistant", "content": text}] for text in ("\\boxed{3}", "\\boxed{3} \\boxed{4}")]
    assert build_reward("mine/reward.py:one_answer")(chats) == [1.0, 0.0]
    held_out = {json.loads(line)["prompt"] for line in Path("mine/held_out.jsonl").read_text().splitlines()}
    learned = {json.loads(line)["prompt"] for line in Path("mine/problems.jsonl").read_text().splitlines()}
    assert len(held_out) > 20 and not held_out & learned


def test_a_folder_with_something_in_it_is_left_alone(open_r1: Command, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    ran = open_r1("new", tmp_path)
    assert ran.status == 2 and "is not empty" in ran.err and [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_tiny_model_is_made_from_texts(open_r1: Command, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "one and two are three", "n": 1}\n' * 5)
    out = tmp_path / "model"
    ran = open_r1("model", "new", tmp_path / "texts.jsonl", out, "--hidden_size", 32, "--num_layers", 1)
    assert ran.status == 0, ran.err
    assert json.loads((out / "config.json").read_text())["hidden_size"] == 32 and (out / "tokenizer.json").exists()
    (tmp_path / "texts.jsonl").write_text('{"n": 1}\n')
    assert "no texts" in open_r1("model", "new", tmp_path / "texts.jsonl", tmp_path / "other").err
