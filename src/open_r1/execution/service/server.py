"""Runs the service: binds the address, serves until told to stop, and then lets what runs come to its end.

A first SIGTERM or SIGINT: nothing new is taken, what waits is answered as unavailable, what runs is finished and answered.
A second one ends it at once; the sandbox's processes die with it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from types import FrameType

import uvicorn

from open_r1.errors import ConfigError
from open_r1.execution.programs import Provider
from open_r1.execution.service.app import create_app
from open_r1.execution.service.dispatch import COMPILE_ALLOWANCE_S, Dispatcher
from open_r1.execution.service.settings import ServiceSettings

KEEP_ALIVE_S = 30


class ExecutorServer(uvicorn.Server):
    """uvicorn's, that tells when it is ready and empties the queue when it is to stop."""

    def __init__(self, config: uvicorn.Config, dispatcher: Dispatcher, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._dispatcher = dispatcher
        self._on_ready = on_ready
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.stop()

    def stop(self) -> None:
        """From any thread or signal handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._dispatcher.shut_down)
        self.should_exit = True


def make_server(
    provider: Provider,
    settings: ServiceSettings,
    languages: Mapping[str, str],
    on_ready: Callable[[], None] = lambda: None,
) -> ExecutorServer:
    """The server, not yet running: `run(sockets=[bind(settings)])` serves until it is stopped."""
    app = create_app(provider, settings, languages)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.max_limits.wall_s + COMPILE_ALLOWANCE_S),
    )
    return ExecutorServer(config, app.state.service.dispatcher, on_ready)


def bind(settings: ServiceSettings) -> socket.socket:
    """A socket on the address; ConfigError where it can't be bound."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise ConfigError(
            f"can't listen on {settings.host} port {settings.port}: {error.strerror or error}; "
            "choose another --port (0 takes a free one) or --host."
        ) from error


def address_of(sock: socket.socket, host: str) -> str:
    """host:port by which clients reach it: this machine's name where it listens on every address."""
    port = sock.getsockname()[1]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(
    provider: Provider,
    settings: ServiceSettings,
    languages: Mapping[str, str],
    on_ready: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT. `on_ready` is told the address once requests are answered."""
    sock = bind(settings)
    with sock:
        address = address_of(sock, settings.host)
        server = make_server(provider, settings, languages, lambda: on_ready(address))
        server.run(sockets=[sock])
        if server.force_exit:
            os._exit(130)
