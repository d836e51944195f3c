"""What makes a checkpoint safe to resume from: the marker's moment, and samplers that know their epoch."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate.data_loader import BatchSamplerShard, SkipBatchSampler
from torch.utils.data import BatchSampler

from open_r1.errors import RunError
from open_r1.rundir import RunDir
from open_r1.training.grpo import EpochSampler
from open_r1.training.resuming import ResumableTrainer, nested_samplers
from open_r1.training.stage import train_and_save


class FakeTrainer:
    """The part of transformers' Trainer that writes checkpoints, with nothing to train."""

    def __init__(self, run: RunDir, limit: int, wait: Any) -> None:
        self.run = run
        self.args = SimpleNamespace(save_total_limit=limit, should_save=True)
        self.state = SimpleNamespace(global_step=0, best_model_checkpoint=None)
        self.accelerator = SimpleNamespace(wait_for_everyone=wait)
        self.limits_seen: list[Any] = []

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.limits_seen.append(self.args.save_total_limit)
        folder = self.run.path / f"checkpoint-{self.state.global_step}"
        folder.mkdir()
        (folder / "model.safetensors").write_text("x")


class Saving(ResumableTrainer, FakeTrainer):
    pass


def whole(run: RunDir) -> list[str]:
    return [path.name for path in run.checkpoints()]


def test_with_a_limit_of_one_there_is_a_whole_checkpoint_at_every_moment(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    moments: list[list[str]] = []
    trainer = Saving(run, 1, lambda: moments.append(whole(run)))
    for step in (1, 2, 3):
        trainer.state.global_step = step
        trainer._save_checkpoint(None, None)
    assert moments == [[], ["checkpoint-1"], ["checkpoint-2"]]
    assert whole(run) == ["checkpoint-3"]
    assert trainer.limits_seen == [None, None, None]
    assert trainer.args.save_total_limit == 1


def test_the_best_checkpoint_is_kept(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    trainer = Saving(run, 1, lambda: None)
    for step in (1, 2, 3):
        trainer.state.global_step = step
        trainer.state.best_model_checkpoint = str(tmp_path / "checkpoint-1")
        trainer._save_checkpoint(None, None)
    assert whole(run) == ["checkpoint-1", "checkpoint-3"]


def test_the_marker_waits_for_every_process(tmp_path: Path) -> None:
    run = RunDir(tmp_path)

    def fail() -> None:
        raise ConnectionError("another process died while writing")

    trainer = Saving(run, 2, fail)
    with pytest.raises(ConnectionError):
        trainer._save_checkpoint(None, None)
    assert whole(run) == []


def test_a_sampler_is_reached_through_everything_accelerate_wraps_around_it() -> None:
    sampler = EpochSampler(range(16), 2, 4, 1, True, 0)
    shard = BatchSamplerShard(BatchSampler(sampler, 4, drop_last=False), 2, 0)
    loader = SimpleNamespace(batch_sampler=SkipBatchSampler(shard, 1), sampler=None)
    assert any(found is sampler for found in nested_samplers(loader))


class EpochFake:
    def __init__(self, step: int = 0) -> None:
        self.ran: list[int] = []
        self.state = SimpleNamespace(global_step=step, max_steps=5)
        self.control = SimpleNamespace(should_training_stop=False)

    def _run_epoch(self, model: Any, epoch: int, train_dataloader: Any) -> None:
        self.ran.append(epoch)


class Running(ResumableTrainer, EpochFake):
    pass


def test_every_epoch_is_told_to_the_sampler_before_it_is_run() -> None:
    sampler = EpochSampler(range(8), 1, 2, 1, True, 0)
    loader = SimpleNamespace(batch_sampler=SkipBatchSampler(BatchSampler(sampler, 2, False), 1), sampler=None)
    trainer = Running()
    trainer._run_epoch(model=None, epoch=1, train_dataloader=loader)
    second = list(sampler)
    fresh = EpochSampler(range(8), 1, 2, 1, True, 0)
    fresh.set_epoch(1)
    assert trainer.ran == [1]
    assert second == list(fresh)


def test_after_the_last_step_no_epoch_is_run() -> None:
    trainer = Running(step=5)
    trainer._run_epoch(model=None, epoch=0, train_dataloader=SimpleNamespace(batch_sampler=None, sampler=None))
    assert trainer.ran == []
    assert trainer.control.should_training_stop


class StateFake:
    def _init_training_state(
        self, max_steps: int, steps: int, epochs: int, resume_from_checkpoint: Any, trial: Any
    ) -> Any:
        self.state = SimpleNamespace(best_model_checkpoint=None)  # transformers has found nothing at the old path
        return 0, 0


class Restoring(ResumableTrainer, StateFake):
    pass


@pytest.mark.parametrize(
    ("best", "expected"), [("checkpoint-2", "checkpoint-2"), ("checkpoint-9", None), (None, None)]
)
def test_a_run_that_was_moved_knows_its_best_checkpoint(
    tmp_path: Path, best: str | None, expected: str | None
) -> None:
    for step in (2, 4):
        (tmp_path / f"checkpoint-{step}").mkdir()
    recorded = {"global_step": 4, "best_model_checkpoint": best and f"/gone/{best}"}
    (tmp_path / "checkpoint-4" / "trainer_state.json").write_text(json.dumps(recorded))
    trainer: Any = Restoring()
    trainer.run = RunDir(tmp_path)
    assert trainer._init_training_state(4, 4, 1, str(tmp_path / "checkpoint-4"), None) == (0, 0)
    assert trainer.state.best_model_checkpoint == (expected and str(tmp_path / expected))


def test_training_that_took_no_step_is_an_error_and_never_done(tmp_path: Path) -> None:
    """A generation batch larger than the data trained nothing, wrote done.json with 0 steps, and exited with 0."""
    args = SimpleNamespace(resume_from_checkpoint=None, gradient_accumulation_steps=1)
    args.main_process_first = lambda local: nullcontext()
    trainer = SimpleNamespace(
        args=args,
        accelerator=SimpleNamespace(num_processes=1),
        state=SimpleNamespace(global_step=0),
        add_callback=lambda callback: None,
        train=lambda resume_from_checkpoint: None,
    )
    run = RunDir(tmp_path)
    opened: Any = SimpleNamespace(folder=run, starts_over=lambda: False)
    with pytest.raises(RunError, match="training ended without a step, so there is no model; give more data"):
        train_and_save(trainer, None, opened, print)
    assert not run.done.exists()
