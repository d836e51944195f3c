"""transformers' own OpenAI-compatible server, fixed where version 5.23 goes wrong.

There the first request's temperature counts for all, sampling is off unless the model's generation config turns it on,
nothing keeps a prompt within the model's context, and an empty prompt or a tiny temperature ends the batch for good.
tests/contract/test_transformers_server.py fails when what is replaced here has moved.
"""

from __future__ import annotations

import argparse
import hmac
import os
import sys
from typing import Any

import torch
from fastapi import HTTPException
from fastapi.responses import JSONResponse
from jinja2 import TemplateError
from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.cli.serve import Serve
from transformers.cli.serving import chat_completion, completion, server, utils

from open_r1.generation.precision import loading_dtype

TOKEN_VARIABLE = "OPEN_R1_SERVER_TOKEN"
CPU_CACHE_SHARE = 0.1
"""Of the memory, for keys and values, where there is no accelerator and other programs want memory too."""

LOWEST_TEMPERATURE = 0.01
"""Of those above 0, which is greedy; logits divided by less overflow. vLLM has the same limit."""

UNTIL_FULL = sys.maxsize  # tokens to generate where the request sets no limit: as many as fit in the context


class OwnSampling:
    """A handler's generation config: the request's values, then the model's, then temperature 1."""

    def _build_generation_config(
        self, body: dict[str, Any], model_generation_config: Any, use_cb: bool = False
    ) -> Any:
        config = super()._build_generation_config(body, model_generation_config, use_cb=use_cb)  # type: ignore[misc]
        own = model_generation_config
        asked = body.get("temperature")
        temperature = (own.temperature if own.do_sample else 1.0) if asked is None else asked
        config.temperature = 1.0 if temperature is None else float(temperature)
        config.do_sample = config.temperature > 0
        if config.do_sample:
            config.temperature = max(config.temperature, LOWEST_TEMPERATURE)
        config.top_p = float(body.get("top_p") or (own.do_sample and own.top_p) or 1.0)
        config.top_k = int((own.do_sample and own.top_k) or 0)
        if body.get("max_tokens") is None and body.get("max_completion_tokens") is None:
            config.max_new_tokens = UNTIL_FULL
        return config


class ChatHandler(OwnSampling, chat_completion.ChatCompletionHandler):
    """Chat requests with a sampling of their own."""

    async def handle_request(self, body: dict[str, Any], request_id: str) -> Any:
        """transformers' answer; 400 where the template can't render the messages."""
        try:
            return await super().handle_request(body, request_id)
        except TemplateError as error:
            raise HTTPException(400, f"the model's chat template can't render these messages: {error}") from None


class CompletionHandler(OwnSampling, completion.CompletionHandler):
    """Requests to continue a text, with a sampling of their own."""


class OwnSamplingManager(utils.CBGenerateManager):
    """Continuous batching in which every request has its own temperature and top_p, which the engine below takes."""

    max_model_len: int | None = None

    def init_cb(self, model: Any, gen_config: Any) -> None:
        """Start the batch, once, with a config that all requests can share."""
        self.model, self.vocabulary = model, model.get_input_embeddings().num_embeddings
        if self._cb is not None:
            return
        config = self._cb_config or ContinuousBatchingConfig()
        config.per_request_processors = True
        ids = {"eos_token_id": gen_config.eos_token_id, "pad_token_id": gen_config.pad_token_id}
        shared = GenerationConfig(  # its values only make the processors exist: each request brings its own
            do_sample=True, temperature=0.5, top_k=2, top_p=0.5, use_cache=False, max_new_tokens=1, **ids
        )
        engine = model.init_continuous_batching(generation_config=shared, continuous_batching_config=config)
        self.add_request, engine.add_request = engine.add_request, self.add_with_sampling
        self._cb = engine
        engine.start()

    def add_with_sampling(self, *arguments: Any, **options: Any) -> str:
        """The engine's `add_request` with the request's own sampling; 503 while the server stops."""
        wanted, sampling = (
            self.wanted,
            {"temperature": 1.0, "top_k": 1, "top_p": 1.0},
        )  # the likeliest of one is greedy
        if wanted.do_sample:
            top_k = min(wanted.top_k or self.vocabulary, self.vocabulary)
            sampling = {"temperature": wanted.temperature, "top_k": top_k, "top_p": wanted.top_p}
        identity = self.add_request(*arguments, **options, **sampling)
        if identity is None:
            raise HTTPException(503, "the server is stopping and takes nothing new.")
        return identity

    def generate_streaming(
        self, model: Any, processor: Any, inputs: Any, gen_config: Any, *rest: Any, **more: Any
    ) -> Any:
        """transformers' own, for the sampling of this request; the gateway asks for streams alone."""
        limit = self.max_model_len or getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self.wanted = within_context(gen_config, inputs["input_ids"], limit)
        return super().generate_streaming(model, processor, inputs, gen_config, *rest, **more)


def within_context(gen_config: Any, prompt: Any, limit: int | None) -> Any:
    """The config with its number of tokens cut to what fits in the context; 400 for a prompt that fills it or is empty."""
    if not len(prompt):
        raise HTTPException(400, "the prompt has no tokens; send a text that the model is to continue.")
    room = 2**20 if limit is None else limit - len(prompt)
    if room < 1:
        raise HTTPException(
            400,
            f"This model's maximum context length is {limit} tokens, but the prompt has {len(prompt)}; shorten it.",
        )
    gen_config.max_new_tokens = min(gen_config.max_new_tokens, room)
    return gen_config


def _parser_for_tools_only(processor: Any, model: Any, input_ids: Any, tools: Any = None) -> Any:
    return ORIGINAL_PARSER(processor, model, input_ids, tools=tools) if tools else None


def _build_guarded_server(*arguments: Any, **options: Any) -> Any:
    app = ORIGINAL_SERVER(*arguments, **options)
    token = os.environ.get(TOKEN_VARIABLE, "")

    @app.middleware("http")
    async def check_token(request: Any, call_next: Any) -> Any:
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and not hmac.compare_digest(shown.encode(), token.encode()):
            return JSONResponse({"error": "this server answers only the gateway in front of it."}, 401)
        return await call_next(request)

    return app


ORIGINAL_PARSER, ORIGINAL_SERVER = chat_completion.build_response_parser, server.build_server


def main() -> None:
    """Serve one model over HTTP until stopped, every request with its own sampling."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--max_model_len", type=int)
    parser.add_argument("--gpu_memory_utilization", type=float)
    parser.add_argument("--trust_remote_code", action="store_true")
    arguments = parser.parse_args()
    OwnSamplingManager.max_model_len = arguments.max_model_len
    has_accelerator = torch.accelerator.is_available()
    share = arguments.gpu_memory_utilization or (None if has_accelerator else CPU_CACHE_SHARE)
    chat_completion.ChatCompletionHandler, completion.CompletionHandler = ChatHandler, CompletionHandler
    chat_completion.build_response_parser = _parser_for_tools_only
    utils.CBGenerateManager, server.build_server = OwnSamplingManager, _build_guarded_server
    Serve(
        force_model=arguments.model,
        continuous_batching=True,
        device="auto" if has_accelerator else "cpu",
        dtype=str(loading_dtype(not has_accelerator, arguments.dtype)).removeprefix("torch."),
        trust_remote_code=arguments.trust_remote_code,
        cb_max_memory_percent=share,
        host=arguments.host,
        port=arguments.port,
        log_level="error",
    )


if __name__ == "__main__":
    main()
