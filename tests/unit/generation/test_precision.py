"""A model computes in what the processor is fast with."""

from __future__ import annotations

import pytest
import torch

from open_r1.generation import in_process, precision
from open_r1.generation.in_process import TransformersGenerator
from open_r1.training.tiny_models import make_tokenizer


@pytest.fixture
def bfloat16_model(tmp_path):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = make_tokenizer(["1 + 1"], 300)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    Qwen2ForCausalLM(Qwen2Config(vocab_size=300, **shape)).to(torch.bfloat16).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("is_fast", "expected"), [(False, torch.float32), (True, torch.bfloat16)])
def test_a_bfloat16_model_is_computed_in_float32_where_that_is_faster(monkeypatch, bfloat16_model, is_fast, expected):
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: is_fast)
    assert TransformersGenerator.from_folder(bfloat16_model, use_cpu=True).model.dtype == expected


def test_a_dtype_that_is_asked_for_stays(monkeypatch, bfloat16_model):
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: False)
    made = in_process.TransformersGenerator.from_folder(bfloat16_model, use_cpu=True, hub={"dtype": "bfloat16"})
    assert made.model.dtype == torch.bfloat16


def test_an_accelerator_takes_the_saved_dtype(monkeypatch):
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: False)
    assert precision.loading_dtype(on_cpu=False) == "auto"
