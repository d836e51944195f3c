"""`open-r1 serve` from start to stop: claim the address, start the model's server, wait for it, serve, stop both.

A first SIGINT or SIGTERM lets answers that are under way end for a few seconds; then everything stops. The model's server
dying ends the gateway too, with the last that server said.
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

WATCH_GAP_S = 0.5


class GatewayServer(uvicorn.Server):
    """uvicorn's, that tells when it is ready and stops when the model's server is gone."""

    def __init__(self, config: uvicorn.Config, child: ChildServer, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.child, self.on_ready = child, on_ready
        self.child_died = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.watching = asyncio.create_task(self.watch())
        self.on_ready()

    async def watch(self) -> None:
        while self.child.process.poll() is None:
            await asyncio.sleep(WATCH_GAP_S)
        self.child_died = not self.should_exit
        self.should_exit = True

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
            if server.child_died:
                raise RunError(f"the model's server {child.how_it_ended()} while serving{child.last_words()}")


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
    """A socket on the address, taken before anything is started; ConfigError if it can't be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        raise ConfigError(
            f"can't listen on {host} port {port}: {error.strerror or error}; choose another --port (0 takes a free one) "
            "or --host."
        ) from None
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
