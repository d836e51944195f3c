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
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from open_r1.generation.templates import prefills_thinking
from open_r1.net.client import HttpClient, TransportError, bearer
from open_r1.net.http_server import CLIENT_GONE, HeldStream, Quota, address_of, parse_body, unless_gone
from open_r1.serving.exchange import Exchange, GatewaySettings
from open_r1.serving.requests import ApiError, check_model_name, check_request

BODY_LIMIT_S = 60.0
HEALTH_LIMIT_S = 10.0
KEPT_S = 2.0  # how long an idle connection is kept: less than the model's server keeps it, which is 5 s in uvicorn
IGNORED_HEADER = "X-Ignored-Fields"  # fields of the request that had no effect on the answer


class Gateway:
    """The routes and what they share; `client` asks the model's server."""

    def __init__(self, settings: GatewaySettings, client: HttpClient | None = None) -> None:
        self.settings = settings
        self.client = client or HttpClient(bearer(settings.secret), keep_s=KEPT_S)
        self.in_flight = 0
        self.quota = Quota(settings.max_in_flight_a_client)
        self.started = int(time.time())

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Open the client's connections while the application runs."""
        async with self.client:
            await asyncio.to_thread(prefills_thinking, self.settings.template)  # known before the first request
            yield

    async def models(self, request: Request) -> Response:
        """`GET /v1/models`: all names of the model."""
        self.check_key(request)
        return JSONResponse({"object": "list", "data": [self.describe_model(name) for name in self.settings.names]})

    async def model(self, request: Request) -> Response:
        """`GET /v1/models/NAME`: one name; ApiError 404 for one that this server does not have."""
        self.check_key(request)
        return JSONResponse(self.describe_model(check_model_name(request.path_params["name"], self.settings.names)))

    def describe_model(self, name: str) -> dict[str, Any]:
        """A model as OpenAI's API describes it, with its context in tokens where it is known."""
        context = {"max_model_len": self.settings.max_model_len} if self.settings.max_model_len else {}
        return {"id": name, "object": "model", "created": self.started, "owned_by": "open-r1"} | context

    async def health(self, _: Request) -> Response:
        """`GET /health`: 200 while the model's server answers, else 503 with the reason."""
        said = "the model's server has failed"
        try:
            reply = await self.client.request("GET", f"{self.settings.upstream}/health", timeout_s=HEALTH_LIMIT_S)
            if reply.status == 200:
                return JSONResponse({"status": "ok"})
        except TransportError:
            said = "the model's server does not answer"
        return JSONResponse({"status": said}, 503)

    async def answer(self, request: Request) -> Response:
        """Either POST route: check the request, pass it on, and answer whole or as a stream of events."""
        self.check_key(request)
        settings, is_chat = self.settings, request.url.path.endswith("/chat/completions")

        def check(raw: bytes) -> Exchange:
            known = settings.names, settings.backend, is_chat, settings.max_model_len, settings.template
            asked = check_request(raw, *known)
            return Exchange(settings, self.client, asked, is_chat)

        async with AsyncExitStack() as stack:
            stack.callback(self.leave, self.enter(request))
            raw = await self.read_body(request)
            has_options = (
                b"chat_template_kwargs" in raw or b"reasoning_effort" in raw
            )  # the template is rendered for them, by another process
            exchange = await (asyncio.to_thread(check, raw) if has_options else parse_body(check, raw))
            headers = {IGNORED_HEADER: ", ".join(exchange.request.ignored)} if exchange.request.ignored else {}
            if not exchange.request.stream:
                return JSONResponse(await unless_gone(request, exchange.complete()), headers=headers)
            reply = await unless_gone(request, exchange.ask(stack, True, exchange.request.count))
            headers["Cache-Control"] = "no-cache"
            return HeldStream(exchange.stream(reply), stack.pop_all(), media_type="text/event-stream", headers=headers)

    def enter(self, request: Request) -> str:
        """Count a request as being answered; its client. ApiError where there are too many, in all or of the client."""
        client = address_of(request)
        if self.in_flight >= self.settings.max_in_flight:
            raise ApiError(429, f"{self.in_flight} requests are being answered; try again soon.", "busy", None, 1)
        if not self.quota.take(client):
            what = f"{self.quota.held[client]} requests of your address are being answered"
            raise ApiError(429, f"{what}; send fewer at a time.", "too_many_requests", None, 1)
        self.in_flight += 1
        return client

    def leave(self, client: str) -> None:
        """A request of this client has ended."""
        self.in_flight -= 1
        self.quota.give_back(client)

    def check_key(self, request: Request) -> None:
        """ApiError 401 unless the request shows the key, where there is one."""
        key = self.settings.api_key
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if key and not (scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), key.encode())):
            raise ApiError(401, "Incorrect API key provided: send Authorization: Bearer KEY.", "invalid_api_key")

    async def read_body(self, request: Request) -> bytes:
        """The body of a request; ApiError 413 for one that is too large, 408 for one that is too slow."""
        most, body = self.settings.max_body_bytes, bytearray()
        declared = request.headers.get("content-length", "")
        too_large = f"the request is larger than {most >> 20} MiB; shorten the messages."
        if declared.isdigit() and int(declared) > most:
            raise ApiError(413, too_large, "request_too_large")
        try:
            async with asyncio.timeout(BODY_LIMIT_S):
                async for piece in request.stream():
                    body += piece
                    if len(body) > most:
                        raise ApiError(413, too_large, "request_too_large")
        except TimeoutError:
            raise ApiError(408, f"the request's body did not arrive within {BODY_LIMIT_S:g} s.", "timeout") from None
        return bytes(body)


def create_app(settings: GatewaySettings, client: HttpClient | None = None) -> FastAPI:
    """The gateway as an application; `client` replaces the one that asks the model's server."""
    gateway = Gateway(settings, client)
    app = FastAPI(openapi_url=None, lifespan=gateway.lifespan)
    for path in ("/v1/chat/completions", "/v1/completions"):
        app.add_route(path, gateway.answer, methods=["POST"])
    app.add_route("/v1/models", gateway.models)
    app.add_route("/v1/models/{name:path}", gateway.model)
    app.add_route("/health", gateway.health)
    for kind in (ApiError, ClientDisconnect, HTTPException, Exception):
        app.add_exception_handler(kind, answer_error)
    return app


async def answer_error(request: Request, error: Exception) -> Response:
    """Every failure in OpenAI's form; nothing for a client that left."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_GONE)
    if isinstance(error, HTTPException):
        said = f"{request.method} {request.url.path[:200]}: {error.detail}; see /v1/chat/completions and /v1/models."
        error = ApiError(error.status_code, said, "not_found")
    elif not isinstance(error, ApiError):
        error = ApiError(500, "the gateway failed; its log says more.", "internal_error")
    return JSONResponse(error.as_object(), error.status, error.headers)
