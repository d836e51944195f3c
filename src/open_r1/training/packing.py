"""SFT's batches: how much of them is padding, samples of one length together, packed samples that don't see each other.

TRL packs by best fit (`packing: true`) into sequences of `max_length` without padding, and marks where each sample
begins by `position_ids`. FlashAttention reads them; for `sdpa`, `eager` and `flex_attention` transformers makes the mask
from them. A model whose code does neither would train on samples that attend to each other, which
`refuse_contamination` finds out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import torch
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from open_r1.errors import ModelError

PROBE = (6, 9)
"""Tokens of the two samples by which packing is checked."""
SAME = 1e-3
"""Logits of a sample may change by this share of their spread where the sample before it changes."""


class EpochLengthSampler(LengthGroupedSampler):
    """transformers' sampler of `train_sampling_strategy: group_by_length`, in an order of the epoch alone.

    Batches have samples of similar length, the longest sample comes first, so that too little memory shows at once.
    transformers takes the order from where the global generator is, which a resumed run does not repeat.
    """

    seed = 0

    def set_epoch(self, epoch: int) -> None:
        """Make the order of this epoch depend on the seed and the epoch alone."""
        self.generator = torch.Generator().manual_seed(self.seed + epoch)

    def __iter__(self) -> Iterator[int]:
        if self.generator is None:
            self.set_epoch(0)
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=self.generator))


def padding_share(lengths: Sequence[int], order: Sequence[int], batch_size: int) -> float:
    """The share of tokens that is padding where samples are padded to the longest of each batch, in that order."""
    batches = [
        [lengths[index] for index in order[start : start + batch_size]] for start in range(0, len(order), batch_size)
    ]
    return 1 - sum(map(sum, batches)) / sum(max(batch) * len(batch) for batch in batches)


def describe_padding(lengths: Sequence[int], training: Any) -> str:
    """What share of the tokens will be padding, and which setting would lower it; empty where nothing is padded."""
    if training.packing or training.padding_free or training.per_device_train_batch_size == 1 or len(lengths) < 2:
        return ""
    limit = training.max_length or max(lengths)
    cut = [min(length, limit) for length in lengths]
    size, rng = training.per_device_train_batch_size, numpy.random.default_rng(training.seed)
    batch = size * training.gradient_accumulation_steps
    grouped = padding_share(
        cut, get_length_grouped_indices(cut, batch, generator=torch.Generator().manual_seed(0)), size
    )
    if training.train_sampling_strategy == "group_by_length":
        return f"{grouped:.0%} of the tokens will be padding"
    at_random = padding_share(cut, rng.permutation(len(cut)).tolist(), size)
    advice = f"; train_sampling_strategy group_by_length: {grouped:.0%}, packing: none" if at_random > 0.1 else ""
    return f"{at_random:.0%} of the tokens will be padding{advice}"


def describe_packing(rows: Any, max_length: int) -> str:
    """How full the packed sequences are."""
    filled = [sum(lengths) for lengths in rows["seq_lengths"]]
    samples = sum(map(len, rows["seq_lengths"]))
    share = sum(filled) / len(filled) / max_length
    return (
        f"{samples:,} samples in {len(filled):,} sequences without padding, each filled to {share:.0%} of max_length"
    )


def refuse_contamination(trainer: Any) -> None:
    """ModelError where a packed sample sees the one before it.

    Two samples are packed twice with another first one; the second's logits must be the same. Every process takes part.
    """
    model, first, second = trainer.model_wrapped, *PROBE
    known = trainer.model.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    tail = torch.randint(known, (second,), generator=generator).tolist()
    was_training = model.training
    model.eval()
    logits = []
    try:
        for _ in range(2):
            ids = torch.randint(known, (first,), generator=generator).tolist() + tail
            row = {"input_ids": ids, "labels": ids, "seq_lengths": list(PROBE)}
            batch = trainer._prepare_inputs(trainer.data_collator([row])) | {"use_cache": False}  # as TRL trains
            with torch.no_grad(), trainer.compute_loss_context_manager():
                output = model(**{name: value for name, value in batch.items() if name != "labels"})
            logits.append(output.logits[0, -second:].float())
    finally:
        model.train(was_training)
    change = float((logits[0] - logits[1]).abs().max()) / float(logits[0].std())
    if change > SAME:
        raise ModelError(
            f"packed samples see each other in this model with attn_implementation = {attention_of(trainer.model)}: another "
            f"sample before one changes its logits by {change:.1%} of their spread. Set packing false, or choose another "
            "attn_implementation."
        )


def attention_of(model: Any) -> str:
    """The attention's name in a model's config."""
    return str(getattr(model.config, "_attn_implementation", "unknown"))
