"""Pushes of `push_to_hub` while training goes on, whose failure loses nothing; a mixin over both trainers.

transformers uploads a checkpoint in the background, says nothing when that fails, and stops training where the Hub refuses
to begin, or, at the end, before the run is marked as done. Here a failure is one line; training goes on and the next save
tries again. The last push comes after everything is written; when it fails, the run is done and RunError says what is left.
It leans on `_push_from_checkpoint`, `push_in_progress` and `hf_api` of transformers' Trainer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import transformers.trainer

from open_r1.errors import RunError
from open_r1.hub.publish import publish
from open_r1.hub.push import MODEL_LEFT_OUT
from open_r1.rundir import RunDir
from open_r1.training.callbacks import Report


class PushingTrainer:
    """A trainer that outlives the Hub."""

    report: Report
    run: RunDir

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        *,
        repo_id: str = "",
        tags: Sequence[str] = (),
        model_description: str = "",
        **options: Any,
    ) -> Any:
        """transformers'; with the guide's `repo_id`, `publish` of the finished model, with these tags in its card."""
        if not repo_id:
            return super().push_to_hub(commit_message, **options)  # type: ignore[misc]
        return publish(self.run.path, repo_id, tags=tags, description=model_description, report=self.report)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Begin the upload of a checkpoint; a failure, of this one's beginning or of one before, is reported."""
        trainer: Any = self
        self._report_background_failures()
        try:
            with leaving_out_records():
                super()._push_from_checkpoint(checkpoint_folder)  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - network and access fail in many ways
            self._report_failure(f"the checkpoint of step {trainer.state.global_step}", error)

    def push_finished(self) -> None:
        """Push the finished model where `push_to_hub` asks for it; RunError where that fails, with what to do."""
        trainer: Any = self
        if not trainer.args.push_to_hub:
            return
        try:
            with leaving_out_records():
                trainer.push_to_hub(commit_message="Model save", revision=trainer.args.hub_revision)
        except Exception as error:  # noqa: BLE001 - network and access fail in many ways
            folder, name = trainer.args.output_dir, trainer.hub_model_id or trainer.args.hub_model_id or "USER/MODEL"
            raise RunError(
                f"the model was not pushed: {reason_of(error)}; nothing is lost: '{folder}' contains everything. Push it by "
                f"open-r1 publish {folder} --repo_id {name}"
            ) from None

    def _report_background_failures(self) -> None:
        trainer: Any = self
        progress = getattr(trainer, "push_in_progress", None)
        for job in progress.jobs if progress is not None else ():
            if job.done() and (error := job.exception()) is not None:
                self._report_failure("an earlier checkpoint", error)
                trainer.push_in_progress = None
                break

    def _report_failure(self, what: str, error: BaseException) -> None:
        self.report(
            f"{what} was not pushed to the Hub: {reason_of(error)}; training goes on, and the next save tries again"
        )


class FilteringHub:
    """The Hub's client, which leaves the records of a run out of what is uploaded of a model."""

    def __init__(self, hub: Any) -> None:
        self.hub = hub

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hub, name)

    def upload_folder(self, **options: Any) -> Any:
        """As the client's; a checkpoint to resume from, which is uploaded without patterns, stays whole."""
        if options.get("ignore_patterns"):
            options["ignore_patterns"] = [*options["ignore_patterns"], *MODEL_LEFT_OUT]
        return self.hub.upload_folder(**options)


@contextmanager
def leaving_out_records() -> Iterator[None]:
    """While it lasts, transformers' trainer uploads no lock, identity or rollouts."""
    module: Any = transformers.trainer
    make = module.hf_api
    module.hf_api = lambda *words, **options: FilteringHub(make(*words, **options))
    try:
        yield
    finally:
        module.hf_api = make


def reason_of(error: BaseException) -> str:
    """The error's message in one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
