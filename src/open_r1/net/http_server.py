"""What our HTTP servers share: an address claimed before anything starts, and an application served by uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import h11
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from open_r1.errors import ConfigError, RunError
from open_r1.net.addresses import join_host_port

BACKLOG = 2048

HEADER_LIMIT_S = 20.0
"""How long a client may take for the line and headers of a request, or do nothing on a new connection."""

MOST_HEADER_BYTES = 32 << 10

LARGE_BODY = 1 << 16
"""Bytes from which a body is parsed in a thread, so that nobody else waits for it."""

TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 56\r\n\r\nyour address has too many open connections; close some.\n"
)

START_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0

CLIENT_GONE = 499
"""The status, as nginx has it, of a request whose client did not wait for it."""


Result = TypeVar("Result")


class Quota:
    """Counts what each client uses of something that all share; none uses more than `most` at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held: Counter[str] = Counter()

    def take(self, client: str, amount: int = 1) -> bool:
        """Count an amount as held by the client; False, and nothing counted, where that would be too much."""
        if self.held[client] + amount > self.most:
            return False
        self.held[client] += amount
        return True

    def give_back(self, client: str, amount: int = 1) -> None:
        """Count an amount as no longer held by the client, which held it."""
        self.held[client] -= amount
        if self.held[client] <= 0:
            del self.held[client]  # so that addresses that come once leave nothing behind


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with two limits that uvicorn lacks: the time for headers, and connections of one address.

    A client that sends no headers is let go; one that has too many connections is answered 429.
    """

    timer: asyncio.TimerHandle | None = None
    counted_as: str | None = None

    def __init__(self, *arguments: Any, quota: Quota, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.quota = quota

    def connection_made(self, transport: Any) -> None:
        """Count the connection to its address; one above the limit is answered 429 and closed."""
        super().connection_made(transport)
        address = self.client[0] if self.client else "unknown"
        if self.quota.take(address):
            self.counted_as = address
            self.watch_headers()
        else:
            transport.write(TOO_MANY_CONNECTIONS)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on, then start or stop the timer for headers."""
        super().data_received(data)
        self.watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer, and give the connection's place back to its address."""
        super().connection_lost(exc)
        self.stop_timer()
        if self.counted_as is not None:
            self.quota.give_back(self.counted_as)

    def watch_headers(self) -> None:
        """Run the timer from the first sign of a request until its headers are complete."""
        if self.conn.their_state is not h11.IDLE:
            self.stop_timer()
        elif self.timer is None:
            self.timer = self.loop.call_later(HEADER_LIMIT_S, self.transport.abort)

    def stop_timer(self) -> None:
        """Stop the timer for headers, if it runs."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None


class Server(uvicorn.Server):
    """uvicorn's server, silent, with limits on headers and connections, which says when it is ready.

    An address that has `connections_a_client` open is answered 429; None sets no limit. `options` are uvicorn's own.
    """

    def __init__(
        self,
        app: Any,
        on_ready: Callable[[], None] = lambda: None,
        connections_a_client: int | None = None,
        **options: Any,
    ) -> None:
        quota = Quota(sys.maxsize if connections_a_client is None else connections_a_client)
        ours: dict[str, Any] = {
            "http": functools.partial(LimitedProtocol, quota=quota),
            "h11_max_incomplete_event_size": MOST_HEADER_BYTES, "backlog": BACKLOG,
            "loop": "asyncio",  # uvloop, if installed, crashes when a server dies in a thread
            "log_config": None, "log_level": "error", "access_log": False, "server_header": False
        }  # fmt: skip
        super().__init__(uvicorn.Config(app, **(ours | options)))
        self.on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections, then call `on_ready`."""
        await super().startup(sockets)
        self.on_ready()


class HeldStream(StreamingResponse):
    """A stream whose `stack` is closed however it ends, and even if nothing of it was asked for."""

    def __init__(self, content: AsyncIterator[bytes], stack: contextlib.AsyncExitStack, **options: Any) -> None:
        super().__init__(content, **options)
        self.stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.stack:
            await super().__call__(scope, receive, send)


def address_of(request: Request) -> str:
    """Where the request comes from, as far as its connection shows it."""
    return request.client.host if request.client else "unknown"


async def unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """The result of some work, which is dropped when the client leaves: ClientDisconnect then."""

    async def wait_until_gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(wait_until_gone())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()


async def parse_body(parse: Callable[[bytes], Result], body: bytes) -> Result:
    """What `parse` makes of a body; a large one is parsed in a thread, so that other clients are answered meanwhile."""
    return await asyncio.to_thread(parse, body) if len(body) > LARGE_BODY else parse(body)


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
