"""JSON over HTTP with a service that may fail, stall or answer rubbish.

Does: send, read no more than allowed, and turn every way of failing into a `Failure` that says whether trying again may
help. Does not: time out by itself (an attempt runs under one limit as a whole) or try again (`remote`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from open_r1.errors import ConfigError
from open_r1.execution.providers.replies import Failure, GarbledReply
from open_r1.net.addresses import Address, without_secrets
from open_r1.net.client import HttpClient, Stream, TransportError
from open_r1.net.replies import describe_body
from open_r1.net.retry import cause_of, read_retry_after

MAX_WAIT_S = 60.0
"""The longest Retry-After that is heeded."""

MAX_MESSAGE_BYTES = 4096
"""What is read of a body that explains a refusal."""

REASONS = {403: "unauthorized", 503: "server_error"}
"""Codes that metrics count by another name than `net.retry` gives them."""

NOT_CONNECTED = {"unreachable", "disconnected", "cut_body"}


@dataclass(frozen=True)
class Reply:
    """The body of a reply with a status of success; `is_cut` where it was longer than allowed."""

    body: bytes
    is_cut: bool = False


def service_url(address: str, default_path: str = "") -> str:
    """An address as people write it (`host:port`, with or without scheme and path) as a URL; "" if it is none."""
    try:
        return Address.parse(address, default_path).url
    except ConfigError:
        return ""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


async def get_json(client: HttpClient, url: str, headers: Mapping[str, str], max_bytes: int) -> Any:
    async with open_reply(client, "GET", url, None, headers) as stream:
        return parse_json(await read_reply(stream, max_bytes))


async def post_json(client: HttpClient, url: str, record: Any, headers: Mapping[str, str], max_bytes: int) -> Reply:
    """Send a JSON record; what came back with status 200, not yet parsed."""
    body = await asyncio.to_thread(lambda: json.dumps(record).encode())  # it may hold a hundred MB of input
    async with open_reply(client, "POST", url, body, headers) as stream:
        return await read_reply(stream, max_bytes)


@asynccontextmanager
async def open_reply(
    client: HttpClient, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> AsyncIterator[Stream]:
    """The reply to a request, its body not yet read. Failure for any but a status of success."""
    headers = {**headers, "Content-Type": "application/json"} if body is not None else dict(headers)
    with as_failure():
        async with client.stream(method, url, body, headers) as stream:
            if not 200 <= stream.status < 300:
                raise await _refusal(stream, url)
            yield stream


@contextmanager
def as_failure() -> Any:
    """Turn what the HTTP client raises into a Failure."""
    try:
        yield
    except TransportError as error:
        if error.reason == "bad_address":
            raise Failure("not_configured", error.detail, can_retry=False) from error
        if error.reason in NOT_CONNECTED:
            raise Failure("connection_failed", error.detail) from error
        raise GarbledReply(error.detail) from error


async def read_reply(stream: Stream, max_bytes: int) -> Reply:
    """The body, no more than `max_bytes` of it."""
    return Reply(*await stream.read(max_bytes))


def parse_json(reply: Reply) -> Any:
    """The body as JSON. Failure if it was cut or is none."""
    if reply.is_cut:
        raise GarbledReply(f"a reply of more than {len(reply.body)} bytes")
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise GarbledReply(f"a reply that is not JSON ({str(error)[:100]})") from error


async def _refusal(stream: Stream, url: str) -> Failure:
    body = (await read_reply(stream, MAX_MESSAGE_BYTES)).body
    wait_s = read_retry_after(stream.headers.get("retry-after"))
    reason, cause = cause_of(stream.status, wait_s)
    is_final = cause in ("request", "endpoint")
    known = reason if reason in ("unauthorized", "too_large") or not is_final else "refused"
    return Failure(
        REASONS.get(stream.status, known),
        f"{without_secrets(url)} answers {stream.status}: {describe_body(body)}",
        can_retry=not is_final,
        wait_s=min(wait_s or 0.0, MAX_WAIT_S),
    )
