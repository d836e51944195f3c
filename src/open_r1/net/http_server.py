"""What our HTTP servers share: an address claimed before anything starts, and an application served by uvicorn."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from open_r1.errors import ConfigError, RunError
from open_r1.net.addresses import join_host_port

BACKLOG = 2048
"""Connections that wait to be accepted; uvicorn's own number."""

START_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0


class Server(uvicorn.Server):
    """uvicorn's server, silent, which says when it is ready."""

    def __init__(self, app: Any, on_ready: Callable[[], None] = lambda: None, **options: Any) -> None:
        quiet: dict[str, Any] = {"log_config": None, "log_level": "error", "access_log": False, "server_header": False}
        super().__init__(uvicorn.Config(app, **(quiet | {"backlog": BACKLOG} | options)))
        self.on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on the address, before anything is started; ConfigError where that is not possible.

    It listens at once, since two sockets may be bound to an address that neither listens on. So a client that comes while
    a model loads is not refused: it waits, as long as its own time limit allows, and is answered when the model is there.
    """
    with contextlib.ExitStack() as opened:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            sock = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError as error:
            raise ConfigError(
                f"can't listen on {host} port {port}: {error.strerror or error}; choose another --port (0 takes a free "
                "one) or --host."
            ) from None
        opened.pop_all()
    return sock


def client_address(sock: socket.socket, host: str) -> str:
    """`host:port` by which clients on this machine reach a socket that listens on `host`."""
    is_local = host in ("0.0.0.0", "::", "127.0.0.1")
    return join_host_port("localhost" if is_local else host, sock.getsockname()[1])


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def running_in_thread(server: Server, sock: socket.socket) -> Iterator[None]:
    """Serve from a thread of this process until the block ends. RunError when the server does not start."""
    ready = threading.Event()
    server.on_ready = ready.set
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="http-server", daemon=True)
    thread.start()
    try:
        if not ready.wait(START_LIMIT_S):
            raise RunError(f"the server was not ready within {START_LIMIT_S:g} s; try again.")
        yield
    finally:
        server.should_exit = True
        thread.join(STOP_LIMIT_S)
