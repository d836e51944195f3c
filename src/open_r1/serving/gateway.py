"""What clients of `open-r1 serve` talk to: an OpenAI-compatible server in front of the model's own.

POST /v1/chat/completions   thinking in `reasoning_content`, the answer in `content`, streamed or whole; a request with
                            `"separate_reasoning": false` gets the completion as the model wrote it
POST /v1/completions        text as the model writes it
GET  /v1/models  /health    the names of the model (/v1/models/NAME: one of them); whether it answers
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from open_r1.net.client import HttpClient, TransportError
from open_r1.net.http_server import Quota, parse_body
from open_r1.serving.exchange import Exchange, GatewaySettings
from open_r1.serving.requests import ApiError, check_model_name, check_request
from open_r1.serving.thinking import prefills_thinking

BODY_LIMIT_S = 60.0
HEALTH_LIMIT_S = 10.0
KEPT_S = 2.0
"""How long an idle connection is kept: less than the model's server keeps it, which is 5 s in uvicorn."""

CLIENT_GONE = 499
Result = TypeVar("Result")


class Gateway:
    """The routes and what they share; `client` asks the model's server."""

    def __init__(self, settings: GatewaySettings, client: HttpClient | None = None) -> None:
        self.settings = settings
        self.client = client or HttpClient({"Authorization": f"Bearer {settings.secret}"}, keep_s=KEPT_S)
        self.in_flight = 0
        self.quota = Quota(settings.max_in_flight_a_client)
        self.started = int(time.time())

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        async with self.client:
            await asyncio.to_thread(prefills_thinking, self.settings.template)  # known before the first request
            yield

    async def models(self, request: Request) -> Response:
        self.check_key(request)
        return JSONResponse({"object": "list", "data": [self.describe_model(name) for name in self.settings.names]})

    async def model(self, request: Request) -> Response:
        self.check_key(request)
        return JSONResponse(self.describe_model(check_model_name(request.path_params["name"], self.settings.names)))

    def describe_model(self, name: str) -> dict[str, Any]:
        context = {"max_model_len": self.settings.max_model_len} if self.settings.max_model_len else {}
        return {"id": name, "object": "model", "created": self.started, "owned_by": "open-r1"} | context

    async def health(self, _: Request) -> Response:
        said = "the model's server has failed"
        try:
            reply = await self.client.request("GET", f"{self.settings.upstream}/health", timeout_s=HEALTH_LIMIT_S)
            if reply.status == 200:
                return JSONResponse({"status": "ok"})
        except TransportError:
            said = "the model's server does not answer"
        return JSONResponse({"status": said}, 503)

    async def answer(self, request: Request) -> Response:
        self.check_key(request)
        is_chat = request.url.path.endswith("/chat/completions")
        async with AsyncExitStack() as stack:
            stack.callback(self.leave, self.enter(request))
            exchange = await self.read(await self.read_body(request), is_chat)
            if not exchange.request.stream:
                return JSONResponse(await unless_gone(request, exchange.complete()))
            reply = await unless_gone(request, exchange.ask(stack, True, exchange.request.count))
            return EventStream(exchange.stream(reply), stack.pop_all())

    async def read(self, raw: bytes, is_chat: bool) -> Exchange:
        """What is asked for. ApiError for anything that the model's server should not see."""

        def check(raw: bytes) -> Exchange:
            settings = self.settings
            asked = check_request(raw, settings.names, settings.backend, is_chat, settings.max_model_len)
            return Exchange(settings, self.client, asked, is_chat)

        has_options = b"chat_template_kwargs" in raw  # the template is rendered for them, by another process
        return await (asyncio.to_thread(check, raw) if has_options else parse_body(check, raw))

    def enter(self, request: Request) -> str:
        """Count a request as being answered; its client. ApiError where there are too many, in all or of the client."""
        client = request.client.host if request.client else "unknown"
        if self.in_flight >= self.settings.max_in_flight:
            raise ApiError(429, f"{self.in_flight} requests are being answered; try again soon.", "busy", None, 1)
        if not self.quota.take(client):
            what = f"{self.quota.held[client]} requests of your address are being answered"
            raise ApiError(429, f"{what}; send fewer at a time.", "too_many_requests", None, 1)
        self.in_flight += 1
        return client

    def leave(self, client: str) -> None:
        self.in_flight -= 1
        self.quota.give_back(client)

    def check_key(self, request: Request) -> None:
        key = self.settings.api_key
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if key and not (scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), key.encode())):
            raise ApiError(401, "Incorrect API key provided: send Authorization: Bearer KEY.", "invalid_api_key")

    async def read_body(self, request: Request) -> bytes:
        most = self.settings.max_body_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > most:
            raise too_large(most)
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_LIMIT_S):
                async for piece in request.stream():
                    body += piece
                    if len(body) > most:
                        raise too_large(most)
        except TimeoutError:
            raise ApiError(408, f"the request's body did not arrive within {BODY_LIMIT_S:g} s.", "timeout") from None
        return bytes(body)


def too_large(most: int) -> ApiError:
    return ApiError(413, f"the request is larger than {most >> 20} MiB; shorten the messages.", "request_too_large")


class EventStream(StreamingResponse):
    """Server-sent events; what they need is released however the stream ends."""

    def __init__(self, events: AsyncIterator[bytes], stack: AsyncExitStack) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self.stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.stack:
            await super().__call__(scope, receive, send)


async def unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """The result of some work, which is dropped when the client leaves."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(wait_until_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()


async def wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def create_app(settings: GatewaySettings, client: HttpClient | None = None) -> FastAPI:
    """The gateway as an application; `client` replaces the one that asks the model's server."""
    gateway = Gateway(settings, client)
    app = FastAPI(openapi_url=None, lifespan=gateway.lifespan)
    for path in ("/v1/chat/completions", "/v1/completions"):
        app.add_route(path, gateway.answer, methods=["POST"])
    app.add_route("/v1/models", gateway.models)
    app.add_route("/v1/models/{name:path}", gateway.model)
    app.add_route("/health", gateway.health)
    handlers: dict[Any, Callable[..., Any]] = {
        ApiError: answer_error, ClientDisconnect: answer_nobody, HTTPException: answer_http_error, Exception: answer_fault
    }  # fmt: skip
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    return app


async def answer_error(_: Request, error: ApiError) -> JSONResponse:
    return JSONResponse(error.as_object(), error.status, error.headers)


async def answer_nobody(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


async def answer_http_error(request: Request, error: HTTPException) -> JSONResponse:
    message = f"{request.method} {request.url.path[:200]}: {error.detail}; see /v1/chat/completions and /v1/models."
    return await answer_error(request, ApiError(error.status_code, message, "not_found"))


async def answer_fault(request: Request, _: Exception) -> JSONResponse:
    return await answer_error(request, ApiError(500, "the gateway failed; its log says more.", "internal_error"))
