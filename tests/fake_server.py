"""A server that speaks OpenAI's chat API without a model, well or badly (`FAULTS`): for tests and benchmarks.

python tests/fake_server.py --port 8000 --latency 0.05 --fault status_500=0.1 --fault hang=0.01
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.background import BackgroundTask

from open_r1.net.addresses import join_host_port
from open_r1.net.http_server import Server, bind, running_in_thread

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
    owner: str = ""
    says: str | None = None
    """The answer after the thinking, in place of one made of the seed."""


class FakeServer:
    """Answers requests and counts them."""

    def __init__(self, settings: FakeSettings) -> None:
        self.settings = settings
        self.random = random.Random(settings.seed)
        self.counts: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0
        self.thinking = " ".join(["so"] * settings.words)
        self.server = Server(_make_app(self), log_level="critical")

    def stop(self) -> None:
        """Stop to listen and break off every connection, as a killed server does."""
        for listening in self.server.servers:
            listening.close()
        for connection in list(self.server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]
        self.server.should_exit = self.server.force_exit = True

    async def complete(self, request: Request) -> Response:
        """The reply to a request for chat completions, or a fault, chosen by its share."""
        settings = self.settings
        if settings.key is not None and request.headers.get("authorization") != f"Bearer {settings.key}":
            return error(401, "Incorrect API key provided", code="invalid_api_key")
        asked = json.loads(await request.body())
        self.counts["requests"] += 1
        if asked["model"] != settings.model:
            return error(404, f"The model `{asked['model']}` does not exist.", type="NotFoundError", code=404)
        if settings.busy_above is not None and self.in_flight >= settings.busy_above:
            self.counts["busy"] += 1
            return error(429, "too many requests")
        shares = [*settings.faults.values(), 1 - sum(settings.faults.values())]
        fault = self.random.choices([*settings.faults, None], shares)[0]
        if fault is not None:
            self.counts[fault] += 1
            if fault not in ("fewer", "more"):
                return await _misbehave(fault, request, self._make_reply(asked, 1))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(settings.latency_s)
        self.in_flight -= 1
        self.counts["answers"] += 1
        count = max(0, int(asked.get("n") or 1) + {"fewer": -1, "more": 1}.get(fault or "", 0))
        is_last = settings.dies_after is not None and self.counts["answers"] >= settings.dies_after
        reply = self._make_reply(asked, 1 if settings.ignores_n and count else count)
        return JSONResponse(reply, background=BackgroundTask(self.stop) if is_last else None)

    def _make_reply(self, request: dict[str, Any], count: int) -> dict[str, Any]:
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


def _make_app(fake: FakeServer) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {
            "object": "list",
            "data": [{"id": fake.settings.model, "object": "model", "owned_by": fake.settings.owner}],
        }

    @app.get("/stats")
    async def stats() -> dict[str, Any]:
        return {**fake.counts, "most_in_flight": fake.most_in_flight}

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        return await fake.complete(request)

    return app


def error(status: int, message: str, headers: Mapping[str, str] | None = None, **words: Any) -> JSONResponse:
    """An error as OpenAI's API reports it."""
    return JSONResponse({"error": {"message": message, **words}}, status, dict(headers or {}))


async def _misbehave(fault: str, request: Request, reply: dict[str, Any]) -> Response:
    transport = request.receive.__self__.transport  # type: ignore[attr-defined]  # uvicorn's, which ASGI hides
    (choice,) = reply["choices"]
    if fault == "hang":
        await asyncio.Event().wait()
    if fault == "reset":
        transport.abort()
        await asyncio.sleep(0)  # uvicorn sees it and sends nothing more
    if fault == "cut":
        whole = json.dumps(reply).encode()
        return StreamingResponse(half(whole, transport), headers={"Content-Length": str(len(whole))})
    if fault in ("null_content", "aborted"):
        no_text = {"message": {"role": "assistant", "content": None}}
        choice |= {"finish_reason": "abort"} if fault == "aborted" else no_text
    return {
        "status_429": error(429, "slow down"),
        "retry_after": error(429, "slow down", {"Retry-After": "0.05"}),
        "status_500": error(500, "the engine has died", type="InternalServerError"),
        "html_502": HTMLResponse("<html><h1>502 Bad Gateway</h1></html>", 502),
        "invalid_json": Response('{"choices": [{"message": {"content": "half', media_type="application/json"),
        "error_200": JSONResponse({"error": {"message": "out of memory", "code": 500}}),
        "no_choices": JSONResponse({"object": "chat.completion", "choices": []}),
        "refused": error(400, "This model's maximum context length is 8 tokens.", code=400),
    }.get(fault, JSONResponse(reply))


async def half(whole: bytes, transport: asyncio.Transport) -> AsyncIterator[bytes]:
    """The first half of a body, then the connection closed."""
    yield whole[: len(whole) // 2]
    transport.close()
    await asyncio.Event().wait()


class Running(NamedTuple):
    """A fake that is being served by a thread of this process."""

    url: str
    server: FakeServer


@contextlib.contextmanager
def running_fake(settings: FakeSettings | None = None, port: int = 0) -> Iterator[Running]:
    """A fake that a thread serves on loopback until the context ends; port 0 takes a free one."""
    fake = FakeServer(settings or FakeSettings())
    with bind("127.0.0.1", port) as sock, running_in_thread(fake.server, sock):
        yield Running(f"http://127.0.0.1:{sock.getsockname()[1]}/v1", fake)
        fake.server.force_exit = True


def main() -> int:
    """Serve until interrupted; the address is printed first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="fake", help="name of the model (default: fake)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one, which is printed")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=SHARE", help=", ".join(FAULTS))
    parser.add_argument("--words", type=int, default=20, help="words of an answer")
    given = parser.parse_args()
    faults = {name: float(share) for name, _, share in (word.partition("=") for word in given.fault)}
    settings = FakeSettings(model=given.model, latency_s=given.latency, faults=faults, words=given.words)
    with bind(given.host, given.port) as sock:
        sys.stdout.write(f"http://{join_host_port(given.host, sock.getsockname()[1])}/v1\n")
        sys.stdout.flush()
        FakeServer(settings).server.run(sockets=[sock])
    return 0


if __name__ == "__main__":
    sys.exit(main())
