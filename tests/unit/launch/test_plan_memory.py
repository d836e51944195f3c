"""Each part of a plan's memory is what a tiny model allocates."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from open_r1.errors import ConfigError
from open_r1.launch.plan.architectures import of_config
from open_r1.launch.plan.memory import (
    Workload,
    kept_bytes,
    layer_bytes,
    optimizer_bytes,
    plan_memory,
    resident_parts,
)
from open_r1.launch.plan.settings import RecipeSettings
from open_r1.launch.plan.sharding import Sharding

SAMPLES, LENGTH = 2, 32
SIZES: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 160, "vocab_size": 128, "head_dim": 16, "attn_implementation": "sdpa", "pad_token_id": None,
}  # fmt: skip
FAMILIES = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
}


def make(family: str, dtype: torch.dtype = torch.float32, **sizes: Any) -> Any:
    config, model = FAMILIES[family]
    return model(config(**SIZES, **sizes)).to(dtype).train()


def workload(model: Any, **settings: Any) -> Workload:
    chosen: dict[str, Any] = {"bf16": False, "gradient_checkpointing": False} | settings
    given = RecipeSettings(**chosen)
    return Workload("sft", of_config(model.config.to_dict()), given, Sharding(), SAMPLES, LENGTH, on_gpu=False)


def kept_by(model: Any, is_mixed: bool = False) -> int:
    """Bytes of the activations that a forward pass keeps for the backward pass, the LM head's input with them."""
    own = {one.untyped_storage().data_ptr() for one in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.randint(0, 128, (SAMPLES, LENGTH))
    mask = torch.ones_like(ids)
    mask[0, -3:] = 0
    mixed = torch.autocast("cpu", torch.bfloat16) if is_mixed else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), mixed:
        output = model.model(ids, attention_mask=mask, use_cache=False).last_hidden_state
    assert output.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) + output.nbytes


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("is_tied", [True, False])
def test_parameters_are_those_of_the_model(family: str, is_tied: bool) -> None:
    model = make(family, tie_word_embeddings=is_tied)
    assert of_config(model.config.to_dict()).parameters == model.num_parameters()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kept_activations_are_those_that_a_forward_pass_keeps(family: str, dtype: str) -> None:
    model = make(family, getattr(torch, dtype))
    planned = kept_bytes(workload(model, dtype=dtype))
    assert planned == pytest.approx(kept_by(model), rel=0.02)


def test_autocast_keeps_copies_of_inputs_and_weights() -> None:
    model = make("qwen2")
    work = workload(model, bf16=True)
    copies = 2 * work.architecture.num_layers * work.architecture.layer_matrices
    assert kept_bytes(work) + copies == pytest.approx(kept_by(model, is_mixed=True), rel=0.02)


def test_checkpointing_keeps_the_input_of_each_layer() -> None:
    model = make("qwen2")
    without = kept_by(model)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    work = workload(model, gradient_checkpointing=True)
    assert kept_bytes(work) == pytest.approx(kept_by(model), rel=0.02)
    assert kept_bytes(work) < without / 4


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["all-linear"]])
def test_lora_trains_and_keeps_what_peft_does(targets: list[str]) -> None:
    from peft import LoraConfig, get_peft_model

    modules: Any = "all-linear" if targets == ["all-linear"] else targets
    model = get_peft_model(make("qwen2"), LoraConfig(r=4, lora_dropout=0.0, target_modules=modules))
    work = workload(model.get_base_model(), use_peft=True, lora_r=4, lora_dropout=0.0, lora_target_modules=targets)
    assert work.trained == sum(one.numel() for one in model.parameters() if one.requires_grad)
    assert kept_bytes(work) == pytest.approx(kept_by(model.get_base_model()), rel=0.02)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_optimizer_states_are_those_of_adam(dtype: str) -> None:
    model = make("qwen2", getattr(torch, dtype))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values() if value.dim()]
    work = workload(model, dtype=dtype)
    assert optimizer_bytes(work) * work.trained == sum(one.untyped_storage().nbytes() for one in states)


def test_longer_samples_and_larger_batches_need_more() -> None:
    work = workload(make("qwen2"))
    more = replace(work, samples=2 * SAMPLES), replace(work, length=2 * LENGTH)
    assert all(plan_memory(one).total > plan_memory(work).total for one in more)


def test_zero_divides_what_its_paper_says() -> None:
    """arXiv:1910.02054, figure 1: 16 bytes a parameter; 4 + 12/N, 2 + 14/N and 16/N (gradients here in float32)."""
    work = replace(workload(make("qwen2"), bf16=True, dtype="bfloat16"), on_gpu=True)
    count = work.architecture.parameters

    def parts(strategy: Any) -> tuple[float, float]:
        resident, _ = resident_parts(replace(work, sharding=Sharding(strategy, 8)))
        return resident["weights"] / count, resident["optimizer"] / count

    assert parts("zero1") == (2, 12 / 8)
    assert parts("zero2") == (2, 12 / 8)
    assert parts("zero3") == (2 / 8, 12 / 8)
    assert parts("fsdp2") == (4 / 8, 8 / 8)


def test_offload_moves_states_and_gradients_to_the_host() -> None:
    work = replace(workload(make("qwen2"), bf16=True), sharding=Sharding("zero3", 2, True, True))
    memory = plan_memory(work)
    assert set(memory.host) == {"optimizer", "gradients", "weights"}
    assert not {"optimizer", "gradients", "weights"} & set(memory.parts)


@pytest.mark.parametrize(("optim", "bytes_each"), [("adamw_8bit", 2.03125), ("sgd", 0), ("adamw_torch_fused", 8)])
def test_optimizers_differ_in_their_states(optim: str, bytes_each: float) -> None:
    assert optimizer_bytes(workload(make("qwen2"), optim=optim)) == bytes_each


def test_liger_and_flash_attention_keep_less() -> None:
    work = replace(workload(make("qwen2"), bf16=True, dtype="bfloat16"), on_gpu=True)
    liger, flash = (
        replace(work, settings=dataclasses.replace(work.settings, **change))
        for change in ({"use_liger_kernel": True}, {"attn_implementation": "flash_attention_2"})
    )
    assert layer_bytes(liger) < layer_bytes(work)
    assert layer_bytes(flash) < layer_bytes(work)


def test_quantized_weights_take_half_a_byte_or_one() -> None:
    model = make("qwen2")
    whole, four, eight = (
        resident_parts(workload(model, use_peft=True, dtype="bfloat16", **bits))[0]["weights"]
        for bits in ({}, {"load_in_4bit": True}, {"load_in_8bit": True})
    )
    assert four < eight < whole


def test_an_unknown_target_of_lora_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'q_proj'"):
        plan_memory(workload(make("qwen2"), use_peft=True, lora_target_modules=["q_prj"]))
