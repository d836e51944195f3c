"""The callbacks of the setting `callbacks`: Open-R1's by their names, and the user's own as `module:Class`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from open_r1.configs.checks import CALLBACK_NAMES
from open_r1.configs.references import load_object
from open_r1.errors import OpenR1Error
from open_r1.hub.push import MODEL_LEFT_OUT, push_folder

logger = logging.getLogger(__name__)

STATE_LEFT_OUT = ("*.pt", "*.pth", "global_step*", "rng_state*", "open_r1_complete.json")
"""What of a checkpoint only serves to go on from it."""


class PushRevisionCallback(TrainerCallback):
    """Pushes each checkpoint to a branch of its own, `<hub_model_revision>-step-<step>`; a failure ends no training."""

    def __init__(self, report: Callable[[str], None] = logger.warning, api: Any = None) -> None:
        self.report, self.api = report, api

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Push the checkpoint that was just written, without optimizer and random state."""
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        branch = f"{args.hub_model_revision}-step-{state.global_step:09d}"
        try:
            push_folder(
                folder,
                args.hub_model_id,
                f"Add {folder.name}",
                revision=branch,
                private=args.hub_private_repo,
                left_out=(*MODEL_LEFT_OUT, *STATE_LEFT_OUT),
                api=self.api,
            )
        except OpenR1Error as error:
            self.report(f"step {state.global_step}: {error} Training goes on.")
        else:
            self.report(f"step {state.global_step}: pushed to {args.hub_model_id}, revision {branch}")


CALLBACKS: dict[str, Callable[[Callable[[str], None]], TrainerCallback]] = dict(
    zip(CALLBACK_NAMES, (PushRevisionCallback,), strict=True)
)


def make_callbacks(names: Sequence[str], report: Callable[[str], None] = logger.warning) -> list[TrainerCallback]:
    """The callbacks of these names. ConfigError for one that can't be imported."""
    return [
        CALLBACKS[name](report) if name in CALLBACKS else load_object(name, "callback", "my_callbacks:MyCallback")()
        for name in names
    ]
