"""The HTTP client: aiohttp, with a limit on every wait and on the size of every reply.

    client = HttpClient({"Authorization": "Bearer …"})
    response = await client.request("POST", url, body, timeout_s=60)
    async with client.stream("GET", url, silence_s=30) as stream: ...
    response = request_once("GET", url, timeout_s=5)            # without an event loop

It goes through the environment's proxy but for loopback addresses. It follows no redirects, keeps no cookies, takes no
compressed bodies, reads no ~/.netrc, and doesn't try again (`retry`) but where a kept connection turned out to be closed.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from open_r1.net.addresses import is_loopback, without_secrets
from open_r1.printable import as_line

if TYPE_CHECKING:
    import aiohttp

MOST_BYTES = 64 << 20
"""Largest body that is read where the caller names no limit."""

CONNECT_S = 10.0

Reason = Literal[
    "bad_address", "unreachable", "disconnected", "timeout", "cut_body", "not_http", "too_large", "compressed"
]


class TransportError(Exception):
    """No whole reply came; `reason` is a short code, `detail` one printable line."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, as_line(detail)
        super().__init__(f"{reason}: {self.detail}")


def bearer(key: str) -> dict[str, str]:
    """The Authorization header with this key; no header without one."""
    return {"Authorization": f"Bearer {key}"} if key else {}


@dataclass(frozen=True, slots=True)
class Response:
    """A whole reply, whatever its status; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Stream:
    """A reply whose body is still to come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. TransportError where it breaks off."""
        with translated(str(self.response.url)):
            async for chunk in self.response.content.iter_any():
                yield chunk

    async def lines(self, longest: int = MOST_BYTES) -> AsyncIterator[bytes]:
        """The body line by line, line ends left out."""
        rest = b""
        async for chunk in self.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.removesuffix(b"\r")
            if len(rest) > longest:
                raise TransportError("too_large", f"a line of the reply is longer than {longest} bytes")
        if rest:
            yield rest

    async def read(self, max_bytes: int = MOST_BYTES) -> tuple[bytes, bool]:
        """The body, no more than `max_bytes` of it, and whether it was longer."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > max_bytes:
                return bytes(body[:max_bytes]), True
        return bytes(body), False


class HttpClient:
    """Requests to any server; `headers` go with every one of them. Belongs to the event loop that uses it first."""

    def __init__(self, headers: Mapping[str, str] | None = None, keep_s: float = 15.0) -> None:
        self.headers = {"Accept-Encoding": "identity", "User-Agent": "open-r1", **(headers or {})}
        self.keep_s = keep_s
        self.session: aiohttp.ClientSession | None = None
        _clients.add(self)

    def open_session(self) -> aiohttp.ClientSession:
        """aiohttp's session, made at first use."""
        import aiohttp

        if self.session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(note_reuse)
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self.keep_s),
                headers=self.headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trace_configs=[trace],
            )
        return self.session

    async def request(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float,
        max_bytes: int = MOST_BYTES,
    ) -> Response:
        """The whole reply within `timeout_s`. TransportError when none came."""
        async with self.stream(method, url, body, headers, total_s=timeout_s) as stream:
            content, is_cut = await stream.read(max_bytes)
            if is_cut:
                raise TransportError("too_large", f"the reply is larger than {max_bytes} bytes")
            return Response(stream.status, stream.headers, content)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        total_s: float | None = None,
        silence_s: float | None = None,
    ) -> AsyncIterator[Stream]:
        """A reply as it comes: all of it within `total_s`, no byte more than `silence_s` after the last.

        TransportError where there is none; None sets no limit, which is for callers that have their own.
        """
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=CONNECT_S, sock_read=silence_s)
        response = await self.send(
            method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False, proxy=find_proxy(url)
        )
        try:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise TransportError("compressed", f"{without_secrets(url)} answers compressed, though asked not to")
            yield Stream(response)
        finally:
            response.close() if not response.content.at_eof() else response.release()

    async def send(self, method: str, url: str, **options: Any) -> aiohttp.ClientResponse:
        """The head of a reply; asked once more where a kept connection turned out to be closed."""
        kept: list[bool] = []
        while True:
            try:
                with translated(url):
                    return await self.open_session().request(method, url, **options, trace_request_ctx=kept)
            except TransportError as error:
                if error.reason != "disconnected" or len(kept) != 1:
                    raise
                kept.append(False)

    async def close(self) -> None:
        """Close all connections; the next request opens new ones."""
        session, self.session = self.session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def note_reuse(_: Any, context: Any, __: Any) -> None:
    """Note that a request went out on a kept connection."""
    context.trace_request_ctx.append(True)


def find_proxy(url: str) -> str | None:
    """The environment's proxy for a URL; none for this machine, whatever the environment says.

    TransportError for a SOCKS proxy, which aiohttp would take for an HTTP proxy.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or is_loopback(host) or host in ("0.0.0.0", "::") or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        raise TransportError(
            "bad_address",
            f"{without_secrets(url)}: the environment's proxy {without_secrets(proxy)} is not an HTTP proxy; set "
            f"{parts.scheme}_proxy to one, or name {host} in no_proxy",
        )
    return proxy


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn aiohttp's errors into TransportErrors."""
    import aiohttp

    where = without_secrets(url)
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise TransportError("unreachable", f"{where}: no connection within {CONNECT_S:g} s") from None
    except TimeoutError:
        raise TransportError("timeout", f"{where}: no answer in time") from None
    except aiohttp.ClientConnectorError as error:
        raise TransportError("unreachable", f"{where}: {os.strerror(error.errno) if error.errno else error}") from None
    except aiohttp.ClientPayloadError as error:
        raise TransportError("cut_body", f"{where}: the reply broke off ({error})") from None
    except aiohttp.ClientResponseError as error:
        raise TransportError("not_http", f"{where}: what came back is not HTTP ({error.message})") from None
    except (aiohttp.ClientConnectionError, OSError) as error:
        raise TransportError("disconnected", f"{where}: the server hung up without an answer ({error})") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise TransportError("bad_address", f"{where}: {error or type(error).__name__}") from None


def request_once(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float,
    max_bytes: int = MOST_BYTES,
) -> Response:
    """One request from code without an event loop. TransportError when no whole reply came."""

    async def ask() -> Response:
        async with HttpClient() as client:
            return await client.request(method, url, body, headers, timeout_s=timeout_s, max_bytes=max_bytes)

    return asyncio.run(ask())


class SyncStream:
    """A `Stream` for code without an event loop."""

    def __init__(self, stream: Stream, runner: asyncio.Runner) -> None:
        self.stream, self.runner, self.status = stream, runner, stream.status

    def read(self, max_bytes: int = MOST_BYTES) -> bytes:
        """The body, no more than `max_bytes` of it."""
        return self.runner.run(self.stream.read(max_bytes))[0]

    def lines(self) -> Iterator[bytes]:
        """The body line by line, line ends left out. TransportError where it breaks off."""
        lines = self.stream.lines()

        async def read_line() -> bytes | None:
            return await anext(lines, None)

        return iter(lambda: self.runner.run(read_line()), None)


@contextmanager
def stream_once(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, *, silence_s: float
) -> Iterator[SyncStream]:
    """A reply as it comes, for code without an event loop. TransportError where there is none."""
    with asyncio.Runner() as runner:
        client = HttpClient()
        opened = client.stream(method, url, body, headers, silence_s=silence_s)
        try:
            yield SyncStream(runner.run(opened.__aenter__()), runner)
        finally:
            runner.run(client.close())


_clients: weakref.WeakSet[HttpClient] = weakref.WeakSet()
_of_parents: list[HttpClient] = []
"""Clients inherited by a fork: kept, since collecting one would close connections in the poll set that the parent uses."""


def _keep_in_child() -> None:
    _of_parents.extend(_clients)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_in_child)
