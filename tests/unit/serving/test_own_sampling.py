"""What our transformers' server makes of a request before the batch sees it, where a bad value ends the batch for all."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("openai", reason="OPENAI ABSENT: transformers' server can't be imported without it")

from fastapi import HTTPException
from jinja2 import TemplateError
from transformers import GenerationConfig
from transformers.cli.serving.chat_completion import ChatCompletionHandler

from open_r1.generation.transformers_server import ChatHandler, within_context

MODEL_CONFIG = GenerationConfig(do_sample=True, temperature=1e-5)
HANDLER = ChatHandler(model_manager=None, generation_state=SimpleNamespace(_compile=False))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(1e-300, 0.01), (1e-45, 0.01), (0.009, 0.01), (0.01, 0.01), (0.6, 0.6), (None, 0.01), (2, 2.0)],
)
def test_a_temperature_that_would_overflow_is_lifted_as_in_vllm(asked: float | None, expected: float) -> None:
    config = HANDLER._build_generation_config({"temperature": asked}, MODEL_CONFIG, use_cb=True)
    assert (config.temperature, config.do_sample) == (expected, True)


def test_temperature_zero_stays_greedy() -> None:
    assert not HANDLER._build_generation_config({"temperature": 0}, MODEL_CONFIG, use_cb=True).do_sample


def test_a_prompt_without_tokens_is_refused_whatever_the_tokenizer_made_it_of() -> None:
    with pytest.raises(HTTPException, match="no tokens") as refused:
        within_context(SimpleNamespace(max_new_tokens=8), [], 512)
    assert refused.value.status_code == 400


def test_messages_that_a_template_refuses_are_the_clients_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def render(*_: Any) -> None:
        raise TemplateError("roles must alternate")

    monkeypatch.setattr(ChatCompletionHandler, "handle_request", render)
    with pytest.raises(HTTPException, match="roles must alternate") as refused:
        asyncio.run(HANDLER.handle_request({}, "1"))
    assert refused.value.status_code == 400
