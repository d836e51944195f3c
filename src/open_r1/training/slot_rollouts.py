"""Rollouts by the engine of `generation.slots`, where no vLLM samples them.

Each sample has a seed of its own from torch's generator, whose state is in the checkpoints. TRL's own generation
stays for sharded weights, images, models with windows, and sampling that the engine does not know (`top_k`, `min_p`,
`repetition_penalty`, `generation_kwargs`, `cache_implementation`). Leans on `_generate_single_turn` of TRL 1.16.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import DistributedType
from transformers import GenerationConfig
from trl import GRPOTrainer
from trl.models import unwrap_model_for_generation

from open_r1.generation.protocol import Sampling
from open_r1.generation.slots import Request, SlotEngine, supports

WHOLE_WEIGHTS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
"""Ways of distributing in which each process has the whole model."""


@contextmanager
def without_own_sampling(model: Any) -> Iterator[None]:
    """What generation_config.json asks for has no say here: transformers fills in whatever TRL leaves open.

    A `no_repeat_ngram_size` of the model's would shape the samples, and not the log-probabilities that they are trained by.
    """
    owners = [module for module in model.modules() if "generation_config" in vars(module)]
    own = [module.generation_config for module in owners]
    for module in owners:
        module.generation_config = GenerationConfig()
    try:
        yield
    finally:
        for module, config in zip(owners, own, strict=True):
            module.generation_config = config


class SlotRolloutTrainer(GRPOTrainer):
    """TRL's GRPOTrainer whose samples leave the batch as they end."""

    def _generate_single_turn(self, prompt_ids: Sequence[Sequence[int]], images: Any, *rest: Any, **more: Any) -> Any:
        """Token ids of each prompt's completion, up to the end-of-turn token, and no log-probabilities."""
        unwrapped = self.accelerator.unwrap_model(self.model_wrapped)
        if images is not None or not self._samples_plainly or not supports(unwrapped):
            with without_own_sampling(unwrapped):
                return super()._generate_single_turn(prompt_ids, images, *rest, **more)
        seeds = torch.randint(2**31 - 1, (len(prompt_ids),)).tolist()
        requests = [
            Request(place, tuple(prompt), self._sampling(seed))
            for place, (prompt, seed) in enumerate(zip(prompt_ids, seeds, strict=True))
        ]
        args: Any = self.args
        wrapped: Any = self.model_wrapped
        checkpointing = args.gradient_checkpointing_kwargs
        whole = unwrap_model_for_generation(wrapped, self.accelerator, gradient_checkpointing_kwargs=checkpointing)
        with whole as model, self.accelerator.autocast():  # around all steps, so that the weights are cast once
            engine = SlotEngine(model, self.eos_token_ids, len(requests), lambda count: None)
            done: dict[int, list[int]] = {}
            for place, ids in engine.complete(requests, threading.Event()):
                done[place] = ids
                self.on_completed(place, ids)
        return [done[place] for place in range(len(requests))], None

    def on_completed(self, place: int, ids: Sequence[int]) -> None:
        """Called for each completion as it ends, with its place among the prompts; the others are still sampled."""

    def _sampling(self, seed: int) -> Sampling:
        longest: Any = self.max_completion_length
        return Sampling(1, self.temperature, self.top_p, longest, seed)

    @property
    def _samples_plainly(self) -> bool:
        """Whether this process has the whole model, and temperature and `top_p` are all that shapes the sampling."""
        args: Any = self.args
        elsewhere = self.use_vllm or self.use_transformers_continuous_batching
        shaped = self.top_k or self.min_p or self.repetition_penalty != 1.0
        more = args.generation_kwargs or args.cache_implementation
        return self.accelerator.distributed_type in WHOLE_WEIGHTS and not (elsewhere or shaped or more)
