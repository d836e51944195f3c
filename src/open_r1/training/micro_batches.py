"""Samples of one optimizer step in micro-batches of similar length, each cut to its own longest sample.

TRL pads a whole generation to its longest prompt and its longest completion, and computes every sample at that width.
Here samples are sorted by length and cut into runs whose padded size stays within a budget of tokens. Sizes are in tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

PROMPT_SIDE = ("prompt_ids", "prompt_mask")
"""Inputs of shape (samples, longest prompt), padded on the left."""
COMPLETION_SIDE = (
    "completion_ids",
    "completion_mask",
    "tool_mask",
    "old_per_token_logps",
    "ref_per_token_logps",
    "sampling_per_token_logps",
    "importance_sampling_ratio",
)
"""Inputs of shape (samples, longest completion), padded on the right; a ratio of whole sequences has shape (samples, 1)."""
KNOWN = {*PROMPT_SIDE, *COMPLETION_SIDE, "advantages", "num_items_in_batch"}

MICRO_BATCH_COST = 128
"""What one more micro-batch costs, in tokens: the fixed part of a forward and backward pass."""


@dataclass(frozen=True)
class MicroBatch:
    """Inputs of TRL's loss, and the factor that gives its loss the weight its samples have in the whole step."""

    inputs: dict[str, Any]
    weight: float

    @property
    def padded_tokens(self) -> int:
        """Tokens that the model computes, padding included."""
        return self.inputs["prompt_ids"].numel() + self.inputs["completion_ids"].numel()

    @property
    def tokens(self) -> int:
        """Tokens that are not padding."""
        return int(self.inputs["prompt_mask"].sum() + self.inputs["completion_mask"].sum())


def count_samples(batch: Mapping[str, Any]) -> int:
    """Samples in the batch."""
    return len(batch["prompt_ids"])


def widths(batch: Mapping[str, Any]) -> np.ndarray:
    """Shape (samples, 2): the length of each prompt and completion; a masked completion has length 1."""
    lengths = [batch["prompt_mask"].sum(1), batch["completion_mask"].sum(1)]
    return torch.stack(lengths, dim=1).clamp(min=1).cpu().numpy()


def take(batch: Mapping[str, Any], rows: Sequence[int], multiple: int | None = None) -> dict[str, Any]:
    """These samples alone, prompts and completions cut to the longest among them (rounded up to `multiple`)."""
    index = torch.as_tensor(list(rows), dtype=torch.long, device=batch["prompt_ids"].device)
    prompt, completion = widths(batch)[list(rows)].max(axis=0, initial=1)
    taken: dict[str, Any] = {}
    for name, value in batch.items():
        if value is None or value.dim() == 0:
            taken[name] = value
        elif name in PROMPT_SIDE:
            taken[name] = value[index, value.size(1) - rounded(prompt, multiple, value.size(1)) :]
        elif name in COMPLETION_SIDE:
            taken[name] = value[index, : rounded(completion, multiple, value.size(1))]
        else:
            taken[name] = value[index]
    return taken


def rounded(width: int, multiple: int | None, most: int) -> int:
    """The width rounded up to a multiple, and `most` at most; as it is without a multiple."""
    return min(most, -(-int(width) // multiple) * multiple if multiple else int(width))


def join(batches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several batches of one generation as one; prompts are padded on the left, completions on the right, with 0."""
    joined: dict[str, Any] = {}
    for name, first in batches[0].items():
        if first is None or first.dim() == 0:
            joined[name] = first
            continue
        values = [batch[name] for batch in batches]
        if first.dim() == 2:
            width = max(value.size(1) for value in values)
            values = [pad_to(value, width, left=name in PROMPT_SIDE) for value in values]
        joined[name] = torch.cat(values)
    return joined


def pad_to(value: torch.Tensor, width: int, left: bool) -> torch.Tensor:
    """The tensor (samples, tokens) padded with 0 to this width, on the left or the right."""
    missing = width - value.size(1)
    return torch.nn.functional.pad(value, (missing, 0) if left else (0, missing))


def plan(lengths: np.ndarray, budget: int, cost: int = MICRO_BATCH_COST) -> list[list[int]]:
    """Rows in micro-batches: each at most `budget` padded tokens, or one row; the least padded tokens plus `cost` each.

    Args:
        lengths: Shape (samples, 2), the lengths of prompt and completion.
        budget: The most padded tokens of a micro-batch.
        cost: What a further micro-batch costs, in tokens.

    The rows are sorted by total length; the best cuts of that order are found by dynamic programming.
    """
    order = np.argsort(-lengths.sum(axis=1), kind="stable")
    ordered, count = lengths[order], len(order)
    best, start = np.full(count + 1, np.inf), np.zeros(count + 1, dtype=int)
    best[0] = 0
    for first in range(count):
        longest = np.maximum.accumulate(ordered[first:], axis=0).sum(axis=1)
        padded = longest * np.arange(1, count - first + 1)
        padded = padded[: max(1, int(np.searchsorted(padded, budget, side="right")))]  # padded sizes only grow
        totals = best[first] + padded + cost
        ends = np.arange(first + 1, first + 1 + len(padded))
        better = totals < best[ends]
        best[ends[better]], start[ends[better]] = totals[better], first
    cuts, end = [], count
    while end:
        cuts.append(order[start[end] : end].tolist())
        end = start[end]
    return cuts[::-1]


def share_out(lengths: np.ndarray, ranks: int) -> list[list[int]]:
    """Rows for each rank such that the sums of squared lengths are about equal: the longest first, to the least loaded.

    Equal tokens are not equal time: attention grows with the square of a sample's length.
    """
    squares = lengths.sum(axis=1).astype(np.int64) ** 2
    shares: list[list[int]] = [[] for _ in range(ranks)]
    loads = [0] * ranks
    for row in np.argsort(-squares, kind="stable"):
        rank = loads.index(min(loads))
        shares[rank].append(int(row))
        loads[rank] += int(squares[row])
    return shares
