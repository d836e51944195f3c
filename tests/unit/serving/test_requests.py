"""What a request may contain: each field with a value that is refused, and the nearest one that passes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from open_r1.serving.requests import MOST_CHARACTERS_A_TOKEN, ApiError, check_request, count_characters, is_deeper

ASKED = {"model": "mine", "messages": [{"role": "user", "content": "?"}]}


def refused(raw: bytes, backend: Any = "transformers", is_chat: bool = True) -> ApiError:
    with pytest.raises(ApiError) as error:
        check_request(raw, ("mine", "yours"), backend, is_chat)
    return error.value


def message(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "?"} | fields]}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "not JSON"), (b"{", "not JSON"), (b"[" * 2000, "not JSON"), (b"\xff\xfe", "not JSON"),
        (b'"text"', "JSON object"), (b"[]", "JSON object"), (b"{}", "'model' must name a model"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_a_json_object_is_refused(raw: bytes, said: str) -> None:
    error = refused(raw)
    assert (error.status, said in error.message, said in str(error)) == (400, True, True)


BAD: list[tuple[dict[str, Any], str | None, str]] = [
    ({"model": ""}, "model", "must name a model; this server has mine, yours"),
    ({"model": ["x"]}, "model", "must name a model"),
    ({"messages": None}, "messages", "must be a valid list, but is None"),
    ({"messages": []}, "messages", "at least 1 item"),
    ({"messages": ["hello"]}, "messages[0]", "must be a valid dictionary"),
    ({"messages": [{"content": "x"}]}, "messages[0].role", "is missing"),
    ({"messages": [{"role": 5, "content": "x"}]}, "messages[0].role", "must be a valid string, but is 5"),
    ({"messages": [*ASKED["messages"], {"role": "user"}]}, "messages[1].content", "must be a string or a list"),
    (message(content=None), "messages[0].content", "must be a string or a list"),
    (message(content=5), "messages[0].content", "must be a string or a list"),
    (message(content=["x"]), "messages[0].content", "not an object with a type"),
    (message(content=[{"text": "x"}]), "messages[0].content", "not an object with a type"),
    (message(content=[{"type": "text"}]), "messages[0].content", "type text without a text"),
    (message(content=[{"type": "text", "text": 5}]), "messages[0].content", "type text without a text"),
    ({"temperature": -0.001}, "temperature", "must be greater than or equal to 0, but is -0.001"),
    ({"temperature": 2.001}, "temperature", "less than or equal to 2, but is 2.001"),
    ({"temperature": "hot"}, "temperature", "must be a valid number, but is 'hot'"),
    ({"temperature": True}, "temperature", "must be a valid number"),
    ({"top_p": 0}, "top_p", "must be greater than 0"),
    ({"top_p": 1.001}, "top_p", "less than or equal to 1"),
    ({"max_tokens": 0}, "max_tokens", "must be greater than or equal to 1, but is 0"),
    ({"max_tokens": 1.5}, "max_tokens", "integer"),
    ({"max_tokens": True}, "max_tokens", "integer"),
    ({"max_completion_tokens": 2**31}, "max_completion_tokens", "less than or equal to 2147483647"),
    ({"n": 0}, "n", "greater than or equal to 1"),
    ({"n": 129}, "n", "less than or equal to 128"),
    ({"stream": "yes"}, "stream", "must be a valid boolean, but is 'yes'"),
    ({"separate_reasoning": 1}, "separate_reasoning", "must be a valid boolean"),
    ({"stream_options": []}, "stream_options", "must be a valid dictionary"),
    ({"chat_template_kwargs": "x"}, "chat_template_kwargs", "must be a valid dictionary, but is 'x'"),
    ({"user": "x" * 9, "tools": [5]}, "tools[0]", "must be a valid dictionary"),
]


@pytest.mark.parametrize("backend", ["vllm", "transformers"])
@pytest.mark.parametrize(("fields", "param", "said"), BAD, ids=range(len(BAD)))
def test_a_bad_field_is_named_with_what_it_must_be(
    fields: dict[str, Any], param: str | None, said: str, backend: str
) -> None:
    error = refused(json.dumps(ASKED | fields).encode(), backend)
    assert (error.status, error.param) == (400, param)
    assert said in error.message
    assert error.as_object()["error"]["type"] == "invalid_request_error"


def test_an_unknown_model_is_a_404_with_the_nearest_name() -> None:
    error = refused(json.dumps(ASKED | {"model": "mime"}).encode())
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert "did you mean 'mine'" in error.message


GOOD: list[dict[str, Any]] = [
    {"temperature": 0}, {"temperature": 2}, {"top_p": 1}, {"top_p": 1e-300}, {"max_tokens": 1},
    {"max_tokens": 2**31 - 1}, {"n": 1}, {"n": 128}, {"temperature": None}, {"tools": []},
    {"messages": [{"role": "assistant", "content": None}]}, {"messages": [{"role": "tool", "content": None}]},
    message(content=[{"type": "text", "text": "x"}]), message(content=""),
]  # fmt: skip


@pytest.mark.parametrize("backend", ["vllm", "transformers"])
@pytest.mark.parametrize("fields", GOOD, ids=range(len(GOOD)))
def test_the_limits_themselves_pass(fields: dict[str, Any], backend: Any) -> None:
    check_request(json.dumps(ASKED | fields).encode(), ("mine",), backend, is_chat=True)


def test_what_the_gateway_does_itself_is_taken_out_of_the_body() -> None:
    asked = ASKED | {"n": 3, "separate_reasoning": False, "stream_options": {"include_usage": True}, "min_p": 0.1}
    request = check_request(json.dumps(asked).encode(), ("mine",), "vllm", is_chat=True)
    assert (request.model, request.count, request.stream) == ("mine", 3, False)
    assert (request.separates, request.includes_usage, request.template_options) == (False, True, {})
    assert request.body.keys() == {"messages", "stream_options", "min_p"}
    plain = check_request(json.dumps(ASKED | {"stream": True}).encode(), ("mine",), "vllm", is_chat=True)
    assert (plain.count, plain.stream, plain.separates, plain.includes_usage) == (1, True, True, False)


def test_pictures_are_vllms_affair_and_refused_by_transformers() -> None:
    raw = json.dumps(ASKED | message(content=[{"type": "image_url", "image_url": {"url": "x"}}])).encode()
    check_request(raw, ("mine",), "vllm", is_chat=True)
    assert "takes text only" in refused(raw).message


def test_levels_and_characters_are_counted() -> None:
    assert [is_deeper([[1]], levels) for levels in (0, 1, 2)] == [True, True, False]
    assert [is_deeper({"a": {}}, levels) for levels in (1, 2)] == [True, False]
    assert not is_deeper("text", 0)
    assert count_characters([{"a": "xy", "b": ["z", None]}, 7]) == 3 + MOST_CHARACTERS_A_TOKEN


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"), (401, "authentication_error"), (429, "rate_limit_error"),
        (499, "invalid_request_error"), (500, "server_error"),
    ],
)  # fmt: skip
def test_an_error_has_openais_type_for_its_status(status: int, kind: str) -> None:
    assert ApiError(status, "x").as_object()["error"]["type"] == kind
    assert ApiError(429, "x", retry_after_s=3).headers == {"Retry-After": "3"}
