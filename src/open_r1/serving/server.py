"""`open-r1 serve` from start to stop: claim the address, start the model's server, wait for it, serve, stop both.

A first SIGINT or SIGTERM lets answers that are under way end for a few seconds; then everything stops. The model's server
dying, or telling that its model has died, ends the gateway too, with the last that server said.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import httpx2
import uvicorn

from open_r1.errors import ConfigError, RunError
from open_r1.serving.backends import (
    Backend,
    ServeOptions,
    backend_command,
    backend_environment,
)
from open_r1.serving.child import ChildServer, free_port
from open_r1.serving.gateway import GatewaySettings, create_app
from open_r1.serving.thinking import Template

KEEP_ALIVE_S = 30
ENDING_LIMIT_S = 3
"""Seconds for answers that are under way when the server is told to stop."""

UNWELL = 503
"""What /health answers, of vLLM and of transformers alike, when what runs the model has died."""

WATCH_GAP_S = 0.5
HEALTH_LIMIT_S = 5.0
"""How long the model's server may take to tell how it is; a busy one takes longer, which is no illness."""

BACKLOG = 2048
"""Connections that wait while the model loads; uvicorn's own number."""


class GatewayServer(uvicorn.Server):
    """uvicorn's, that tells when it is ready and stops when the model's server is gone, or is there without its model.

    `failure` says what happened then.
    """

    def __init__(self, config: uvicorn.Config, child: ChildServer, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.child, self.on_ready = child, on_ready
        self.failure = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.watching = asyncio.create_task(self.watch())
        self.on_ready()

    async def watch(self) -> None:
        async with httpx2.AsyncClient(base_url=self.child.url, timeout=HEALTH_LIMIT_S, trust_env=False) as client:
            while not (failure := await self.find_failure(client)):
                await asyncio.sleep(WATCH_GAP_S)
        self.failure = "" if self.should_exit else failure
        self.should_exit = True

    async def find_failure(self, client: httpx2.AsyncClient) -> str:
        """What is wrong with the model's server; empty when nothing is. Silence is not counted: it may be busy."""
        headers = {"Authorization": f"Bearer {self.child.secret}"}
        try:
            status = (await client.get("/health", headers=headers)).status_code
        except httpx2.HTTPError:
            status = 0
        if self.child.process.poll() is not None:
            return f"{self.child.how_it_ended()} while serving"
        if status == UNWELL:
            return f"has lost its model (/health answers {UNWELL}) and can answer nothing more"
        return ""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def serve(
    options: ServeOptions,
    backend: Backend,
    api_key: str,
    startup_limit_s: float,
    on_ready: Callable[[str], None],
    report: Callable[[str], None] | None = None,
) -> None:
    """Serve until told to stop; `on_ready` is given the address. RunError when the model's server fails."""
    with bind(options.host, options.port) as sock, stopped_by_sigterm():
        secret = secrets.token_urlsafe(24)
        port = free_port()
        command = backend_command(backend, options, port)
        with ChildServer(command, backend_environment(backend, secret), port, secret, report) as child:
            child.wait_until_ready(startup_limit_s)
            settings = gateway_settings(options, backend, child, api_key)
            server = make_server(settings, child, lambda: on_ready(address_of(sock, options.host)))
            server.run(sockets=[sock])
            if server.failure:
                raise RunError(f"the model's server {server.failure}; run the command again{child.last_words()}")


def make_server(settings: GatewaySettings, child: ChildServer, on_ready: Callable[[], None]) -> GatewayServer:
    config = uvicorn.Config(
        create_app(settings),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=ENDING_LIMIT_S,
    )
    return GatewayServer(config, child, on_ready)


@contextlib.contextmanager
def served_in_background(
    options: ServeOptions, backend: Backend, startup_limit_s: float, report: Callable[[str], None] | None = None
) -> Iterator[tuple[str, str]]:
    """Serve from a thread of this process until the block ends; gives the API's address and its key."""
    with bind("127.0.0.1", 0) as sock, stopped_by_sigterm():
        secret, port = secrets.token_urlsafe(24), free_port()
        command = backend_command(backend, options, port)
        with ChildServer(command, backend_environment(backend, secret), port, secret, report) as child:
            child.wait_until_ready(startup_limit_s)
            ready = threading.Event()
            server = make_server(gateway_settings(options, backend, child, secret), child, ready.set)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="gateway", daemon=True)
            thread.start()
            try:
                if not ready.wait(timeout=30):
                    raise RunError("the gateway was not ready within 30 s; try again.")
                yield f"http://127.0.0.1:{sock.getsockname()[1]}/v1", secret
            finally:
                server.should_exit = True
                thread.join(timeout=2 * ENDING_LIMIT_S)


def gateway_settings(options: ServeOptions, backend: Backend, child: ChildServer, api_key: str) -> GatewaySettings:
    return GatewaySettings(
        upstream=child.url,
        backend=backend,
        names=options.known_names,
        upstream_model=options.model if backend == "transformers" else None,
        secret=child.secret,
        api_key=api_key,
        template=Template.of_model(options.model),
        max_model_len=options.max_model_len or context_of(options.model),
    )


def context_of(model: str) -> int | None:
    """The context that a model folder's config tells of."""
    try:
        config: Any = json.loads((Path(model).expanduser() / "config.json").read_text(encoding="utf-8"))
        found = config.get("max_position_embeddings")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) else None


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on the address, before anything is started; ConfigError if it can't be had.

    It listens at once, since two sockets may be bound to an address that neither listens on. So a client that comes while
    the model loads is not refused: it waits, as long as its own time limit lets it, and is answered when the model is there.
    """
    with contextlib.ExitStack() as held:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            sock = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError as error:
            raise ConfigError(
                f"can't listen on {host} port {port}: {error.strerror or error}; choose another --port (0 takes a free "
                "one) or --host."
            ) from None
        held.pop_all()
    return sock


def address_of(sock: socket.socket, host: str) -> str:
    """host:port by which clients on this machine reach it."""
    port = sock.getsockname()[1]
    if host in ("0.0.0.0", "::", "127.0.0.1"):
        host = "localhost"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does, so that what was started is stopped."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
