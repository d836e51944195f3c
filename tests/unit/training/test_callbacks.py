"""What stands beside the training loop: the log, the lines of progress, the settings that would not resume."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from open_r1.errors import RunError, Terminated
from open_r1.rundir import RunDir
from open_r1.training.callbacks import MetricsCallback, ProgressCallback, StopCallback
from open_r1.training.stage import find_resume_point, refuse_nan, stopping_with_checkpoint


def state(step: int, is_first: bool = True, max_steps: int = 10) -> Any:
    return SimpleNamespace(global_step=step, max_steps=max_steps, is_world_process_zero=is_first)


CONTROL: Any = None


def test_every_log_is_a_line_with_its_step_and_no_value_that_json_lacks(tmp_path: Path) -> None:
    callback = MetricsCallback(RunDir(tmp_path))
    callback.on_log(None, state(3), CONTROL, {"loss": 0.5, "kl": math.nan, "grad_norm": math.inf, "epoch": 1})
    callback.on_log(None, state(4, is_first=False), CONTROL, {"loss": 0.4})
    callback.on_log(None, state(5), CONTROL, {})
    lines = RunDir(tmp_path).metrics.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 3, "loss": 0.5, "kl": None, "grad_norm": None, "epoch": 1}
    ]


def progress(monkeypatch: pytest.MonkeyPatch, *moments: float) -> tuple[ProgressCallback, list[str]]:
    clock = iter(moments)
    monkeypatch.setattr("open_r1.training.callbacks.time.monotonic", lambda: next(clock))
    lines: list[str] = []
    callback = ProgressCallback(lines.append, ["my_judge"])
    callback.on_train_begin(None, state(2), CONTROL)
    return callback, lines


def test_a_line_of_progress_has_the_step_the_numbers_of_judges_and_the_time_left(monkeypatch) -> None:
    callback, lines = progress(monkeypatch, 100.0, 108.0)
    logs = {"loss": 0.25, "rewards/my_judge/mean": 0.5, "rewards/other/mean": 1.0, "completions/mean_length": 12}
    callback.on_log(None, state(4), CONTROL, logs)
    assert lines == ["step 4/10  loss 0.25  my_judge 0.5  mean_length 12  24 s left"]


def test_lines_of_progress_are_five_seconds_apart_but_the_last_is_never_missing(monkeypatch) -> None:
    callback, lines = progress(monkeypatch, 0.0, 5.0, 9.9, 10.0, 11.0, 12.0, 13.0)
    for step in (3, 4, 5, 6, 10):
        callback.on_log(None, state(step), CONTROL, {"loss": 1})
    callback.on_log(None, state(10), CONTROL, {"unknown": 1})
    assert [line.split()[1] for line in lines] == ["3/10", "5/10", "10/10"]


def test_before_the_first_step_the_time_left_is_not_known(monkeypatch) -> None:
    callback, lines = progress(monkeypatch, 0.0, 50.0)
    callback.on_log(None, state(2), CONTROL, {"reward": 1.0})
    assert lines == ["step 2/10  reward 1  nan s left"]


def test_weights_that_are_not_finite_are_refused() -> None:
    model = torch.nn.Linear(2, 2)
    refuse_nan(model)
    with torch.no_grad():
        model.bias[1] = torch.nan
    with pytest.raises(RunError, match="training diverged"):
        refuse_nan(model)


def run_with_checkpoints(folder: Path, *steps: int) -> RunDir:
    run = RunDir(folder)
    for step in steps:
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")
        run.mark_checkpoint(step)
    run.metrics.write_text("".join(f'{{"step": {step}}}\n' for step in range(1, 7)), encoding="utf-8")
    return run


@pytest.mark.parametrize(
    ("wanted", "starts_over", "point", "steps_left"),
    [
        (None, False, "checkpoint-4", 4),
        ("true", False, "checkpoint-4", 4),
        (True, False, "checkpoint-4", 4),
        ("False", False, None, 0),
        ("checkpoint-2", False, "checkpoint-2", 2),
        (None, True, None, 6),
    ],
)
def test_a_run_resumes_from_the_checkpoint_asked_for_and_forgets_later_steps(
    tmp_path: Path, wanted: Any, starts_over: bool, point: str | None, steps_left: int
) -> None:
    run = run_with_checkpoints(tmp_path / "run", 2, 4)
    if wanted == "checkpoint-2":
        wanted = str(tmp_path / "run" / wanted)
    found = find_resume_point(run, SimpleNamespace(resume_from_checkpoint=wanted), starts_over)
    assert (found and found.name) == point
    assert len(run.metrics.read_text(encoding="utf-8").splitlines()) == steps_left


def test_a_half_written_checkpoint_is_removed_before_a_run_resumes(tmp_path: Path) -> None:
    run = run_with_checkpoints(tmp_path / "run", 2, 4)
    (tmp_path / "run" / "checkpoint-4" / "trainer_state.json").write_text("", encoding="utf-8")
    found = find_resume_point(run, SimpleNamespace(resume_from_checkpoint=None))
    assert found is not None and found.name == "checkpoint-2"
    assert not (tmp_path / "run" / "checkpoint-4").exists()


def stop_at(step: int, callback: StopCallback, max_steps: int = 10) -> bool:
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    callback.on_step_end(None, state(step, max_steps=max_steps), control)  # type: ignore[arg-type]
    assert control.should_save == control.should_training_stop
    return control.should_save


def test_a_signal_ends_training_with_a_checkpoint_where_a_generation_ends() -> None:
    said: list[str] = []
    callback = StopCallback(SimpleNamespace(num_processes=1), 4, said.append)
    assert not stop_at(4, callback)
    callback.ask()
    assert said == ["stopping with a checkpoint after this step; interrupt again to stop at once"]
    assert [stop_at(step, callback) for step in (5, 6, 7, 8)] == [False, False, False, True]
    assert not stop_at(12, callback, max_steps=12), "the last step ends the run by itself"
    with pytest.raises(KeyboardInterrupt):
        callback.ask()


def test_sigterm_that_comes_twice_is_one_request() -> None:
    callback = StopCallback(SimpleNamespace(num_processes=1), 1, lambda line: None)
    callback.ask(signal.SIGTERM)
    callback.ask(signal.SIGTERM)
    assert callback.is_terminated
    assert stop_at(1, callback)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_what_is_kept_or_lost(tmp_path: Path, number: int) -> None:
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(num_processes=1), state=state(3), add_callback=lambda callback: None,
        args=SimpleNamespace(gradient_accumulation_steps=1, save_only_model=False),
    )  # fmt: skip

    def stop_twice(run: RunDir) -> None:
        with stopping_with_checkpoint(trainer, run, lambda line: None):
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match="stopped before the first checkpoint: 3 steps are lost") as ended:
        stop_twice(RunDir(tmp_path / "none"))
    assert isinstance(ended.value, Terminated) == (number == signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 3; the same command goes on from checkpoint-2"):
        stop_twice(run_with_checkpoints(tmp_path / "run", 2))
    assert signal.getsignal(number) is before
