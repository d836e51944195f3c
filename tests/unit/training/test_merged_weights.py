"""What vLLM gets of a model with a LoRA adapter: the merged weights that TRL gives it, from a model that keeps its bits."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen3Config, Qwen3ForCausalLM
from trl.generation.vllm_generation import VLLMGeneration

from open_r1.training.merged_weights import MergedGeneration

SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "head_dim": 8,
}
CASES: list[dict[str, Any]] = [
    {"target_modules": "all-linear"},
    {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    {"target_modules": ["q_proj", "down_proj"], "use_dora": True},
    {"target_modules": ["q_proj", "embed_tokens"]},
]


def engine(kind: type[VLLMGeneration], model: Any) -> VLLMGeneration:
    made = kind.__new__(kind)
    made.model = model
    made._dist = SimpleNamespace(is_fsdp=False, gather_params=lambda parameters: nullcontext())  # type: ignore[assignment]
    return made


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_it_gets_what_trl_gives_it_and_the_model_keeps_its_bits(case: dict[str, Any], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    config: Any = Qwen3Config(
        **SHAPE, num_key_value_heads=1, vocab_size=32, tie_word_embeddings="embed_tokens" in case["target_modules"]
    )
    below: Any = Qwen3ForCausalLM(config)
    model: Any = get_peft_model(below.to(dtype), LoraConfig(r=4, **case))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    given = list(engine(MergedGeneration, model)._iter_named_params())
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    expected = [(name, weight.clone()) for name, weight in engine(VLLMGeneration, model)._iter_named_params()]
    assert [name for name, _ in given] == [name for name, _ in expected]
    assert all(torch.equal(weight, value) for (_, weight), (_, value) in zip(given, expected, strict=True))
    assert any(not torch.equal(weight, before[name]) for name, weight in model.named_parameters()), "TRL's drift"
