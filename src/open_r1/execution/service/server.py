"""Runs the service: binds the address, serves until a signal, and then lets what runs come to its end.

A first SIGTERM or SIGINT: nothing new is taken, what waits is answered as unavailable, what runs is finished and answered.
A second one ends it at once; the sandbox's processes die with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from types import FrameType

from open_r1.execution.programs import Provider
from open_r1.execution.service.app import create_app
from open_r1.execution.service.dispatch import COMPILE_ALLOWANCE_S, Dispatcher
from open_r1.execution.service.settings import ServiceSettings
from open_r1.net.addresses import join_host_port
from open_r1.net.http_server import Server, bind

KEEP_ALIVE_S = 30


class ExecutorServer(Server):
    """`run(sockets=[bind(HOST, PORT)])` serves until it is stopped; then it empties its queue."""

    def __init__(
        self,
        provider: Provider,
        settings: ServiceSettings,
        languages: Mapping[str, str],
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        app = create_app(provider, settings, languages)
        super().__init__(
            app,
            on_ready,
            settings.client_part(settings.max_connections),
            limit_concurrency=settings.max_connections,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(settings.max_limits.wall_s + COMPILE_ALLOWANCE_S),
        )
        self._dispatcher: Dispatcher = app.state.service.dispatcher
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and remember the event loop so that another thread can stop the server."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at the first signal, once what runs has ended; at the second, at once."""
        self.force_exit = self.should_exit
        self.stop()

    def stop(self) -> None:
        """From any thread or signal handler, and more than once; a server that has ended is left as it is."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server has ended
                self._loop.call_soon_threadsafe(self._dispatcher.shut_down)
        self.should_exit = True


def serve(
    provider: Provider, settings: ServiceSettings, languages: Mapping[str, str], on_ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT. `on_ready` gets the address by which clients reach it once requests are answered."""
    with bind(settings.host, settings.port) as sock:
        host = socket.gethostname() if settings.host in ("0.0.0.0", "::") else settings.host
        address = join_host_port(host, sock.getsockname()[1])
        server = ExecutorServer(provider, settings, languages, lambda: on_ready(address))
        server.run(sockets=[sock])
        if server.force_exit:
            os._exit(130)
