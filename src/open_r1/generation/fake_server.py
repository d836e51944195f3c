"""A server that speaks OpenAI's chat API without a model, well or badly: for tests and benchmarks.

    python -m open_r1.generation.fake_server --port 8000 --latency 0.05 --fault status_500=0.1 --fault hang=0.01

Does: answer any prompt with a short worked trace after `latency` seconds, list its model, count what it served
(`GET /stats`), and misbehave at the rates asked for. `FAULTS` says how.
Does not: stream, check keys unless given one, or keep to any limit but `busy_above`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httptools

from open_r1.errors import ConfigError, nearest
from open_r1.generation.http_client import run_loop

FAULTS = {
    "status_429": "429 without saying when to come back",
    "retry_after": "429 with Retry-After: 0.05",
    "status_500": "500 with a JSON error",
    "html_502": "502 with a page of HTML",
    "hang": "no answer, ever",
    "reset": "the connection closed without an answer",
    "cut": "half of the reply, then the connection closed",
    "invalid_json": "status 200 and a body that is not JSON",
    "error_200": "status 200 and an error for a body",
    "no_choices": "status 200 and an empty list of choices",
    "fewer": "one choice less than asked for",
    "more": "one choice more than asked for",
    "null_content": "a choice without text",
    "aborted": "a choice that ended with finish_reason abort",
    "refused": "400: this request can't be answered",
}

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class FakeSettings:
    """What to be like. `faults` are shares of the requests; `dies_after` answers the process or thread stops serving."""

    model: str = "fake"
    latency_s: float = 0.0
    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    words: int = 20
    key: str | None = None
    splits_thinking: bool = False
    ignores_n: bool = False
    counts_tokens: bool = True
    busy_above: int | None = None
    dies_after: int | None = None
    says: str | None = None
    """The answer after the thinking, in place of one made of the seed."""

    def __post_init__(self) -> None:
        for name in self.faults:
            if name not in FAULTS:
                raise ConfigError(f"unknown fault '{name}'{nearest(name, FAULTS)} Known: {', '.join(FAULTS)}.")


class FakeServer:
    """Answers requests and counts them."""

    def __init__(self, settings: FakeSettings) -> None:
        self.settings = settings
        self.random = random.Random(settings.seed)
        self.counts: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0
        self.connections: set[FakeConnection] = set()
        self.server: asyncio.Server | None = None
        self.thinking = " ".join(["so"] * settings.words)
        self.names = list(settings.faults)
        self.shares = [settings.faults[name] for name in self.names]

    async def serve(self, port: int = 0, host: str = "127.0.0.1") -> int:
        """Start; returns the port."""
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: FakeConnection(self, loop), host, port, backlog=4096)
        return self.server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close the door and every connection."""
        if self.server is not None:
            self.server.close()
        for connection in list(self.connections):
            connection.transport.abort()

    def draw_fault(self) -> str | None:
        """A fault at its rate, mostly none."""
        if not self.names:
            return None
        drawn = self.random.random()
        for name, share in zip(self.names, self.shares, strict=True):
            drawn -= share
            if drawn < 0:
                return name
        return None

    def answer(self, connection: FakeConnection, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Reply to one whole request, at once or later."""
        if path.endswith("/models"):
            listed = {"object": "list", "data": [{"id": self.settings.model, "object": "model"}]}
            connection.reply(200, listed)
        elif path.endswith("/stats"):
            connection.reply(200, {**self.counts, "most_in_flight": self.most_in_flight})
        elif not path.endswith("/chat/completions"):
            connection.reply(404, {"detail": "Not Found"})
        elif self.settings.key is not None and headers.get("authorization") != f"Bearer {self.settings.key}":
            connection.reply(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})
        else:
            self.complete(connection, json.loads(body))

    def complete(self, connection: FakeConnection, request: dict[str, Any]) -> None:
        settings = self.settings
        self.counts["requests"] += 1
        if request["model"] != settings.model:
            message = f"The model `{request['model']}` does not exist."
            connection.reply(404, {"error": {"message": message, "type": "NotFoundError", "code": 404}})
            return
        if settings.busy_above is not None and self.in_flight >= settings.busy_above:
            self.counts["busy"] += 1
            connection.reply(429, {"error": {"message": "too many requests"}})
            return
        fault = self.draw_fault()
        if fault is not None:
            self.counts[fault] += 1
            if connection.misbehave(fault, request):
                return
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        count = max(0, int(request.get("n") or 1) + {"fewer": -1, "more": 1}.get(fault or "", 0))
        reply = self.make_reply(request, 1 if settings.ignores_n and count else count)
        connection.loop.call_later(settings.latency_s, self.deliver, connection, reply)

    def deliver(self, connection: FakeConnection, reply: dict[str, Any]) -> None:
        self.in_flight -= 1
        self.counts["answers"] += 1
        connection.reply(200, reply)
        if self.settings.dies_after is not None and self.counts["answers"] >= self.settings.dies_after:
            self.stop()

    def make_reply(self, request: dict[str, Any], count: int) -> dict[str, Any]:
        """A reply that depends on the prompt and the seed alone."""
        words = self.thinking.split(" ", request["max_tokens"])[: request["max_tokens"]]
        is_cut = len(words) >= request["max_tokens"]
        thinking = f"{request['messages'][-1]['content'][-60:]}\n{' '.join(words)}"
        choices = []
        for index in range(count):
            made = f"\\boxed{{{request.get('seed')}.{index}}}"
            answer = made if self.settings.says is None else self.settings.says
            if self.settings.splits_thinking:
                message = {"reasoning_content": thinking, "content": None if is_cut else answer}
            else:
                message = {"content": f"<think>\n{thinking}" + ("" if is_cut else f"\n</think>\n\n{answer}")}
            finish = "length" if is_cut else "stop"
            choices.append({"index": index, "message": {"role": "assistant", **message}, "finish_reason": finish})
        reply = {"id": "fake", "object": "chat.completion", "model": self.settings.model, "choices": choices}
        if self.settings.counts_tokens:
            reply["usage"] = {"prompt_tokens": 10, "completion_tokens": count * len(words)}
        return reply


class FakeConnection(asyncio.Protocol):
    """One client's connection."""

    transport: asyncio.Transport

    def __init__(self, server: FakeServer, loop: asyncio.AbstractEventLoop) -> None:
        self.server, self.loop = server, loop

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.connections.add(self)
        self.start_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)

    def start_request(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.path = ""
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_url(self, url: bytes) -> None:
        self.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        path, headers, body = self.path, self.headers, b"".join(self.body)
        self.loop.call_soon(self.start_request)
        self.server.answer(self, path, headers, body)

    def reply(self, status: int, content: Any, headers: str = "") -> None:
        self.write(status, json.dumps(content).encode(), headers)

    def write(self, status: int, body: bytes, headers: str = "") -> None:
        if self.transport.is_closing():
            return
        head = f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\nContent-Type: application/json\r\n{headers}"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body)

    def misbehave(self, fault: str, request: dict[str, Any]) -> bool:
        """Do what the fault says; False where the reply still follows, with another number of choices."""
        if fault in ("fewer", "more"):
            return False
        if fault == "status_429":
            self.reply(429, {"error": {"message": "slow down"}})
        elif fault == "retry_after":
            self.reply(429, {"error": {"message": "slow down"}}, "Retry-After: 0.05\r\n")
        elif fault == "status_500":
            self.reply(500, {"error": {"message": "the engine has died", "type": "InternalServerError"}})
        elif fault == "html_502":
            self.write(502, b"<html><h1>502 Bad Gateway</h1></html>")
        elif fault == "reset":
            self.transport.abort()
        elif fault == "cut":
            whole = json.dumps(self.server.make_reply(request, 1)).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(whole)}\r\n\r\n".encode("latin-1")
            self.transport.write(head + whole[: len(whole) // 2])
            self.transport.close()
        elif fault == "invalid_json":
            self.write(200, b'{"choices": [{"message": {"content": "half')
        elif fault == "error_200":
            self.reply(200, {"error": {"message": "out of memory", "code": 500}})
        elif fault == "no_choices":
            self.reply(200, {"object": "chat.completion", "choices": []})
        elif fault == "refused":
            self.reply(400, {"error": {"message": "This model's maximum context length is 8 tokens.", "code": 400}})
        elif fault in ("null_content", "aborted"):
            reply = self.server.make_reply(request, 1)
            reply["choices"][0] |= (
                {"finish_reason": "abort"}
                if fault == "aborted"
                else {"message": {"role": "assistant", "content": None}}
            )
            self.reply(200, reply)
        return True


@dataclass(frozen=True)
class Running:
    """A fake that is being served by a thread of this process."""

    url: str
    server: FakeServer


@contextlib.contextmanager
def running_fake(settings: FakeSettings | None = None, port: int = 0) -> Iterator[Running]:
    """Serve a fake in a thread until the block ends."""
    server = FakeServer(settings or FakeSettings())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-server", daemon=True)
    thread.start()
    bound = asyncio.run_coroutine_threadsafe(server.serve(port), loop).result(timeout=10)
    try:
        yield Running(f"http://127.0.0.1:{bound}/v1", server)
    finally:
        loop.call_soon_threadsafe(server.stop)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)


def read_fault(word: str) -> tuple[str, float]:
    name, _, share = word.partition("=")
    try:
        return name, float(share)
    except ValueError:
        raise ConfigError(f"--fault {word}: write NAME=SHARE, as status_500=0.1.") from None


async def serve_for_ever(settings: FakeSettings, port: int, host: str) -> None:
    server = FakeServer(settings)
    bound = await server.serve(port, host)
    sys.stdout.write(f"http://{host}:{bound}/v1\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m open_r1.generation.fake_server", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--model", default="fake", help="name of the model (default: fake)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one, which is printed")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=SHARE", help=", ".join(FAULTS))
    parser.add_argument("--words", type=int, default=20, help="words of an answer")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    arguments = parser.parse_args()
    faults = dict(read_fault(word) for word in arguments.fault)
    settings = FakeSettings(
        model=arguments.model,
        latency_s=arguments.latency,
        faults=faults,
        words=arguments.words,
        seed=arguments.seed,
    )
    run_loop(serve_for_ever(settings, arguments.port, arguments.host))
    return 0


if __name__ == "__main__":
    sys.exit(main())
