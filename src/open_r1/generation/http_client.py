"""HTTP/1.1 to one server with very many requests in flight: kept-alive connections over asyncio, parsed by httptools.

Does: http and https, content lengths, chunks and bodies that end with the connection; a limit on the wait and on the size
of every reply; a fresh connection, once, when a kept one turns out to be dead.
Does not: redirects, proxies, cookies, compression, HTTP/2, HTTP versions before 1.0. Nothing here knows of models.

Why it is not left to a library: with 1,000 requests in flight the client's own time is what limits the rate
(`benchmarks/generation.py --clients` measures ours beside httpx and aiohttp).
"""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httptools

from open_r1.errors import ConfigError

MOST_BYTES = 64 * 2**20
"""Largest reply that is read: 64 MiB."""

OBJECTS_TO_COLLECT = 50_000
"""New objects that make Python look for unused cycles while requests are in flight."""

CONNECTING_AT_ONCE = 128
"""Connections opened at the same time: more would overrun a server's queue and wait for a second each."""


def run_loop(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


@contextmanager
def rare_collections() -> Iterator[None]:
    """For a command that does nothing but send requests. Python's usual 700 new objects are those of some 15 requests,
    which each collection finds in use; together they take a tenth of the processor's time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(OBJECTS_TO_COLLECT, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class TransportError(Exception):
    """No whole reply came: `reason` is unreachable, disconnected, timeout, cut_body, not_http or too_large."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Response:
    """A whole reply, its headers as they came."""

    status: int
    raw_headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """By their names in lower case."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}


@dataclass(frozen=True)
class Address:
    """A server's address, taken apart."""

    host: str
    port: int
    is_secure: bool
    path: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """From `http://host:8000/v1`, `host:8000` or the like; ConfigError for what is no address."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"'{url}' is no address of a server: {error}; write http://HOST:PORT/v1.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"'{url}' is no address of a server; write http://HOST:PORT/v1 or https://HOST/v1.")
        if parts.username is not None or parts.password is not None:
            raise ConfigError(
                "the address of a server may hold no user and password; put the key into an environment variable."
            )
        if not url.isascii() or any(character.isspace() for character in url):
            raise ConfigError(f"{url!r} is no address of a server: it may hold only visible ASCII characters.")
        path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
        return cls(parts.hostname, port or (443 if parts.scheme == "https" else 80), parts.scheme == "https", path)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}{self.path}"


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.waiter: asyncio.Future[Response] | None = None
        self.is_open = True

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes, timeout_s: float) -> asyncio.Future[Response]:
        loop = asyncio.get_running_loop()
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.num_bytes = 0
        self.has_headers = False
        self.waiter = loop.create_future()
        self.timer = loop.call_later(timeout_s, self.fail, "timeout", f"no answer within {timeout_s:g} s")
        self.transport.write(request)
        return self.waiter

    def data_received(self, data: bytes) -> None:
        if self.waiter is None or self.waiter.done():
            self.close()
            return
        self.num_bytes += len(data)
        if self.num_bytes > MOST_BYTES:
            self.fail("too_large", f"the reply is larger than {MOST_BYTES // 2**20} MiB")
            return
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail("not_http", f"what came back is not HTTP ({error}): {data[:80]!r}")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.has_headers = self.status >= 200

    def on_body(self, body: bytes) -> None:
        self.chunks.append(body)

    def on_message_complete(self) -> None:
        if self.has_headers:
            if not self.parser.should_keep_alive():
                self.close()
            self.finish()

    def finish(self) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(Response(self.status, self.headers, b"".join(self.chunks)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self.waiter is None or self.waiter.done():
            return
        if exc is None and self.has_headers and self.ends_with_connection():
            self.finish()
        elif self.num_bytes == 0:
            self.waiter.set_exception(TransportError("disconnected", "the server hung up without an answer"))
        else:
            self.waiter.set_exception(TransportError("cut_body", f"the reply broke off after {self.num_bytes} bytes"))

    def ends_with_connection(self) -> bool:
        """Whether the reply doesn't say how long it is."""
        return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    def fail(self, reason: str, detail: str) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(TransportError(reason, detail))
        self.close()

    def close(self) -> None:
        self.is_open = False
        self.transport.abort()


class HttpClient:
    """Requests to one server. `headers` go with every one of them and must be checked by the caller."""

    def __init__(self, address: Address, headers: Mapping[str, str], connect_timeout_s: float = 10.0) -> None:
        self.address = address
        self.connect_timeout_s = connect_timeout_s
        self.idle: list[Connection] = []
        self.connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self.tls = ssl.create_default_context() if address.is_secure else None
        default_port = 443 if address.is_secure else 80
        host = f"[{address.host}]" if ":" in address.host else address.host
        named = {"Host": host if address.port == default_port else f"{host}:{address.port}", **headers}
        self.head = "".join(f"{name}: {value}\r\n" for name, value in named.items())

    async def request(self, method: str, path: str, body: bytes, timeout_s: float) -> Response:
        """The whole reply, whatever its status; TransportError when none came in `timeout_s`, connecting aside."""
        request = f"{method} {self.address.path}{path} HTTP/1.1\r\n{self.head}Content-Length: {len(body)}\r\n\r\n"
        data = request.encode("latin-1") + body
        while self.idle:
            kept = self.idle.pop()
            if kept.is_open and not kept.transport.is_closing():
                try:
                    return await self.send(kept, data, timeout_s)
                except TransportError as error:
                    if error.reason != "disconnected":
                        raise
                break  # the server had let go of it: ask on a fresh one
        return await self.send(await self.connect(), data, timeout_s)

    async def send(self, connection: Connection, data: bytes, timeout_s: float) -> Response:
        waiter = connection.send(data, timeout_s)
        try:
            response = await waiter
        except BaseException:
            connection.close()
            raise
        finally:
            connection.timer.cancel()
        if connection.is_open:
            self.idle.append(connection)
        return response

    async def connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        host, port = self.address.host, self.address.port
        try:
            async with self.connecting, asyncio.timeout(self.connect_timeout_s):
                _, connection = await loop.create_connection(Connection, host, port, ssl=self.tls)
        except TimeoutError:
            raise TransportError("unreachable", f"no connection within {self.connect_timeout_s:g} s") from None
        except (OSError, ssl.SSLError) as error:
            raise TransportError("unreachable", error.strerror or str(error)) from None
        return connection

    def close(self) -> None:
        for connection in self.idle:
            connection.close()
        self.idle.clear()
