"""One request and its answer between the gateway and the model's server: passed on, thinking separated from the answer.

Why here: vLLM 0.30's `--reasoning-parser` names one model family each, and fails where `<think>` is not a token of its own;
transformers 5.23 splits for few families; neither returns the text as written. What a server does separate is passed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import orjson

from open_r1.generation.templates import prefills_thinking
from open_r1.net.client import HttpClient, Stream, TransportError
from open_r1.net.replies import find_message, load_json, shorten
from open_r1.serving.backends import Backend
from open_r1.serving.requests import ApiError, ChatRequest
from open_r1.text.thinking import Part, ThinkingSplitter

SILENCE_LIMIT_S = 1800.0
"""How long the model's server may say nothing: requests wait there for their turn, and whole answers take long."""

TOKEN_LIMITS = {"max_tokens", "max_completion_tokens"}
TOO_LONG = "context_length_exceeded"
NAMES = {"thinking": "reasoning_content", "answer": "content"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class GatewaySettings:
    """What is behind the gateway (`upstream_model` is its name there, `max_model_len` in tokens), and who may ask."""

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
        self.url = f"{settings.upstream}{'/v1/chat/completions' if is_chat else '/v1/completions'}"
        self.is_transformers = settings.backend == "transformers"
        parses_itself = self.is_transformers and "tools" in request.body
        self.separates = is_chat and request.separates and not parses_itself
        self.is_prefilled = self.separates and prefills_thinking(settings.template, request.template_options)

    async def ask(self, stack: AsyncExitStack, stream: bool, count: int = 1) -> Stream:
        """The beginning of a reply, closed with the stack. ApiError when the model's server refuses or does not answer.

        vLLM refuses a `max_tokens` that does not fit in its context beside the prompt. Without one it writes as much as
        fits, which is what a limit allows.
        """
        body = self.request.body | {"model": self.settings.upstream_model or self.request.model, "stream": stream}
        body |= {"n": count} if count > 1 else {}
        if not stream:
            body.pop("stream_options", None)
        while True:
            post = self.client.stream("POST", self.url, orjson.dumps(body), JSON, silence_s=SILENCE_LIMIT_S)
            try:
                reply = await stack.enter_async_context(post)
                if reply.status == 200:
                    return reply
                error = _error_of(reply.status, (await reply.read())[0])
            except TransportError as failure:
                raise unreachable(failure) from None
            if error.code != TOO_LONG or not TOKEN_LIMITS & body.keys():
                raise error
            body = {key: value for key, value in body.items() if key not in TOKEN_LIMITS}

    async def stream(self, reply: Stream) -> AsyncIterator[bytes]:
        """What the client reads, event by event, to the end or to an error."""
        try:
            async for chunk in self.chunks(reply):
                yield b"data: " + orjson.dumps(chunk) + b"\n\n"
        except ApiError as error:
            yield b"data: " + orjson.dumps(error.as_object()) + b"\n\n"
        yield b"data: [DONE]\n\n"

    async def chunks(self, reply: Stream) -> AsyncIterator[dict[str, Any]]:
        """The events of a stream as the client is to see them: thinking and answer separated."""
        splitters: dict[int, ThinkingSplitter] = {}
        async for event in read_events(reply):
            event["model"] = self.request.model
            usage = event.pop("usage", None) if self.is_transformers else None
            for choice in event.get("choices", []):
                splitter = splitters.setdefault(choice.get("index", 0), ThinkingSplitter(self.is_prefilled))
                for piece in _separate_delta(choice, splitter) if self.separates else [choice]:
                    yield {**event, "choices": [piece]}
            if not event.get("choices"):
                yield event
            if usage and (self.request.includes_usage or not self.request.stream):
                yield {**event, "choices": [], "usage": usage}

    async def complete(self) -> dict[str, Any]:
        """The whole answer, thinking separated; ApiError when the model's server refuses or does not answer."""
        if self.is_transformers:
            try:
                async with asyncio.TaskGroup() as group:
                    answers = [group.create_task(self.collect()) for _ in range(self.request.count)]
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
            choices = [task.result()[0] | {"index": index} for index, task in enumerate(answers)]
            usages = [task.result()[1] for task in answers]  # the prompt is counted once
            prompt = usages[0].get("prompt_tokens", 0)
            written = sum(usage.get("completion_tokens", 0) for usage in usages)
            return {
                "id": f"{'chatcmpl' if self.is_chat else 'cmpl'}-{uuid.uuid4().hex}",
                "object": "chat.completion" if self.is_chat else "text_completion",
                "created": int(time.time()),
                "model": self.request.model,
                "choices": choices,
                "usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written},
            }
        async with AsyncExitStack() as stack:
            reply = await self.ask(stack, False, self.request.count)
            try:
                answer = _read_answer((await reply.read())[0])
            except TransportError as error:
                raise unreachable(error) from None
        answer["model"] = self.request.model
        for choice in answer.get("choices", []) if self.separates else []:
            separate(choice.get("message") or {}, self.is_prefilled)
        return answer

    async def collect(self) -> tuple[dict[str, Any], dict[str, int]]:
        """A choice and its usage, of transformers' server: it stops for a client that left only while it streams."""
        thinking = text = ""
        ended, calls, usage = None, [], {}
        async with AsyncExitStack() as stack:
            async for chunk in self.chunks(await self.ask(stack, stream=True)):
                usage = chunk.get("usage") or usage
                for choice in chunk["choices"]:
                    delta = choice.get("delta") or {}
                    thinking += delta.get("reasoning_content") or ""
                    text += delta.get("content") or choice.get("text") or ""
                    calls += [
                        {k: v for k, v in call.items() if k != "index"} for call in delta.get("tool_calls") or []
                    ]
                    ended = choice.get("finish_reason") or ended
        if ended is None:
            raise ApiError(502, "the model's server ended its answer before its end; try again.", "server_error")
        if not self.is_chat:
            return {"text": text, "finish_reason": ended, "logprobs": None}, usage
        content = text if text or not (thinking or calls) else None
        message = {"role": "assistant", "content": content, "reasoning_content": thinking or None}
        message |= {"tool_calls": calls} if calls else {}
        return {"message": message, "finish_reason": ended, "logprobs": None}, usage


def _separate_delta(choice: dict[str, Any], splitter: ThinkingSplitter) -> list[dict[str, Any]]:
    delta = choice["delta"]
    thought = delta.pop("reasoning", None) or delta.get("reasoning_content")
    delta.pop("reasoning_content", None)
    parts: list[Part] = [("thinking", thought)] if thought else []
    if thought:
        splitter.state = "answer"
    if content := delta.pop("content", None):
        parts += splitter.feed(content)
    if choice.get("finish_reason"):
        parts += splitter.finish()
    pieces = [
        {"index": choice.get("index", 0), "delta": {NAMES[kind]: text}, "finish_reason": None} for kind, text in parts
    ]
    has_rest = delta or choice.get("finish_reason") or choice.get("logprobs")
    return [*pieces, choice] if has_rest else pieces


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


async def read_events(reply: Stream) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream as objects, up to its end. ApiError where it breaks off or reports a failure."""
    try:
        async for line in reply.lines():
            content = line.removeprefix(b"data:").strip()
            if content == b"[DONE]":
                return
            if line.startswith(b"data:"):
                event = _read_answer(content)
                if event.get("error"):
                    raise ApiError(500, f"the model's server failed: {find_message(event)}", "server_error")
                yield event
    except TransportError as error:
        raise unreachable(error) from None


def _read_answer(content: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(answer := load_json(content), dict):
            return answer
    raise ApiError(502, f"the model's server sent something that is not an answer: {shorten(content)}", "server_error")


def _error_of(status: int, body: bytes) -> ApiError:
    said = shorten(body) or f"status {status}"
    with contextlib.suppress(ValueError, RecursionError):
        said = find_message(content) if isinstance(content := load_json(body), dict) else said
    if status == 401:  # the gateway's own secret was refused, which is not the client's fault
        return ApiError(502, "the model's server does not know this gateway.", "server_error")
    if status >= 500:
        return ApiError(status, f"the model's server failed: {said}", "server_error")
    is_too_long = "context length" in said or "max_model_len" in said
    return ApiError(400 if status == 422 else status, said, TOO_LONG if is_too_long else "invalid_value")


def unreachable(error: TransportError) -> ApiError:
    """The error that clients see when the model's server can't be reached."""
    what = "took too long" if error.reason == "timeout" else "does not answer"
    return ApiError(502, f"the model's server {what} ({error.reason}); try again.", "server_error")
