"""TRL's fused loss projects only the positions that carry loss, on a CPU as on a GPU.

TRL 1.16 leaves prompts and padding out of the output layer where Triton runs and computes every position elsewhere, since
some accelerators recompile for each new shape. A CPU does not. Loss and gradients are the same but for rounding.
`tests/contract/test_trl_internals.py` fails when TRL's choice moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import Trainer
from trl.trainer import utils


class LabelledPositionsTrainer(Trainer):
    """A trainer, of SFT or GRPO, whose output layer is computed where labels are."""

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """The loss, as TRL has it."""
        with labelled_positions_only():
            return super().compute_loss(*args, **kwargs)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        with labelled_positions_only():
            return super()._get_per_token_logps_and_entropies(*args, **kwargs)  # type: ignore[misc]


@contextmanager
def labelled_positions_only() -> Iterator[None]:
    """Within the block TRL's fused forward leaves out positions without a label on a CPU too."""
    trl: Any = utils
    chosen = trl._use_triton

    def leaves_out(device: torch.device) -> bool:
        return device.type == "cpu" or chosen(device)

    trl._use_triton = leaves_out
    try:
        yield
    finally:
        trl._use_triton = chosen
