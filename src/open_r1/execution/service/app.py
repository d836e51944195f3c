"""The routes of the executor service.

GET  /health              whether it lives and its self-test passes       no token needed
GET  /metrics             counters for Prometheus
GET  /v1/info             languages, limits
POST /v1/executions       the service's own protocol: see `wire`
GET  /api/v2/runtimes     Piston's, with execute and packages: see `piston`
POST /execute_batch       the routers': see `routers`
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from open_r1 import __version__
from open_r1.execution.programs import Execution, Program, Provider
from open_r1.execution.service import piston, routers
from open_r1.execution.service.dispatch import Answers, Dispatcher
from open_r1.execution.service.languages import Runtime
from open_r1.execution.service.metrics import Metrics
from open_r1.execution.service.probes import Health
from open_r1.execution.service.requests import (
    BodyReader,
    ExecutionsRequest,
    Refusal,
    answer_refusal,
    parse,
)
from open_r1.execution.service.settings import ServiceSettings
from open_r1.execution.wire import CLIENT_HEADER, EXECUTIONS_PATH, HEARTBEAT_S, INFO_PATH, encode_answer
from open_r1.net.http_server import CLIENT_GONE, HeldStream, address_of, unless_gone

CLIENT_NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Service:
    """What the routes share: one provider, its queue, and what is known of both."""

    def __init__(self, provider: Provider, settings: ServiceSettings, languages: Mapping[str, str]) -> None:
        self.provider, self.settings, self.languages = provider, settings, dict(languages)
        self.metrics = Metrics()
        self.bodies = BodyReader(settings)
        self.dispatcher = Dispatcher(provider, settings, self.metrics)
        self.health = Health(self.dispatcher)

    async def authorize(self, request: Request) -> None:
        """Refusal 401 unless the request shows the token, where there is one."""
        if self.settings.token and not hmac.compare_digest(shown_token(request), self.settings.token.encode()):
            raise Refusal(401, "unauthorized", "this executor needs its token: send Authorization: Bearer TOKEN.")

    def submit(self, request: Request, programs: list[Program]) -> Answers:
        """Queue programs for whoever asks: an address and, if they say so, which of those there."""
        name, address = request.headers.get(CLIENT_HEADER, ""), address_of(request)
        return self.dispatcher.submit(f"{name if CLIENT_NAME.fullmatch(name) else ''}@{address}", programs, address)

    async def run(self, request: Request, programs: list[Program]) -> list[Execution]:
        """The executions of all programs. What still waits is forgotten if the client leaves."""
        answers = self.submit(request, programs)
        try:
            return await unless_gone(request, answers.collect())
        finally:
            answers.cancel()

    def info(self) -> dict[str, Any]:
        """What `GET /v1/info` answers."""
        return {
            "version": __version__,
            "provider": self.provider.name,
            "concurrency": getattr(self.provider, "workers", self.provider.concurrency),
            "languages": self.languages,
            "max_programs": self.settings.max_programs,
            "max_request_bytes": self.settings.max_request_mb << 20,
            "max_limits": asdict(self.settings.max_limits),
        }


def create_app(provider: Provider, settings: ServiceSettings, languages: Mapping[str, str]) -> FastAPI:
    """The service as an application; `app.state.service` is its `Service`, `languages` are names and versions."""
    service = Service(provider, settings, languages)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        testing = asyncio.create_task(service.health.keep_testing(settings.self_test_interval_s))
        yield
        testing.cancel()
        service.dispatcher.shut_down()
        await service.dispatcher.finish()

    app = FastAPI(title="Open R1 executor", version=__version__, openapi_url=None, lifespan=lifespan)
    app.state.service = service
    add_open_routes(app, service)
    for add_routes in (add_own_routes, add_piston_routes, add_router_routes):
        router = APIRouter(dependencies=[Depends(service.authorize)])
        add_routes(router, service)
        app.include_router(router)
    for kind in (Refusal, ClientDisconnect, HTTPException):
        app.add_exception_handler(kind, answer_error)
    app.add_middleware(CountedRequests, metrics=service.metrics)
    return app


def add_open_routes(app: FastAPI, service: Service) -> None:
    """Add `/health`, which needs no token and answers 503 while programs can't be run."""

    @app.get("/health")
    async def health() -> JSONResponse:
        record, is_healthy = service.health.report()
        return JSONResponse(record, 200 if is_healthy else 503)


def add_own_routes(router: APIRouter, service: Service) -> None:
    """Add the service's own protocol: metrics, limits and languages, and executions as a stream of JSON lines."""

    @router.get("/metrics")
    async def metrics() -> Response:
        queue = service.dispatcher.queue
        content = service.metrics.render(len(queue), queue.num_running, queue.num_clients)
        return Response(content, media_type=CONTENT_TYPE_LATEST)

    @router.get(INFO_PATH)
    async def info() -> dict[str, Any]:
        return service.info()

    @router.post(EXECUTIONS_PATH)
    async def executions(request: Request) -> Response:
        async with AsyncExitStack() as held:
            body = await held.enter_async_context(service.bodies.read(request))
            programs = (await parse(ExecutionsRequest, body)).to_programs(service.settings)
            answers = service.submit(request, programs)
            held.callback(answers.cancel)
            return HeldStream(lines(answers), held.pop_all(), media_type="application/x-ndjson")


async def lines(answers: Answers) -> AsyncIterator[bytes]:
    """Each answer as a JSON line once it is there, and an empty line every `HEARTBEAT_S` seconds in between."""
    while len(answers):
        try:
            yield encode_answer(*await answers.read(HEARTBEAT_S))
        except TimeoutError:
            yield b"\n"


def add_piston_routes(router: APIRouter, service: Service) -> None:
    """Add Piston's protocol, version 2: runtimes, packages, and one program a request."""
    here = [Runtime(language, version) for language, version in service.languages.items()]

    @router.get("/api/v2/runtimes")
    async def runtimes() -> list[dict[str, Any]]:
        return [{"language": one.piston_name, "version": one.version, "aliases": one.aliases} for one in here]

    @router.get("/api/v2/packages")
    async def packages() -> list[dict[str, Any]]:
        return [{"language": one.piston_name, "language_version": one.version, "installed": True} for one in here]

    @router.post("/api/v2/execute")
    async def execute(request: Request) -> Response:
        async with service.bodies.read(request) as body:
            asked = await parse(piston.PistonRequest, body, 400)
            program, runtime = asked.to_program(service.languages, service.settings)
            (execution,) = await service.run(request, [program])
        return JSONResponse(piston.answer(execution, runtime))


def add_router_routes(router: APIRouter, service: Service) -> None:
    """Add the protocol of Open-R1's routers: a batch of scripts a request, each with its result."""

    @router.post("/execute_batch")
    async def execute_batch(request: Request) -> Response:
        mark = f"\x1enotebook {secrets.token_hex(16)} "  # what a script can't happen to write
        async with service.bodies.read(request) as body:
            programs = (await parse(routers.RouterRequest, body)).to_programs(service.settings, mark)
            executions = await service.run(request, programs)
        return JSONResponse([routers.answer(execution, mark) for execution in executions])


def shown_token(request: Request) -> bytes:
    """The token of the request's Authorization header: a bearer's, or a password for clients that know only URLs."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() == "basic":
        with suppress(ValueError):
            return base64.b64decode(value, validate=True).partition(b":")[2]
    return b""


async def answer_error(request: Request, error: Exception) -> Response:
    """Every failure in our words, what FastAPI itself refuses too; nothing for a client that hung up."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_GONE)
    if isinstance(error, HTTPException):
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
        error = Refusal(error.status_code, code, f"{request.method} {request.url.path[:100]}: {error.detail}")
    return await answer_refusal(request, error)


class CountedRequests:
    """Counts what is answered, by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = getattr(scope.get("route"), "path", "other")
                self._metrics.requests.labels(path, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counted_send if scope["type"] == "http" else send)
