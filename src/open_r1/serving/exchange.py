"""One request and its answer between the gateway and the model's server: passed on, thinking separated from the answer.

Why the split is made here. vLLM 0.30's `--reasoning-parser` names one model family each, fails to start where `<think>` is
not a token of its own (as in Qwen2.5), and takes a completion without tags for thinking; transformers 5.23 splits for the
families that it has a response template for, Llama's distillations not among them; neither returns the text as written.
What a server does separate (`-- --reasoning-parser NAME`) is passed on.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import orjson

from open_r1.net.client import HttpClient, Stream, TransportError
from open_r1.net.replies import find_message, load_json, shorten
from open_r1.serving.backends import Backend
from open_r1.serving.requests import ApiError, ChatRequest
from open_r1.serving.thinking import prefills_thinking
from open_r1.text.thinking import Part, ThinkingSplitter

SILENCE_LIMIT_S = 1800.0
"""How long the model's server may say nothing: requests wait there for their turn, and whole answers take long."""

TOKEN_LIMITS = {"max_tokens", "max_completion_tokens"}
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class GatewaySettings:
    """What is behind the gateway, and who may ask.

    Args:
        upstream: Address of the model's server.
        upstream_model: What it calls the model; None when it knows all of `names`.
        names: What clients may call the model; the first is the one it is listed by.
        max_model_len: The model's context in tokens; None where it is not known.
        max_in_flight: Requests that are read or answered at a time; more get 429.
        max_in_flight_a_client: Those of one address, so that no client starves the others.
        max_connections_a_client: Open connections of one address.
    """

    upstream: str
    backend: Backend
    names: tuple[str, ...]
    upstream_model: str | None = None
    secret: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    template: str = ""
    max_body_bytes: int = 16 << 20
    max_model_len: int | None = None
    max_in_flight: int = 1024
    max_in_flight_a_client: int = 512
    max_connections_a_client: int = 1024


class Exchange:
    """One request and its answer on their way through the gateway."""

    def __init__(self, settings: GatewaySettings, client: HttpClient, request: ChatRequest, is_chat: bool) -> None:
        self.settings, self.client, self.request, self.is_chat = settings, client, request, is_chat
        self.path = "/v1/chat/completions" if is_chat else "/v1/completions"
        self.splitters: dict[int, ThinkingSplitter] = {}
        parses_itself = settings.backend == "transformers" and "tools" in request.body
        self.separates = is_chat and request.separates and not parses_itself
        self.is_prefilled = self.separates and prefills_thinking(settings.template, request.template_options)

    @property
    def is_transformers(self) -> bool:
        """Whether transformers' server is behind the gateway."""
        return self.settings.backend == "transformers"

    def body(self, stream: bool, count: int, has_limit: bool = True) -> bytes:
        """The body for the model's server; without `has_limit` the server may write as much as fits."""
        content = {key: value for key, value in self.request.body.items() if has_limit or key not in TOKEN_LIMITS}
        if not stream:
            content.pop("stream_options", None)
        content |= {"model": self.settings.upstream_model or self.request.model, "stream": stream}
        return orjson.dumps(content | ({"n": count} if count > 1 else {}))

    async def open(self, stack: AsyncExitStack, count: int | None = None) -> AsyncIterator[dict[str, Any]]:
        """The events of an answer that streams. ApiError when the model's server refuses."""
        return read_events(await self.ask(stack, True, self.request.count if count is None else count))

    async def ask(self, stack: AsyncExitStack, stream: bool, count: int) -> Stream:
        """The beginning of a reply. ApiError when the model's server refuses or can't be reached.

        vLLM refuses a `max_tokens` that does not fit in its context beside the prompt. Without one it writes as much as
        fits, which is what a limit allows.
        """
        try:
            reply = await self.post(stack, self.body(stream, count))
            if reply.status == 200:
                return reply
            error = error_of(reply.status, (await reply.read())[0])
            if not error.is_about_limit or not TOKEN_LIMITS & self.request.body.keys():
                raise error
            reply = await self.post(stack, self.body(stream, count, has_limit=False))
            if reply.status == 200:
                return reply
            raise error_of(reply.status, (await reply.read())[0])
        except TransportError as error:
            raise unreachable(error) from None

    async def post(self, stack: AsyncExitStack, body: bytes) -> Stream:
        """Send a body; the reply is closed with the stack."""
        url = f"{self.settings.upstream}{self.path}"
        return await stack.enter_async_context(self.client.stream("POST", url, body, JSON, silence_s=SILENCE_LIMIT_S))

    async def stream(self, events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
        """What the client reads, event by event, to the end or to an error."""
        try:
            async for event in events:
                for chunk in self.chunks(event):
                    yield b"data: " + orjson.dumps(chunk) + b"\n\n"
        except TransportError as error:
            yield b"data: " + orjson.dumps(unreachable(error).as_object()) + b"\n\n"
        except ApiError as error:
            yield b"data: " + orjson.dumps(error.as_object()) + b"\n\n"
        yield DONE

    def chunks(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """An event of the model's server as the client is to see it: thinking and answer separated."""
        if event.get("error"):
            raise ApiError(500, f"the model's server failed: {find_message(event)}", "server_error")
        event["model"] = self.request.model
        usage = event.pop("usage", None) if self.is_transformers else None
        made = [{**event, "choices": [piece]} for choice in event.get("choices", []) for piece in self.pieces(choice)]
        if not event.get("choices"):
            made.append(event)
        if usage and self.request.includes_usage:
            made.append({**event, "choices": [], "usage": usage})
        return made

    def pieces(self, choice: dict[str, Any]) -> list[dict[str, Any]]:
        """One choice of an event as one or more."""
        delta = choice.get("delta")
        if not self.separates or not isinstance(delta, dict):
            return [choice]
        index = choice.get("index", 0)
        splitter = self.splitters.setdefault(index, ThinkingSplitter(self.is_prefilled))
        thought = delta.pop("reasoning", None) or delta.pop("reasoning_content", None)
        delta.pop("reasoning_content", None)
        parts: list[Part] = [("thinking", thought)] if thought else []
        if thought:  # the model's server separates them by itself
            splitter.state = "answer"
        if content := delta.pop("content", None):
            parts += splitter.feed(content)
        if choice.get("finish_reason"):
            parts += splitter.finish()
        pieces = [{"index": index, "delta": {NAMES[kind]: text}, "finish_reason": None} for kind, text in parts]
        has_rest = delta or choice.get("finish_reason") or choice.get("logprobs")
        return [*pieces, {**choice, "delta": delta}] if has_rest else pieces

    async def complete(self) -> dict[str, Any]:
        """The whole answer at once."""
        if not self.is_transformers:
            return await self.pass_on()
        try:
            async with asyncio.TaskGroup() as group:
                answers = [group.create_task(self.collect()) for _ in range(self.request.count)]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return merge([task.result() for task in answers], self.request.model, self.is_chat)

    async def collect(self) -> Collected:
        """One completion of transformers' server, which stops for a client that left only while it streams."""
        collected = Collected()
        splitting = Exchange(self.settings, self.client, self.request, self.is_chat)
        async with AsyncExitStack() as stack:
            try:
                async for event in await self.open(stack, count=1):
                    collected.usage = event.get("usage") or collected.usage
                    for chunk in splitting.chunks(event):
                        collected.add(chunk)
            except TransportError as error:
                raise unreachable(error) from None
        return collected

    async def pass_on(self) -> dict[str, Any]:
        """The answer of a server that gives it whole."""
        async with AsyncExitStack() as stack:
            reply = await self.ask(stack, False, self.request.count)
            try:
                answer = read_answer((await reply.read())[0])
            except TransportError as error:
                raise unreachable(error) from None
        answer["model"] = self.request.model
        for choice in answer.get("choices", []) if self.separates else []:
            separate(choice.get("message") or {}, self.is_prefilled)
        return answer


NAMES = {"thinking": "reasoning_content", "answer": "content"}
JSON = {"Content-Type": "application/json"}


def separate(message: dict[str, Any], is_prefilled: bool) -> None:
    """Move the thinking of a whole message to where it belongs."""
    thought = message.pop("reasoning", None) or message.pop("reasoning_content", None)
    if not thought and isinstance(message.get("content"), str):
        splitter = ThinkingSplitter(is_prefilled)
        parts = splitter.feed(message["content"]) + splitter.finish()
        thought = "".join(text for kind, text in parts if kind == "thinking")
        answer = "".join(text for kind, text in parts if kind == "answer")
        message["content"] = answer if answer or not thought else None
    message["reasoning_content"] = thought or None


@dataclass
class Collected:
    """The parts of one completion put together again."""

    thinking: str = ""
    text: str = ""
    finish_reason: str | None = None
    tool_calls: list[Any] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)

    def add(self, chunk: dict[str, Any]) -> None:
        """Add a chunk of the stream."""
        for choice in chunk["choices"]:
            delta = choice.get("delta") or {}
            self.thinking += delta.get("reasoning_content") or ""
            self.text += delta.get("content") or choice.get("text") or ""
            self.tool_calls += delta.get("tool_calls") or []
            self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def as_choice(self, index: int, is_chat: bool) -> dict[str, Any]:
        """The choice of a whole answer. ApiError for a completion that has no end."""
        if self.finish_reason is None:
            raise ApiError(502, "the model's server ended its answer before its end; try again.", "server_error")
        if not is_chat:
            return {"index": index, "text": self.text, "finish_reason": self.finish_reason, "logprobs": None}
        content = self.text if self.text or not (self.thinking or self.tool_calls) else None
        message: dict[str, Any] = {"role": "assistant", "content": content, "reasoning_content": self.thinking or None}
        if self.tool_calls:
            message["tool_calls"] = [{k: v for k, v in call.items() if k != "index"} for call in self.tool_calls]
        return {"index": index, "message": message, "finish_reason": self.finish_reason, "logprobs": None}


def merge(answers: list[Collected], model: str, is_chat: bool) -> dict[str, Any]:
    """Completions as the choices of one answer; the prompt is counted once."""
    prompt = answers[0].usage.get("prompt_tokens", 0)
    written = sum(one.usage.get("completion_tokens", 0) for one in answers)
    return {
        "id": f"{'chatcmpl' if is_chat else 'cmpl'}-{uuid.uuid4().hex}",
        "object": "chat.completion" if is_chat else "text_completion",
        "created": int(time.time()),
        "model": model,
        "choices": [one.as_choice(index, is_chat) for index, one in enumerate(answers)],
        "usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written},
    }


async def read_events(reply: Stream) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream as objects, up to its end."""
    async for line in reply.lines():
        content = line.removeprefix(b"data:").strip()
        if content == b"[DONE]":
            return
        if line.startswith(b"data:"):
            yield read_answer(content)


def read_answer(content: bytes) -> dict[str, Any]:
    """The JSON object in a reply. ApiError for anything else."""
    try:
        answer = load_json(content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ApiError(
            502, f"the model's server sent something that is not an answer: {shorten(content)}", "server_error"
        )
    return answer


def error_of(status: int, body: bytes) -> ApiError:
    """What a reply of the model's server with another status than 200 means for the client."""
    try:
        content = load_json(body)
    except (ValueError, RecursionError):
        content = None
    said = find_message(content) if isinstance(content, dict) else shorten(body) or f"status {status}"
    if status == 401:  # the gateway's own secret was refused, which is not the client's fault
        return ApiError(502, "the model's server does not know this gateway.", "server_error")
    if status >= 500:
        return ApiError(status, f"the model's server failed: {said}", "server_error")
    is_too_long = "context length" in said or "max_model_len" in said
    code = "context_length_exceeded" if is_too_long else "invalid_value"
    return ApiError(400 if status == 422 else status, said, code)


def unreachable(error: TransportError) -> ApiError:
    """The error that clients see when the model's server can't be reached."""
    what = "took too long" if error.reason == "timeout" else "does not answer"
    return ApiError(502, f"the model's server {what} ({error.reason}); try again.", "server_error")
