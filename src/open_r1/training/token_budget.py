"""GRPO's update without waste: samples grouped by length, dull ones left out, the load shared between the ranks.

TRL's normalisation stays: the loss and the gradients of an optimizer step equal those of stock TRL on the same samples.
How a micro-batch's loss is weighted follows from the denominator that TRL 1.16 uses for each `loss_type`:

| loss_type | TRL's denominator | weight of a part of n of the B samples of a micro-batch |
|---|---|---|
| grpo, sapo, dr_grpo, luspo | samples of the micro-batch | n / B |
| dapo, cispo, vespo | tokens of the generation | 1 |
| bnpo | tokens of the micro-batch | the part's share of the tokens; samples stay in their micro-batch |

Terms that average over a micro-batch (entropy bonus, `top_entropy_quantile`, a router's auxiliary loss) keep TRL's
micro-batches, each cut to its longest sample. Leans on `_prepare_inputs`, `_buffered_inputs`, `_compute_loss` and
`_get_per_token_logps_and_entropies` of TRL 1.16; `tests/contract/test_trl_internals.py` fails when they move.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import DistributedType, gather_object
from trl import GRPOTrainer

from open_r1.training.labelled_positions import LabelledPositionsTrainer
from open_r1.training.micro_batches import (
    KNOWN,
    MicroBatch,
    count_samples,
    join,
    plan,
    share_out,
    take,
    widths,
)

WEIGHTED_BY_SAMPLES = ("grpo", "sapo", "dr_grpo", "luspo")
WEIGHTED_BY_GENERATION = ("dapo", "cispo", "vespo")


class TokenBudgetTrainer(LabelledPositionsTrainer, GRPOTrainer):
    """TRL's GRPOTrainer that computes each optimizer step in micro-batches of similar length.

    A micro-batch has at most as many padded tokens as TRL's own would have (`per_device_train_batch_size` samples at the
    generation's full width), so peak memory does not grow.
    """

    _planned_for: Any = None
    """The buffered generation that `_calls` is the plan of."""
    _calls: Sequence[list[MicroBatch]] = ()
    """The micro-batches of each call of `training_step` on it."""

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)
        model: Any = self.model
        buffered = self._buffered_inputs
        if not model.training or buffered is None or not set(buffered[0]) <= KNOWN:
            return inputs
        if self._planned_for is not buffered:
            self._planned_for, self._calls = buffered, self._plan_generation(buffered)
        return self._calls[self._step % len(buffered)]

    def _plan_generation(self, buffered: Sequence[dict[str, Any]]) -> list[list[MicroBatch]]:
        """The micro-batches of each call of `training_step`; a step's last call may carry those of the whole step."""
        if self._averages_over_micro_batches:
            rows = range(count_samples(buffered[0]))
            calls = [[self._micro_batch(batch, rows, 1.0)] for batch in buffered]
        elif self.loss_type == "bnpo":
            calls = [self._as_many_on_every_rank(self._parts_of(batch), batch) for batch in buffered]
        else:
            together, calls = math.gcd(len(buffered), self.args.gradient_accumulation_steps), []
            for start in range(0, len(buffered), together):
                batches = buffered[start : start + together]
                calls += [self._idle_call(batches[0]) for _ in batches[1:]]
                calls.append(self._as_many_on_every_rank(self._regrouped(batches), batches[0]))
        self._log_padding(buffered, calls)
        return calls

    @property
    def _averages_over_micro_batches(self) -> bool:
        """Whether a term of the loss depends on which samples share a micro-batch."""
        known = self.loss_type in (*WEIGHTED_BY_SAMPLES, *WEIGHTED_BY_GENERATION, "bnpo")
        entropy = self._entropy_bonus_enabled or self.top_entropy_quantile < 1.0
        return entropy or self.aux_loss_enabled or not known

    def _live_rows(self, batch: dict[str, Any]) -> list[int]:
        """Samples that move the policy: all where the KL term needs them, else those with an advantage and a loss."""
        if self.beta != 0.0:
            return list(range(count_samples(batch)))
        has_advantage = batch["advantages"].reshape(count_samples(batch), -1).ne(0).any(1)
        return torch.nonzero(has_advantage & loss_mask(batch).ne(0).any(1)).flatten().tolist()

    def _parts_of(self, batch: dict[str, Any]) -> list[MicroBatch]:
        """One of TRL's micro-batches in parts, each weighted by its share of the tokens."""
        live, tokens = self._live_rows(batch), loss_mask(batch).sum(1)
        parts = [[live[row] for row in part] for part in plan(widths(batch)[live], padded_size(batch))]
        shares = [float(tokens[part].sum() / tokens.sum().clamp(min=1)) for part in parts]
        return [self._micro_batch(batch, part, share) for part, share in zip(parts, shares, strict=True)]

    def _regrouped(self, batches: Sequence[dict[str, Any]]) -> list[MicroBatch]:
        """The live samples of several of TRL's micro-batches, this rank's share of them, grouped by length."""
        batch = join(batches)
        batch = take(batch, self._live_rows(batch))
        if self.accelerator.num_processes > 1:
            batch = self._exchange(batch)
        size = count_samples(batches[0])
        by_samples = self.loss_type in WEIGHTED_BY_SAMPLES
        parts = plan(widths(batch), padded_size(batches[0]))
        return [self._micro_batch(batch, part, len(part) / size if by_samples else 1.0) for part in parts]

    def _exchange(self, batch: dict[str, Any]) -> dict[str, Any]:
        """This rank's share of the samples of all ranks, balanced by the sum of squared lengths."""
        everyone = join(gather_object([{name: on_cpu(value) for name, value in batch.items()}]))
        rows = share_out(widths(everyone), self.accelerator.num_processes)[self.accelerator.process_index]
        mine = take(everyone, rows)
        return {name: None if value is None else value.to(self.accelerator.device) for name, value in mine.items()}

    def _micro_batch(self, batch: dict[str, Any], rows: Sequence[int], weight: float) -> MicroBatch:
        return MicroBatch(take(batch, rows, self._multiple), weight)

    @property
    def _multiple(self) -> int | None:
        return int(self.pad_to_multiple_of) if self.pad_to_multiple_of else None

    def _as_many_on_every_rank(self, parts: list[MicroBatch], batch: dict[str, Any]) -> list[MicroBatch]:
        """At least one, and as many as the rank with most: collective operations need every rank.

        What is added is the batch's shortest sample with weight 0.
        """
        most = self._over_ranks(len(parts))
        shortest = int(widths(batch).sum(1).argmin())
        return parts + [self._micro_batch(batch, [shortest], 0.0) for _ in range(max(1, most) - len(parts))]

    def _idle_call(self, batch: dict[str, Any]) -> list[MicroBatch]:
        """No micro-batch, or under DeepSpeed, whose backward pass fails without gradients, one of weight 0."""
        return self._as_many_on_every_rank([], batch) if self._has_deepspeed else []

    def _over_ranks(self, count: int) -> int:
        """The largest of all ranks' counts."""
        if self.accelerator.num_processes == 1:
            return count
        counts: Any = self.accelerator.gather(torch.tensor([count], device=self.accelerator.device))
        return int(counts.max())

    def _compute_loss(self, model: Any, inputs: Any) -> torch.Tensor:
        """The loss of a call's micro-batches; the last one's gradient is left to the caller's backward pass."""
        if not isinstance(inputs, list):
            return super()._compute_loss(model, inputs)
        if not inputs:
            return torch.zeros((), device=self.accelerator.device, requires_grad=True)
        metrics = WeightedMetrics(self._metrics["train"])
        done = torch.zeros((), device=self.accelerator.device)
        for micro_batch in inputs[:-1]:
            with self._without_sync(model):
                loss = self._loss_of(micro_batch, model)
                scale = {"scale_wrt_gas": False} if self._has_deepspeed else {}
                self.accelerator.backward(loss, **scale)
            done += loss.detach()
            metrics.take(micro_batch)
        loss = self._loss_of(inputs[-1], model)
        metrics.take(inputs[-1])
        metrics.write()
        return loss + done

    def _loss_of(self, micro_batch: MicroBatch, model: Any) -> torch.Tensor:
        """TRL's loss in the weight that it has in the step; ranks may have different numbers of samples in it."""
        accelerator: Any = self.accelerator
        if accelerator.num_processes == 1:
            return micro_batch.weight * super()._compute_loss(model, micro_batch.inputs)
        gather = accelerator.gather
        # TRL gathers a value a sample for its metrics and takes their least and greatest without NaN.
        accelerator.gather = lambda value: gather(accelerator.pad_across_processes(value, pad_index=math.nan))
        try:
            return micro_batch.weight * super()._compute_loss(model, micro_batch.inputs)
        finally:
            del accelerator.gather

    @property
    def _has_deepspeed(self) -> bool:
        return self.accelerator.distributed_type == DistributedType.DEEPSPEED

    @contextmanager
    def _without_sync(self, model: Any) -> Iterator[None]:
        """Gradients are added up on this rank; where the caller already defers their exchange, nothing changes."""
        if not self.accelerator.sync_gradients:
            yield
            return
        state = self.accelerator.gradient_state
        state._set_sync_gradients(False)
        try:
            with self.accelerator.no_sync(model):
                yield
        finally:
            state._set_sync_gradients(True)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        *args: Any,
        **more: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Log-probabilities, shape (samples, logits_to_keep); without a gradient, samples are grouped by length too."""
        stock = super()._get_per_token_logps_and_entropies
        batch_size = more.get("batch_size")
        plain = not args and all(value is None for name, value in more.items() if name != "batch_size")
        if torch.is_grad_enabled() or batch_size is None or not plain:
            return stock(model, input_ids, attention_mask, logits_to_keep, *args, **more)
        prompt = input_ids.size(1) - logits_to_keep
        batch = {"prompt_ids": input_ids[:, :prompt], "prompt_mask": attention_mask[:, :prompt]}
        batch |= {"completion_ids": input_ids[:, prompt:], "completion_mask": attention_mask[:, prompt:]}
        logps = torch.zeros(batch["completion_ids"].shape, device=input_ids.device)
        parts = plan(widths(batch), batch_size * input_ids.size(1))
        parts += [[0]] * (self._over_ranks(len(parts)) - len(parts))
        for rows in parts:
            part = take(batch, rows, self._multiple)
            ids = torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1)
            mask = torch.cat([part["prompt_mask"], part["completion_mask"]], dim=1)
            kept = part["completion_ids"].size(1)
            logps[rows, :kept] = stock(model, ids, mask, kept)[0].to(logps.dtype)
        return logps, None, None

    def _log_padding(self, buffered: Sequence[dict[str, Any]], calls: Sequence[Sequence[MicroBatch]]) -> None:
        micro_batches = [one for call in calls for one in call]
        metrics, computed = self._metrics["train"], sum(one.padded_tokens for one in micro_batches)
        metrics["micro_batches"].append(len(micro_batches))
        metrics["padding_share"].append(1 - sum(one.tokens for one in micro_batches) / computed)
        samples = sum(count_samples(batch) for batch in buffered)
        live = sum(count_samples(one.inputs) for one in micro_batches if one.weight)
        metrics["live_share"].append(live / samples)


class WeightedMetrics:
    """Joins what TRL logs for each micro-batch of a call into one value, as if they had been one batch.

    Means are weighted by tokens; names that end in `_min` or `_max` keep the least or greatest. Groups without advantage
    are not in them where they were left out.
    """

    def __init__(self, metrics: dict[str, list[float]]):
        self.metrics = metrics
        self.before = {name: len(values) for name, values in metrics.items()}
        self.weights: list[float] = []

    def take(self, micro_batch: MicroBatch) -> None:
        """Note the weight of the micro-batch whose metrics were just logged."""
        self.weights.append(float(loss_mask(micro_batch.inputs).sum()) if micro_batch.weight else 0.0)

    def write(self) -> None:
        """Replace the micro-batches' values by one each."""
        total = sum(self.weights)
        for name, values in self.metrics.items():
            start = self.before.get(name, 0)
            new = values[start:]
            if len(new) != len(self.weights) or not total:
                continue
            counted = [value for value, weight in zip(new, self.weights, strict=True) if weight]
            if name.endswith(("_min", "_max")):
                values[start:] = [(min if name.endswith("_min") else max)(counted)]
            else:
                values[start:] = [sum(map(lambda one, weight: one * weight, new, self.weights)) / total]


def loss_mask(batch: dict[str, Any]) -> torch.Tensor:
    """Shape (samples, longest completion): 1 where a token counts in the loss."""
    return batch["completion_mask"] * batch["tool_mask"] if "tool_mask" in batch else batch["completion_mask"]


def padded_size(batch: dict[str, Any]) -> int:
    """Tokens that the model computes for this batch, padding included."""
    return batch["prompt_ids"].numel() + batch["completion_ids"].numel()


def on_cpu(value: torch.Tensor | None) -> torch.Tensor | None:
    """The tensor in main memory; None stays None."""
    return None if value is None else value.cpu()
