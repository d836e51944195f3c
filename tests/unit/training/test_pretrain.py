"""Pretraining a base model: what it reads, when it stops, and that being killed changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from open_r1.errors import ConfigError, RunError
from open_r1.pipeline import read_pipeline
from open_r1.records import Estimate, Problem
from open_r1.rundir import RunDir, hash_files, read_jsonl
from open_r1.text.tags import render_completion
from open_r1.training.pretrain import Pretraining, PretrainSettings, plain_text

PAIRS = [(f"Compute {n}+1", render_completion(f"{n}+1={n + 1}", str(n + 1))) for n in range(9)]
PROBLEMS = [Problem("Compute 9+1", "10", "sums", 1)]
SETTINGS = PretrainSettings((0.2, 0.3), 8, 4, 1e-3, 2, 4, 0)


def start(model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *accuracies: float) -> Pretraining:
    """A run whose measurements come out as given, the last one for good."""
    run = RunDir(folder)
    run.create()
    training = Pretraining(model, PAIRS, SETTINGS, run)
    values = list(accuracies)

    def measure(problems: Any) -> Estimate:
        value = values[0] if len(values) == 1 else values.pop(0)
        return Estimate(value, 0.0, 1.0, len(problems))

    monkeypatch.setattr(training, "measure", measure)
    return training


def train(training: Pretraining) -> dict[str, Any]:
    return training.train(PROBLEMS, lambda line: None)


def test_the_text_has_the_work_and_the_answer_but_no_tags() -> None:
    assert plain_text(*PAIRS[2]) == "Compute 2+1\n2+1=3\n\\boxed{3}"


def test_it_stops_at_the_first_measurement_in_the_range(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = train(start(tiny_model, tmp_path, monkeypatch, 0.0, 0.1, 0.25))
    assert (facts["steps"], facts["accuracy"]) == (6, 0.25)
    assert [row["accuracy"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [0.0, 0.1, 0.25]
    assert (tmp_path / "model.safetensors").exists() and not (tmp_path / "state.pt").exists()


@pytest.mark.parametrize(
    ("accuracies", "message"),
    [
        ((0.1, 0.4), "the accuracy went from below 0.2 to 0.4 between two measurements, past the range up to 0.3"),
        ((0.1,), "after max_steps = 8 steps less than 0.2 of the samples are right; raise max_steps"),
    ],
)
def test_a_base_that_is_never_in_the_range_is_not_made(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accuracies: tuple[float, ...], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        train(start(tiny_model, tmp_path, monkeypatch, *accuracies))
    assert not (tmp_path / "model.safetensors").exists()


def test_a_killed_pretraining_ends_with_the_same_weights(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(start(tiny_model, tmp_path / "whole", monkeypatch, 0.0, 0.0, 0.25))
    killed = start(tiny_model, tmp_path / "killed", monkeypatch, 0.0)
    monkeypatch.setattr(killed, "next_batch", batches_until(killed, step=5))
    with pytest.raises(KeyboardInterrupt):
        train(killed)
    facts = train(start(tiny_model, tmp_path / "killed", monkeypatch, 0.25))
    assert facts["steps"] == 6
    weights = [hash_files([tmp_path / name / "model.safetensors"]) for name in ("whole", "killed")]
    assert weights[0] == weights[1]
    assert [row["step"] for row in read_jsonl(tmp_path / "killed" / "metrics.jsonl")] == [2, 4, 6]


def batches_until(training: Pretraining, step: int) -> Any:
    whole = training.next_batch

    def next_batch() -> Any:
        if training.step == step:
            raise KeyboardInterrupt
        return whole()

    return next_batch


def test_an_accuracy_that_is_no_range_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        "output_dir: out\nstages:\n  problems: {kind: problems, families: {sums: [1, 2]}}\n  traces: {kind: traces}\n"
        "  model: {kind: model}\n  base: {kind: pretrain, accuracy: [0.3, 0.1]}\n"
    )
    with pytest.raises(ConfigError, match=r"stage 'base': accuracy must be \[lowest, highest\] above 0 and at most 1"):
        read_pipeline(path)
