"""Where a training's seconds go: each logged row says how many of them each phase took, and what they achieved.

    seconds/generation, seconds/rewards, seconds/logps, seconds/update, seconds/weight_sync, seconds/evaluation,
    seconds/saving, seconds/waiting (for data and other processes, and whatever none of them is)
    tokens_per_second, padding_share, memory_gb, gpu_memory_usage, mfu

The seconds of a row add up to the time since the row before. A phase inside another one counts for itself alone. Tokens a
second are over the time without evaluations and saving. MFU is that of the update: 6 operations for each parameter and
token, without padding, attention and recomputation (PaLM, arXiv:2204.02311, appendix B), by the device's peak. TRL's own
profiling goes to trackers only, and counts nested functions twice.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from open_r1.gpus import of_device
from open_r1.training.micro_batches import MicroBatch

WAITING, EVALUATION = "waiting", "evaluation"
GIGA = 1e9


class PhaseClock:
    """The seconds of each phase since they were last read.

    Args:
        now: A clock in seconds.
        synchronize: Waits for the device, so that what was started in a phase counts there.
    """

    def __init__(
        self, now: Callable[[], float] = time.perf_counter, synchronize: Callable[[], Any] = lambda: None
    ) -> None:
        self.now, self.synchronize = now, synchronize
        self.seconds: dict[str, float] = defaultdict(float)
        self._phases = [WAITING]
        self._since = now()

    def enter(self, phase: str) -> None:
        """Begin a phase inside the present one; what an evaluation does is all its own."""
        self._charge()
        self._phases.append(EVALUATION if EVALUATION in self._phases else phase)

    def leave(self) -> None:
        """End the present phase."""
        self._charge()
        self._phases.pop()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A phase as a block."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def read(self) -> dict[str, float]:
        """The seconds of each phase since the last reading."""
        self._charge()
        seconds, self.seconds = dict(self.seconds), defaultdict(float)
        return seconds

    def _charge(self) -> None:
        if self._phases[-1] != WAITING:
            self.synchronize()
        moment = self.now()
        self.seconds[self._phases[-1]] += moment - self._since
        self._since = moment


class PhaseCallback(TrainerCallback):
    """Starts a trainer's clock, and counts the optimizer's step, taken outside of `training_step`, to the update."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock, when everything is checked and prepared."""
        self.trainer.start_clock()

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Begin the update's last part."""
        self.trainer.clock.enter("update")

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """End it."""
        self.trainer.clock.leave()


class PhaseTrainer(Trainer):
    """A trainer, of SFT or GRPO, whose logged rows say where the time went."""

    clock: PhaseClock | None = None
    _useful = _computed = 0.0
    """Tokens of the updates since the last row, without and with padding."""
    _seen = 0.0
    """Tokens up to the last row."""

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """The training, with the clock running from its first step."""
        self.add_callback(PhaseCallback(self))
        engine = getattr(self, "vllm_generation", None)
        if engine is not None:
            engine.sync_weights = self._timed("weight_sync", engine.sync_weights)
        return super().train(*args, **kwargs)

    def start_clock(self) -> None:
        """Count seconds and tokens from here on."""
        has_queue = self.accelerator.device.type == "cuda"
        self.clock = PhaseClock(synchronize=torch.cuda.synchronize if has_queue else lambda: None)
        self._seen = tokens_so_far(self)

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._phase(name):
                return function(*args, **kwargs)

        return timed

    def _phase(self, name: str) -> Any:
        return contextlib.nullcontext() if self.clock is None else self.clock.phase(name)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """A forward and backward pass; GRPO samples and scores inside it, in phases of their own."""
        with self._phase("update"):
            return super().training_step(*args, **kwargs)

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        with self._phase("generation"):
            return super()._generate_single_turn(*args, **kwargs)  # type: ignore[misc]

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
        with self._phase("rewards"):
            return super()._calculate_rewards(*args, **kwargs)  # type: ignore[misc]

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        with contextlib.nullcontext() if torch.is_grad_enabled() else self._phase("logps"):
            return super()._get_per_token_logps_and_entropies(*args, **kwargs)  # type: ignore[misc]

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """An evaluation, whatever is done in it."""
        with self._phase(EVALUATION):
            return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        with self._phase("saving"):
            super()._save_checkpoint(*args, **kwargs)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The loss; its tokens are counted."""
        if model.training:
            useful, computed = count_tokens(inputs)
            self._useful, self._computed = self._useful + useful, self._computed + computed
        return super().compute_loss(model, inputs, *args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log a row of training with its seconds and what they achieved."""
        if "loss" in logs and self.clock is not None:
            logs |= self._read_phases(self.clock)
        super().log(logs, *args, **kwargs)

    def _read_phases(self, clock: PhaseClock) -> dict[str, float]:
        seconds = clock.read()
        seen = tokens_so_far(self)
        total = sum(value for name, value in seconds.items() if name not in (EVALUATION, "saving"))
        row = {f"seconds/{name}": round(value, 4) for name, value in seconds.items()}
        if total > 0 and seen > self._seen:
            row["tokens_per_second"] = round((seen - self._seen) / total, 1)
        computed, useful = float(self._computed), float(self._useful)
        if computed:
            row["padding_share"] = round(1 - useful / computed, 4)
        row["memory_gb"] = round(peak_memory(self.accelerator.device) / GIGA, 3)
        if (share := memory_share(self.accelerator.device)) is not None:
            row["gpu_memory_usage"] = round(share, 4)
        peak = peak_flops(self.accelerator.device)
        if peak and seconds.get("update") and (self.args.bf16 or self.args.fp16):
            trained: Any = self.model
            operations = 6.0 * trained.num_parameters(exclude_embeddings=True) * useful
            row["mfu"] = round(operations / seconds["update"] / peak, 4)
        self._seen, self._useful, self._computed = seen, 0.0, 0.0
        return row


def tokens_so_far(trainer: Any) -> float:
    """Tokens of this training so far, of all processes: as SFT counts them, or GRPO's prompts and completions."""
    return float(getattr(trainer, "_total_train_tokens", 0) or trainer.state.num_input_tokens_seen or 0)


def count_tokens(inputs: Any) -> tuple[Any, Any]:
    """Tokens of a batch without and with padding: micro-batches of `token_budget`, or a mapping as models take it."""
    if isinstance(inputs, list):
        batches: list[MicroBatch] = [batch for batch in inputs if batch.weight]
        return sum(batch.tokens for batch in batches), sum(batch.padded_tokens for batch in batches)
    if not isinstance(inputs, Mapping):
        return 0, 0
    for ids, mask in (("input_ids", "attention_mask"), ("completion_ids", "completion_mask")):
        if ids in inputs:
            size = inputs[ids].numel()
            return (inputs[mask].sum() if inputs.get(mask) is not None else size), size
    return 0, 0


def peak_memory(device: torch.device) -> float:
    """Bytes: the most that the device's allocator has had since the last reading, on a CPU the process's most ever."""
    if device.type == "cuda":
        most = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return most
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_share(device: torch.device) -> float | None:
    """The share of a GPU's memory that is in use now, by every process on it; None of a CPU."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return 1 - free / total


def peak_flops(device: torch.device) -> float | None:
    """Dense bfloat16 operations a second of a device whose data sheet is known."""
    if device.type != "cuda":
        return None
    gpu = of_device(torch.cuda.get_device_name(device))
    return gpu.flops if gpu else None
