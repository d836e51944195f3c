"""A model's weights with its LoRA adapter merged into them, one layer at a time, as vLLM takes them.

TRL 1.16 adds the adapter to all weights before each generation and subtracts it afterwards, which leaves other bits: the
model below the adapter drifts, by more in bfloat16, and a resumed run, which loads it anew, ends elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from accelerate.utils import is_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from trl.generation import vllm_generation


class MergedGeneration(vllm_generation.VLLMGeneration):
    """TRL's engine, given the merged weights of a model that keeps its own."""

    def _iter_named_params(self) -> Iterator[tuple[str, torch.Tensor]]:
        if not is_peft_model(self.model) or self._dist.is_fsdp or not is_whole(self.model):
            yield from super()._iter_named_params()
            return
        for name, weight in iter_merged(self.model):
            yield self._fix_param_name_to_vllm(name, extra_prefixes=["modules_to_save.default."]), weight


def is_whole(model: Any) -> bool:
    """Whether every weight is in this process, and a plain tensor: neither ZeRO-3's nor quantized."""
    return not any(hasattr(weight, "ds_id") or hasattr(weight, "quant_state") for weight in model.parameters())


def iter_merged(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and weights as the model below the adapter has them, the adapter merged into each."""
    for name, weight in model.named_parameters():
        if model.prefix in name or "original_module" in name:
            continue
        above, is_adapted, _ = name.partition(".base_layer.")
        layer = model.get_submodule(above) if is_adapted else None
        value = merge(layer, weight) if isinstance(layer, BaseTunerLayer) else weight.data
        yield name.removeprefix("base_model.model.").replace(".base_layer", ""), value


def merge(layer: Any, weight: torch.nn.Parameter) -> torch.Tensor:
    """A weight of a layer's model with the adapter merged into it, in memory of its own; the layer stays as it is."""
    own = {one: one.data for one in layer.get_base_layer().parameters()}
    for one, data in own.items():
        one.data = data.clone()
    layer.merge()
    merged = weight.data
    for one, data in own.items():
        one.data = data
    layer.merged_adapters.clear()
    return merged
