"""What TRL's trainers lack for a run that ends where an unbroken one ends, and a true model card; a mixin over both.

It leans on `_prepare_for_training`, `_init_training_state`, `_save_checkpoint`, `_run_epoch` and the nesting of
accelerate's samplers; `tests/contract/test_trl_internals.py` fails when they move.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from open_r1.hub.card import write_own_card
from open_r1.processes.ranks import is_main_process
from open_r1.rundir import RunDir, read_json
from open_r1.training.callbacks import Report
from open_r1.training.hub_pushes import PushingTrainer
from open_r1.training.parse import StageArguments
from open_r1.training.stage import OpenRun


class ResumableTrainer(PushingTrainer):
    """A trainer that claims its folder when all checks have passed, whose checkpoints are marked when whole, and whose
    data order depends on the epoch alone."""

    run: RunDir
    arguments: StageArguments
    report: Report
    opened: OpenRun | None = None
    """The folder to be claimed when training begins; None where nothing is to be left behind."""

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: Any) -> Any:
        """Prepare; check what only a prepared model can be checked for; and only then claim the folder."""
        trainer: Any = self
        prepared = super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)  # type: ignore[misc]
        if resume_from_checkpoint is None:
            self.check_before_training()
        trainer.accelerator.wait_for_everyone()
        if self.opened is not None and is_main_process():
            self.begin(self.opened)
        trainer.accelerator.wait_for_everyone()
        return prepared

    def _init_training_state(
        self, max_steps: int, steps_an_epoch: int, num_epochs: int, resume_from_checkpoint: Any, trial: Any
    ) -> Any:
        """transformers', with the best checkpoint where the folder is now: it ignores one at a path that is gone."""
        trainer: Any = self
        counts = super()._init_training_state(max_steps, steps_an_epoch, num_epochs, resume_from_checkpoint, trial)  # type: ignore[misc]
        if resume_from_checkpoint:
            recorded = read_json(Path(resume_from_checkpoint) / "trainer_state.json").get("best_model_checkpoint")
            found = self.run.path / Path(recorded or "").name
            if recorded and found.is_dir():
                trainer.state.best_model_checkpoint = str(found)
        return counts

    def check_before_training(self) -> None:
        """A trainer's own last check; it raises where training can't work."""

    def begin(self, opened: OpenRun) -> None:
        """Claim the run folder; in the process that writes."""
        opened.begin()

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Our model card instead of TRL's draft, which doesn't know a model that came from a folder."""
        if is_main_process():
            write_own_card(self.run.path)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write, wait for every process, mark, and only then let older checkpoints go.

        transformers deletes older ones before anything says that the new one is whole: a kill in between, with
        `save_total_limit` 1, would leave none.
        """
        trainer: Any = self
        limit, trainer.args.save_total_limit = trainer.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
        finally:
            trainer.args.save_total_limit = limit
        trainer.accelerator.wait_for_everyone()
        if trainer.args.should_save:
            self.run.mark_checkpoint(trainer.state.global_step)
            self.run.drop_old_checkpoints(limit, trainer.state.best_model_checkpoint)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> Any:
        """Give every sampler its epoch; under several processes accelerate's wrappers hide it when batches are skipped.

        A run resumed from its last step has nothing left to do, where transformers would take one more.
        """
        trainer: Any = self
        if trainer.state.global_step >= trainer.state.max_steps:
            trainer.control.should_training_stop = True
            return None
        run_epoch = super()._run_epoch  # type: ignore[misc]
        given = inspect.signature(run_epoch).bind(*args, **kwargs).arguments
        for sampler in nested_samplers(given["train_dataloader"]):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(given["epoch"])
        return run_epoch(*args, **kwargs)


def nested_samplers(outer: Any) -> Iterator[Any]:
    """Every sampler inside a data loader, from the outermost in."""
    for name in ("batch_sampler", "sampler"):
        inner = getattr(outer, name, None)
        if inner is not None and inner is not outer:
            yield inner
            yield from nested_samplers(inner)
