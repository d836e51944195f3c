"""The gateway in front of a scripted server: what goes in, what comes out, what happens when that server misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from open_r1.net.client import Response, TransportError
from open_r1.serving.gateway import GatewaySettings, create_app
from open_r1.serving.requests import MOST_CHARACTERS_A_TOKEN, MOST_LEVELS, ApiError, check_request

ASKED = {"model": "mine", "messages": [{"role": "user", "content": "?"}]}


class Reply:
    """What the scripted server answers: a status and a body, or pieces of one."""

    def __init__(self, status: int, content: bytes = b"", json_content: Any = None) -> None:
        self.status, self.headers = status, {}
        self.content = content if json_content is None else json.dumps(json_content).encode()

    async def read(self) -> tuple[bytes, bool]:
        return self.content, False

    async def lines(self) -> AsyncIterator[bytes]:
        for line in self.content.split(b"\n"):
            if line == b"BREAK":
                raise TransportError("cut_body", "gone")
            yield line


Handler = Callable[[dict[str, Any]], Reply]


class Upstream:
    """An HTTP client whose server answers as its script says; keeps what it was asked."""

    def __init__(self, answer: Handler) -> None:
        self.answer, self.asked = answer, []

    @asynccontextmanager
    async def stream(self, method: str, url: str, body: bytes, *_: Any, **__: Any) -> AsyncIterator[Reply]:
        self.asked.append(json.loads(body))
        yield self.answer(self.asked[-1])

    async def request(self, method: str, url: str, **_: Any) -> Response:
        reply = self.answer({})
        return Response(reply.status, {}, reply.content)

    async def __aenter__(self) -> Upstream:
        return self

    async def __aexit__(self, *_: object) -> None: ...


def call(upstream: Upstream, settings: GatewaySettings, method: str, path: str, **options: Any) -> httpx2.Response:
    async def run() -> httpx2.Response:
        app = create_app(settings, upstream)  # type: ignore[arg-type]
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.request(method, path, **options)

    return asyncio.run(run())


def ask(upstream: Upstream, settings: GatewaySettings, **fields: Any) -> httpx2.Response:
    return call(upstream, settings, "POST", "/v1/chat/completions", json=ASKED | fields)


def settings(backend: Any = "vllm", **changes: Any) -> GatewaySettings:
    return GatewaySettings("http://upstream", backend, ("mine",), **changes)


def events(*deltas: dict[str, Any], finish: str | None = "stop", after: bytes = b"data: [DONE]\n\n") -> Handler:
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    if finish:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + after
    return lambda _: Reply(200, body)


def read(reply: httpx2.Response) -> tuple[str, str, list[Any]]:
    thinking = answer = ""
    ends = []
    for line in reply.text.splitlines():
        if line.startswith("data: {"):
            event = json.loads(line[6:])
            ends += [event["error"]] if "error" in event else []
            for choice in event.get("choices", []):
                thinking += choice["delta"].get("reasoning_content", "")
                answer += choice["delta"].get("content", "")
                ends += [choice["finish_reason"]] if choice.get("finish_reason") else []
    return thinking, answer, ends


WRITTEN = [
    {"role": "assistant"},
    {"content": "<th"},
    {"content": "ink>\na"},
    {"content": "b\n</th"},
    {"content": "ink>\n\nc"},
]


@pytest.mark.parametrize("backend", ["vllm", "transformers"])
def test_streamed_thinking_is_separated(backend: str) -> None:
    reply = ask(Upstream(events(*WRITTEN)), settings(backend), stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert read(reply) == ("ab", "c", ["stop"])
    assert reply.text.endswith("data: [DONE]\n\n")


def test_thinking_that_the_template_opened_is_separated() -> None:
    prefilled = settings("transformers", template="<think>\n")
    reply = ask(Upstream(events({"content": "a</think>"}, {"content": "c"})), prefilled)
    assert reply.json()["choices"][0]["message"] == {"role": "assistant", "content": "c", "reasoning_content": "a"}


def test_what_a_server_separates_by_itself_is_passed_on() -> None:
    reply = ask(Upstream(events({"reasoning": "a"}, {"content": "<think> is a tag"})), settings(), stream=True)
    assert read(reply) == ("a", "<think> is a tag", ["stop"])


def test_a_whole_answer_of_vllm_is_separated_choice_by_choice() -> None:
    choices = [{"index": n, "message": {"content": f"<think>{n}</think>x"}, "finish_reason": "stop"} for n in (0, 1)]
    upstream = Upstream(lambda _: Reply(200, json_content={"model": "path", "choices": choices}))
    answer = ask(upstream, settings(), n=2).json()
    assert [choice["message"]["reasoning_content"] for choice in answer["choices"]] == ["0", "1"]
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["x", "x"]
    assert answer["model"] == "mine" and upstream.asked[0]["n"] == 2


def test_the_completion_is_left_as_it_was_written_where_that_is_asked_for() -> None:
    reply = ask(Upstream(events(*WRITTEN)), settings(), stream=True, separate_reasoning=False)
    assert read(reply)[1] == "<think>\nab\n</think>\n\nc"


def test_thinking_that_was_cut_off_leaves_no_answer() -> None:
    upstream = Upstream(events({"content": "<think>a"}, finish="length"))
    message = ask(upstream, settings("transformers")).json()["choices"][0]["message"]
    assert message["content"] is None and message["reasoning_content"] == "a"


def test_usage_is_told_in_a_stream_only_where_it_is_asked_for() -> None:
    def answer(_: dict[str, Any]) -> Reply:
        chunk = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"completion_tokens": 5}}
        return Reply(200, b"data: " + json.dumps(chunk).encode() + b"\n\n")

    asked = ask(Upstream(answer), settings("transformers"), stream=True, stream_options={"include_usage": True})
    assert '"choices":[]' in asked.text and '"completion_tokens":5' in asked.text
    assert "usage" not in ask(Upstream(answer), settings("transformers"), stream=True).text


def test_transformers_gets_only_what_it_knows_and_draws_several_choices_apart() -> None:
    upstream = Upstream(events({"content": "c"}))
    reply = ask(
        upstream, settings("transformers", upstream_model="/path"), n=3, seed=1, user="me", presence_penalty=0, stop=[]
    )
    assert len(reply.json()["choices"]) == 3 == len(upstream.asked)
    assert upstream.asked[0] == {"model": "/path", "stream": True, "messages": ASKED["messages"]}


def raises(error: Exception) -> Handler:
    def answer(_: dict[str, Any]) -> Reply:
        raise error

    return answer


TROUBLE: list[tuple[Handler, int, str]] = [
    (raises(TransportError("unreachable", "refused")), 502, "does not answer"),
    (raises(TransportError("timeout", "slow")), 502, "took too long"),
    (lambda _: Reply(500, b"out of memory"), 500, "out of memory"),
    (lambda _: Reply(503, json_content={"error": "CB worker is dead"}), 503, "CB worker is dead"),
    (lambda _: Reply(401, json_content={"error": "who?"}), 502, "does not know this gateway"),
    (lambda _: Reply(422, json_content={"detail": "Unexpected fields"}), 400, "Unexpected fields"),
    (
        lambda _: Reply(400, json_content={"error": {"message": "maximum context length"}}),
        400,
        "maximum context length",
    ),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("answer", "status", "said"), TROUBLE, ids=range(len(TROUBLE)))
def test_trouble_of_the_models_server_is_reported(answer: Handler, status: int, said: str, stream: bool) -> None:
    reply = ask(Upstream(answer), settings(), stream=stream)
    assert (reply.status_code, said in reply.json()["error"]["message"]) == (status, True), reply.text


def test_trouble_in_mid_stream_is_reported_in_the_stream() -> None:
    broken = ask(Upstream(events({"content": "a"}, finish=None, after=b"BREAK\n")), settings(), stream=True)
    assert read(broken)[1] == "a" and "does not answer" in read(broken)[2][0]["message"]
    failed = ask(
        Upstream(events({"content": "a"}, finish=None, after=b'data: {"error": "boom"}\n\n')), settings(), stream=True
    )
    assert "boom" in read(failed)[2][0]["message"]
    nonsense = ask(Upstream(events({"content": "a"}, finish=None, after=b"data: <html>\n\n")), settings(), stream=True)
    assert "not an answer" in read(nonsense)[2][0]["message"]
    for reply in (broken, failed, nonsense):
        assert reply.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [True, False])
def test_a_limit_that_the_context_can_not_hold_is_no_error(stream: bool) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        if "max_tokens" in body:
            return Reply(
                400, json_content={"error": {"message": "max_tokens=9 cannot be greater than max_model_len=5"}}
            )
        return events({"content": "c"})(body) if stream else Reply(200, json_content={"choices": []})

    upstream = Upstream(answer)
    assert ask(upstream, settings(), stream=stream, max_tokens=9).status_code == 200
    assert [body.get("max_tokens") for body in upstream.asked] == [9, None]


def test_an_answer_that_never_ended_is_no_answer() -> None:
    reply = ask(Upstream(events({"content": "a"}, finish=None)), settings("transformers"))
    assert reply.status_code == 502


def refusal(fields: dict[str, Any], backend: Any = "transformers", is_chat: bool = True) -> ApiError:
    asked = ASKED if is_chat else {"model": "mine"}
    with pytest.raises(ApiError) as refused:
        check_request(json.dumps(asked | fields).encode(), ("mine",), backend, is_chat)
    return refused.value


@pytest.mark.parametrize("backend", ["vllm", "transformers"])
@pytest.mark.parametrize("prompt", ["", [], [""], ["text", ""], [[]], None, 5])
def test_a_prompt_without_a_token_is_refused(prompt: Any, backend: str) -> None:
    refused = refusal({"prompt": prompt}, backend, is_chat=False)
    assert (refused.status, refused.param) == (400, "prompt")


def called(function: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": function}]}]}


ILL_FORMED: list[tuple[dict[str, Any], str]] = [
    ({"tools": "x"}, "tools"),
    ({"tools": ["x"]}, "tools[0]"),
    ({"tools": [{"function": {}}]}, "tools[0]"),
    ({"chat_template_kwargs": []}, "chat_template_kwargs"),
    ({"messages": [{"role": "assistant", "content": "", "tool_calls": "zz"}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "assistant", "content": "", "tool_calls": ["zz"]}]}, "messages[0].tool_calls"),
    (called({"arguments": "{}"}), "messages[0].tool_calls"),
    (called({"name": "f"}), "messages[0].tool_calls"),
    (called({"name": "f", "arguments": "{"}), "messages[0].tool_calls"),
    (called({"name": "f", "arguments": "[]"}), "messages[0].tool_calls"),
]


@pytest.mark.parametrize("backend", ["vllm", "transformers"])
@pytest.mark.parametrize(("fields", "param"), ILL_FORMED, ids=range(len(ILL_FORMED)))
def test_ill_formed_tools_and_options_are_the_clients_fault(fields: dict[str, Any], param: str, backend: str) -> None:
    refused = refusal(fields, backend)
    assert (refused.status, (refused.param or "").startswith(param)) == (400, True)


@pytest.mark.parametrize("options", [{"messages": []}, {"tokenize": False}, {"add_generation_prompt": False}])
def test_template_options_that_transformers_sets_itself_are_refused(options: dict[str, Any]) -> None:
    refused = refusal({"chat_template_kwargs": options})
    assert refused.status == 400 and repr(next(iter(options))) in refused.message


def test_well_formed_tools_and_calls_pass() -> None:
    asked = called({"name": "f", "arguments": '{"x": 1}'}) | {
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "chat_template_kwargs": {"enable_thinking": False},
    }
    body = check_request(json.dumps(ASKED | asked).encode(), ("mine",), "transformers", is_chat=True).body
    assert {name: body[name] for name in asked} == asked


@pytest.mark.parametrize("calls", [None, []])
def test_a_message_without_calls_keeps_its_content(calls: Any) -> None:
    message = {"role": "assistant", "content": "4", "tool_calls": calls}
    raw = json.dumps(ASKED | {"messages": [message]}).encode()
    body = check_request(raw, ("mine",), "transformers", is_chat=True).body
    assert body["messages"] == [{"role": "assistant", "content": "4"}]


@pytest.mark.parametrize("name", ["mine", "me/mine", "/models/mine"])
def test_one_model_is_described_by_its_name(name: str) -> None:
    app = create_app(GatewaySettings("http://upstream", "vllm", (name,), api_key="k"), Upstream(events()))  # type: ignore[arg-type]

    async def read_all() -> list[httpx2.Response]:
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
                headers = {"Authorization": "Bearer k"}
                paths = ["/v1/models", f"/v1/models/{name}", "/v1/models/" + name.replace("/", "%2F"), "/v1/models/no"]
                answers = [await client.get(path, headers=headers) for path in paths]
                return [*answers, await client.get(f"/v1/models/{name}")]

    listed, plain, escaped, missing, keyless = asyncio.run(read_all())
    assert listed.json()["data"] == [plain.json()] == [escaped.json()]
    assert plain.json()["id"] == name
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
    assert keyless.status_code == 401


REFUSED_BY_TRANSFORMERS = [
    {"stop": ["\n"]}, {"logprobs": True}, {"presence_penalty": 0.5}, {"response_format": {"type": "json_object"}},
    {"min_p": 0.1}, {"n": 2, "stream": True}, {"logit_bias": {"1": 5}}, {"tool_choice": "required"},
]  # fmt: skip


@pytest.mark.parametrize("fields", REFUSED_BY_TRANSFORMERS, ids=[next(iter(f)) for f in REFUSED_BY_TRANSFORMERS])
def test_what_transformers_can_not_do_is_refused_and_not_ignored(fields: dict[str, Any]) -> None:
    raw = json.dumps(ASKED | fields).encode()
    with pytest.raises(ApiError) as refused:
        check_request(raw, ("mine",), "transformers", is_chat=True)
    assert refused.value.status == 400 and refused.value.param == next(iter(fields))
    assert check_request(raw, ("mine",), "vllm", is_chat=True).model == "mine"


@pytest.mark.parametrize("backend", ["vllm", "transformers"])
@pytest.mark.parametrize("field", ["chat_template_kwargs", "tools", "messages", "anything"])
@pytest.mark.parametrize("levels", [MOST_LEVELS + 2, 300, 900])
def test_deeply_nested_requests_are_the_clients_fault(field: str, levels: int, backend: str) -> None:
    deep = b"{}"
    for _ in range(levels):
        deep = b'{"a": ' + deep + b"}" if field == "chat_template_kwargs" else b"[" + deep + b"]"
    raw = json.dumps(ASKED)[:-1].encode() + b', "' + field.encode() + b'": ' + deep + b"}"
    reply = call(Upstream(events({"content": "c"})), settings(backend), "POST", "/v1/chat/completions", content=raw)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, field)
    assert "levels" in reply.json()["error"]["message"]


def test_ordinary_nesting_passes() -> None:
    deep: Any = 1
    for _ in range(MOST_LEVELS - 1):
        deep = {"a": deep}
    reply = ask(Upstream(events({"content": "c"})), settings("transformers"), chat_template_kwargs={"x": deep})
    assert reply.status_code == 200


@pytest.mark.parametrize("backend", ["vllm", "transformers"])
def test_a_prompt_far_over_the_context_is_refused_before_it_is_tokenized(backend: str) -> None:
    most = 10 * MOST_CHARACTERS_A_TOKEN
    upstream = Upstream(events({"content": "c"}))
    known = settings(backend, max_model_len=10)

    def send(*contents: Any) -> httpx2.Response:
        return ask(
            upstream, known, messages=[{"role": "user", "content": content} for content in contents], stream=True
        )

    assert send("x" * (most - 4)).status_code == 200
    parts = [{"type": "text", "text": "x" * (most // 2)}] * 2
    for far in (("x" * most,), ("x" * (most // 2),) * 2, (parts,)):
        refused = send(*far)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert "maximum context length is 10 tokens" in refused.json()["error"]["message"]
    assert len(upstream.asked) == 1
    body = {"model": "mine", "prompt": list(range(11))}
    assert call(upstream, known, "POST", "/v1/completions", json=body).status_code == 400
    long = [{"role": "user", "content": "x" * 10**6}]
    assert ask(upstream, settings(backend), messages=long, stream=True).status_code == 200


def test_no_escape_sequence_of_the_models_server_reaches_a_client() -> None:
    for reply in (Reply(500, b"\x1b[2Joops"), Reply(400, json_content={"error": {"message": "\x1b[2Joops"}})):
        said = ask(Upstream(lambda _, reply=reply: reply), settings()).json()["error"]["message"]
        assert "oops" in said and "\x1b" not in said


def test_a_body_that_is_too_large_is_refused_with_and_without_its_length() -> None:
    small = settings(max_body_bytes=100)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 10

    for content in (b" " * 101, pieces()):
        reply = call(Upstream(events()), small, "POST", "/v1/chat/completions", content=content)
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(("shown", "status"), [("Bearer k", 200), ("bearer  k ", 200), ("k", 401), ("Bearer x", 401)])
def test_the_key_is_asked_for(shown: str, status: int) -> None:
    closed = settings(api_key="k")
    reply = call(Upstream(events()), closed, "GET", "/v1/models", headers={"Authorization": shown})
    assert reply.status_code == status
    assert call(Upstream(events()), closed, "GET", "/v1/models").headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("answer", "status"), [(lambda _: Reply(200), 200), (lambda _: Reply(503), 503)])
def test_health_is_that_of_the_models_server(answer: Handler, status: int) -> None:
    assert call(Upstream(answer), settings(), "GET", "/health").status_code == status


def test_health_is_503_where_the_models_server_does_not_answer() -> None:
    silent = Upstream(raises(TransportError("timeout", "")))
    assert call(silent, settings(), "GET", "/health").status_code == 503


def test_a_whole_answer_without_thinking_has_none_and_thinking_alone_has_no_content() -> None:
    def whole(message: dict[str, Any]) -> dict[str, Any]:
        reply = Reply(200, json_content={"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        return ask(Upstream(lambda _: reply), settings()).json()["choices"][0]["message"]

    assert whole({"content": "x"}) == {"content": "x", "reasoning_content": None}
    assert whole({"content": "<think>a"}) == {"content": None, "reasoning_content": "a"}
    assert whole({"content": ""}) == {"content": "", "reasoning_content": None}
    assert whole({"content": "b", "reasoning": "a"}) == {"content": "b", "reasoning_content": "a"}


def test_options_of_a_stream_are_passed_on_with_a_stream_alone() -> None:
    options = {"include_usage": True}
    upstream = Upstream(
        lambda body: events({"content": "c"})(body) if body["stream"] else Reply(200, b'{"choices": []}')
    )
    for stream in (True, False):
        ask(upstream, settings(), stream=stream, stream_options=options)
    assert [body.get("stream_options") for body in upstream.asked] == [options, None]


def test_the_tokens_of_several_choices_are_added_and_the_prompt_is_counted_once() -> None:
    def answer(_: dict[str, Any]) -> Reply:
        usage = {"prompt_tokens": 3, "completion_tokens": 5}
        chunk = {"choices": [{"index": 0, "delta": {"content": "c"}, "finish_reason": "stop"}], "usage": usage}
        return Reply(200, b"data: " + json.dumps(chunk).encode() + b"\n\n")

    reply = ask(Upstream(answer), settings("transformers"), n=2).json()
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 10, "total_tokens": 13}
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]


def test_calls_of_tools_are_kept_in_a_whole_answer() -> None:
    call_ = {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    tools = [{"type": "function", "function": {"name": "f"}}]
    reply = ask(Upstream(events({"tool_calls": [call_]}, finish="tool_calls")), settings("transformers"), tools=tools)
    (choice,) = reply.json()["choices"]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [{name: value for name, value in call_.items() if name != "index"}]


def test_text_completions_keep_the_think_tags() -> None:
    chunks = [{"choices": [{"index": 0, "text": "<think>a", "finish_reason": "length"}]}]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    fields = {"model": "mine", "prompt": "x"}
    reply = call(
        Upstream(lambda _: Reply(200, body)), settings("transformers"), "POST", "/v1/completions", json=fields
    )
    answer = reply.json()
    assert (answer["object"], answer["choices"][0]["text"]) == ("text_completion", "<think>a")
    assert answer["choices"][0]["finish_reason"] == "length"


def test_too_many_requests_at_once_are_told_to_come_back() -> None:
    reply = ask(Upstream(events()), settings(max_in_flight=0))
    assert (reply.status_code, reply.headers["retry-after"], reply.json()["error"]["code"]) == (429, "1", "busy")


def test_a_path_that_is_not_there_is_answered_in_openais_form() -> None:
    for method, path, status in (("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405)):
        reply = call(Upstream(events()), settings(), method, path)
        assert (reply.status_code, path in reply.json()["error"]["message"]) == (status, True)


def test_one_address_can_not_take_all_places_and_gives_back_those_it_took() -> None:
    """Of three places one address may have two; requests that wait for the model's server keep theirs."""

    async def run() -> None:
        release = asyncio.Event()

        class Waiting(Upstream):
            @asynccontextmanager
            async def stream(self, method: str, url: str, body: bytes, *_: Any, **__: Any) -> AsyncIterator[Reply]:
                self.asked.append(json.loads(body))
                await release.wait()
                yield self.answer({})

        upstream = Waiting(lambda _: Reply(200, json_content={"choices": []}))
        app = create_app(settings(max_in_flight=3, max_in_flight_a_client=2), upstream)  # type: ignore[arg-type]

        def client(address: str) -> httpx2.AsyncClient:
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
            return httpx2.AsyncClient(transport=transport, base_url="http://gateway")

        async with client("10.0.0.1") as one, client("10.0.0.2") as two:
            path = "/v1/chat/completions"
            waiting = [asyncio.ensure_future(one.post(path, json=ASKED)) for _ in range(2)]
            while len(upstream.asked) < 2:
                await asyncio.sleep(0.01)
            refused = await one.post(path, json=ASKED)
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
            assert refused.json()["error"]["message"].startswith("2 requests of your address are being answered")
            waiting.append(asyncio.ensure_future(two.post(path, json=ASKED)))
            while len(upstream.asked) < 3:
                await asyncio.sleep(0.01)
            full = await two.post(path, json=ASKED)
            assert full.json()["error"]["message"].startswith("3 requests are being answered")
            release.set()
            assert [(await reply).status_code for reply in waiting] == [200, 200, 200]
            assert (await one.post(path, json=ASKED)).status_code == 200
            assert (await one.post(path, json={})).status_code == 400  # and one that fails keeps no place
            assert (await one.post(path, json={})).status_code == 400
            assert (await one.post(path, json=ASKED)).status_code == 200

    asyncio.run(run())


TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize("backend", ["vllm", "transformers"])
@pytest.mark.parametrize("fields", [{"tools": []}, {"tools": TOOLS, "tool_choice": "none"}])
def test_no_tools_to_choose_from_are_no_tools(fields: dict[str, Any], backend: str) -> None:
    """An empty list kept transformers' answers unseparated; `none` offered the tools all the same."""
    upstream = Upstream(events(*WRITTEN))
    reply = ask(upstream, settings(backend), stream=True, **fields)
    assert read(reply) == ("ab", "c", ["stop"])
    assert not {"tools", "tool_choice"} & upstream.asked[0].keys()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("template", "effort", "options", "ignored"),
    [
        ("{{ reasoning_effort }}", "high", {"reasoning_effort": "high"}, None),
        ("{% if enable_thinking %}<think>{% endif %}", "none", {"enable_thinking": False}, None),
        ("{% if enable_thinking %}<think>{% endif %}", "low", None, "reasoning_effort"),
        ("plain", "high", None, "reasoning_effort"),
    ],
)
def test_the_effort_of_reasoning_reaches_the_template_or_the_reply_says_that_it_was_ignored(
    template: str, effort: str, options: Any, ignored: str | None, stream: bool
) -> None:
    def answer(_: dict[str, Any]) -> Reply:
        return events({"content": "c"})({}) if stream else Reply(200, json_content={"choices": []})

    upstream = Upstream(answer)
    reply = ask(upstream, settings(template=template), stream=stream, reasoning_effort=effort)
    assert (reply.status_code, reply.headers.get("X-Ignored-Fields")) == (200, ignored)
    assert upstream.asked[0].get("chat_template_kwargs") == options and "reasoning_effort" not in upstream.asked[0]


def test_a_seed_that_transformers_can_not_keep_to_is_said_to_be_ignored() -> None:
    assert (
        ask(Upstream(events({"content": "c"})), settings("transformers"), seed=1).headers["X-Ignored-Fields"] == "seed"
    )
