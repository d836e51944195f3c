"""JSON over HTTP with a service that may fail, stall or answer rubbish.

Does: send, read no more than allowed, and turn every way of failing into a `Failure` that says whether trying again may
help. Does not: time out by itself (an attempt runs under one limit as a whole) or try again (`remote`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from open_r1.execution.providers.failure import Failure, GarbledReply

if TYPE_CHECKING:
    import httpx2

CONNECT_S = 10.0
MAX_WAIT_S = 60.0
"""The longest Retry-After that is heeded."""

MAX_MESSAGE_BYTES = 4096
"""What is read of a body that explains a refusal."""

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

REASONS = {401: "unauthorized", 403: "unauthorized", 413: "too_large", 429: "rate_limited"}


@dataclass(frozen=True)
class Reply:
    """The body of a reply with a status of success; `is_cut` where it was longer than allowed."""

    body: bytes
    is_cut: bool = False


def make_client() -> httpx2.AsyncClient:
    """A client that waits as long as its caller does, follows no redirect and asks for plain bodies."""
    import httpx2

    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(None, connect=CONNECT_S),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
        headers={"Accept-Encoding": "identity", "User-Agent": "open-r1"},
    )


def service_url(address: str, default_path: str = "") -> str:
    """An address as people write it (`host:port`, with or without scheme and path) as a URL; "" if it is none."""
    address = address.strip()
    if "://" not in address:
        address = f"http://{address}"
    try:
        parts = urlsplit(address)
        is_valid = (
            parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return ""
    path = parts.path.rstrip("/") or default_path
    return f"{parts.scheme}://{parts.netloc}{path}" if is_valid else ""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


async def get_json(client: httpx2.AsyncClient, url: str, headers: Mapping[str, str], max_bytes: int) -> Any:
    async with open_reply(client, "GET", url, None, headers) as response:
        return parse_json(await read_reply(response, max_bytes))


async def post_json(
    client: httpx2.AsyncClient, url: str, record: Any, headers: Mapping[str, str], max_bytes: int
) -> Reply:
    """Send a JSON record; what came back with status 200, not yet parsed."""
    body = await asyncio.to_thread(lambda: json.dumps(record).encode())  # it may hold a hundred MB of input
    async with open_reply(client, "POST", url, body, headers) as response:
        return await read_reply(response, max_bytes)


@asynccontextmanager
async def open_reply(
    client: httpx2.AsyncClient, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> AsyncIterator[httpx2.Response]:
    """The response to a request, its body not yet read. Failure for any but a status of success."""
    import httpx2

    headers = {**headers, "Content-Type": "application/json"} if body is not None else dict(headers)
    try:
        async with client.stream(method, url, content=body, headers=headers) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise GarbledReply(f"{_origin(url)} answers compressed, though asked not to")
            if not response.is_success:
                raise await _refusal(response)
            yield response
    except httpx2.TimeoutException as error:
        raise Failure("connection_failed", f"{_origin(url)} takes no connection within {CONNECT_S:.0f} s") from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise Failure("not_configured", f"{_origin(url)}: {error}", can_retry=False) from error
    except httpx2.HTTPError as error:
        raise Failure("connection_failed", f"{_origin(url)}: {type(error).__name__}: {error}") from error


async def read_reply(response: httpx2.Response, max_bytes: int) -> Reply:
    """The body, no more than `max_bytes` of it."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            return Reply(bytes(body[:max_bytes]), is_cut=True)
    return Reply(bytes(body))


def parse_json(reply: Reply) -> Any:
    """The body as JSON. Failure if it was cut or is none."""
    if reply.is_cut:
        raise GarbledReply(f"a reply of more than {len(reply.body)} bytes")
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise GarbledReply(f"a reply that is not JSON ({str(error)[:100]})") from error


async def _refusal(response: httpx2.Response) -> Failure:
    status = response.status_code
    body = (await read_reply(response, MAX_MESSAGE_BYTES)).body
    fallback = "server_error" if status >= 500 or status in TRANSIENT else "refused"
    return Failure(
        REASONS.get(status, fallback),
        f"{_origin(str(response.url))} answers {status}: {_message_of(body)}",
        can_retry=status in TRANSIENT,
        wait_s=retry_after_s(response.headers.get("Retry-After", "")),
    )


def _message_of(body: bytes) -> str:
    """The explanation in a body: its `message`, `error` or `detail` where it is JSON, its beginning otherwise."""
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        record = None
    if isinstance(record, dict):
        for key in ("message", "error", "detail"):
            if record.get(key):
                return str(record[key])[:300]
    return body.decode("utf-8", errors="replace")[:300]


def retry_after_s(value: str) -> float:
    """The seconds of a Retry-After header, which may be a number or a date; 0 where it is neither."""
    try:
        seconds = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), MAX_WAIT_S)


def _origin(url: str) -> str:
    """A URL without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
