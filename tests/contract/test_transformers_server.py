"""What `generation.transformers_server` replaces in transformers is still there, and still goes wrong without it."""

from __future__ import annotations

import inspect

import pytest

pytest.importorskip("openai", reason="OPENAI ABSENT: transformers' server can't be imported without it")

from transformers.cli import serve
from transformers.cli.serving import chat_completion, completion, server, utils


def test_the_names_that_are_replaced_are_looked_up_where_we_put_ours() -> None:
    source = inspect.getsource(serve.Serve.__init__)
    assert "from .serving.chat_completion import ChatCompletionHandler" in source
    assert "from .serving.completion import CompletionHandler" in source
    assert "from .serving.server import build_server" in source
    assert "CBGenerateManager(" in inspect.getsource(utils.GenerationState.get_manager)
    assert "build_response_parser(" in inspect.getsource(chat_completion.ChatCompletionHandler._streaming)
    assert hasattr(server, "build_server")


@pytest.mark.parametrize("handler", [chat_completion.ChatCompletionHandler, completion.CompletionHandler])
def test_a_request_starts_the_batch_and_then_generates_without_waiting_between(handler: type) -> None:
    source = inspect.getsource(handler.handle_request)
    assert source.index("_build_generation_config(") < source.index("init_cb(model, gen_config)")
    streaming = inspect.getsource(handler._streaming)  # type: ignore[attr-defined]
    assert "await" not in streaming[: streaming.index("generate_streaming(")]


def test_a_batch_takes_what_our_requests_bring() -> None:
    for method in (utils.CBGenerateManager.generate_streaming, utils.CBGenerateManager.generate_non_streaming):
        source = inspect.getsource(method)
        assert "add_request(" in source and "max_new_tokens=gen_config.max_new_tokens" in source
        assert "await" not in source[: source.index("add_request(")].partition('"""')[2].rpartition('"""')[2]


def test_the_faults_that_are_mended_are_still_there() -> None:
    """When this fails, transformers has mended them, and ours can go."""
    assert "logit_processor_kwargs" not in inspect.getsource(utils.CBGenerateManager)
    assert "do_sample = True" not in inspect.getsource(utils.BaseHandler._build_generation_config)
