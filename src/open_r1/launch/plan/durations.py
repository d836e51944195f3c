"""Tokens, steps, operations and seconds of a training, at a stated share of what the GPUs can do.

Training: 6 operations for each parameter and token, and 12 x layers x width x length for attention (PaLM, arXiv:2204.02311,
appendix B); by MFU, computing activations again is no operation. Generation: each step reads the weights and all keys and
values once (Pope et al., arXiv:2211.05102, section 2), so it is bound by the memory's bandwidth until the batch is large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from open_r1.gpus import GPU
from open_r1.launch.plan.architectures import Architecture
from open_r1.launch.plan.memory import Workload

MFU = 0.35
"""Model FLOPs utilisation that is assumed; 28 to 39 % are published for SFT of 4B to 8B on eight H100 or H200."""
BANDWIDTH_SHARE = 0.6
"""Share of the memory's bandwidth that decoding is assumed to reach."""
KV_BYTES = 2
"""Bytes of a cached key or value, and of a weight that samples: bfloat16."""

DATA_SETS: dict[str, dict[str, tuple[int, int | None]]] = {
    "open-r1/Mixture-of-Thoughts": {
        "all": (349_317, 6_000), "math": (93_733, 6_000), "code": (83_070, 6_000), "science": (172_514, 6_000)},
    "open-r1/OpenR1-Math-220k": {"default": (93_733, None)},
}  # fmt: skip
"""Rows and mean tokens of a sample, of the sets of the guide by configuration; all of Mixture-of-Thoughts is 2.1B tokens."""


@dataclass(frozen=True)
class Durations:
    """What a training computes and how long that takes; None where the number of rows is not known.

    Args:
        tokens: Of the whole training.
        flops: Operations of the whole training.
        step_seconds: Of one step, generation included.
        generation_seconds: Of the sampling in it.
        waves: Into how many batches a generation falls because keys and values of all don't fit at once.
    """

    steps: int | None
    tokens: int | None
    flops: float | None
    step_seconds: float
    generation_seconds: float
    waves: int

    @property
    def hours(self) -> float | None:
        """Hours of the whole training."""
        return None if self.steps is None else self.steps * self.step_seconds / 3600


def flops_per_token(architecture: Architecture, length: float, is_lora: bool) -> float:
    """Operations of a training step for one token of a sequence of so many tokens (PaLM, appendix B).

    LoRA computes no gradients of the frozen weights: 4 operations for each parameter instead of 6.
    """
    each = 4 if is_lora else 6
    attention = 12 * architecture.num_layers * architecture.query_size * length
    return each * architecture.computed_parameters + attention


def cache_bytes(architecture: Architecture) -> int:
    """Bytes of the keys and values of one token."""
    return 2 * KV_BYTES * architecture.num_layers * architecture.key_size


def decoding_seconds(architecture: Architecture, gpu: GPU, spread: int, sequences: int, context: float) -> float:
    """Seconds for one more token of every sequence, on `spread` GPUs with tensor parallelism.

    Args:
        sequences: Sequences at once.
        context: Mean tokens of each so far.
    """
    read = KV_BYTES * architecture.parameters + sequences * context * cache_bytes(architecture)
    by_bandwidth = read / (BANDWIDTH_SHARE * gpu.bandwidth * spread)
    by_arithmetic = 2 * architecture.computed_parameters * sequences / (MFU * gpu.flops * spread)
    return max(by_bandwidth, by_arithmetic)


def generation_seconds(
    architecture: Architecture, gpu: GPU, spread: int, sequences: int, room: float, prompt: int, completion: float
) -> tuple[float, int]:
    """Seconds to sample so many completions, and in how many waves, with `room` bytes for keys and values.

    Infinite seconds where not even one sequence fits.
    """
    at_once = min(sequences, int(room // (cache_bytes(architecture) * (prompt + completion))))
    if at_once < 1:
        return math.inf, 0
    waves = math.ceil(sequences / at_once)
    each = math.ceil(sequences / waves)
    return waves * completion * decoding_seconds(architecture, gpu, spread, each, prompt + completion / 2), waves


def count_steps(work: Workload, rows: int | None, mean_tokens: float) -> int | None:
    """Steps of the training: max_steps, or those of its epochs over so many rows."""
    values = work.settings
    if values.max_steps > 0:
        return values.max_steps
    if rows is None:
        return None
    rows = min(rows, values.max_samples or rows)
    samples = rows * values.num_train_epochs
    if work.kind == "grpo":
        samples *= values.num_generations * values.num_iterations
    elif values.packing:
        samples *= mean_tokens / work.length
    return max(1, math.ceil(samples / samples_of_step(work)))


def samples_of_step(work: Workload) -> int:
    """Sequences of an optimizer step, of all processes."""
    return work.samples * work.accumulation * work.sharding.processes


def plan_durations(
    work: Workload, gpu: GPU, mfu: float, rows: int | None, mean_tokens: float, sampling: tuple[float, int]
) -> Durations:
    """Steps, tokens, operations and seconds.

    Args:
        mfu: Share of the GPUs' peak that the update reaches.
        mean_tokens: Of a sample: in SFT the whole, in GRPO prompt and completion.
        sampling: Seconds of the generation of a step, and its waves.
    """
    values, a = work.settings, work.architecture
    steps = count_steps(work, rows, mean_tokens)
    filled = work.length if values.packing else mean_tokens
    tokens = samples_of_step(work) * filled
    flops = tokens * flops_per_token(a, mean_tokens, values.use_peft)
    if work.kind == "grpo":  # log-probabilities of the policy that sampled, and of the reference
        flops += (
            tokens * 2 * a.computed_parameters * ((values.use_vllm or values.num_iterations > 1) + bool(values.beta))
        )
    seconds = flops / (mfu * gpu.flops * work.sharding.processes) + sampling[0]
    whole = (None, None) if steps is None else (round(tokens * steps), flops * steps)
    return Durations(steps, *whole, seconds, *sampling)
