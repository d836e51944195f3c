"""Reads request bodies that may be too large, too slow or too many.

What a client says of its body's length is a reason to refuse, never a reason to trust: the bytes that come are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.requests import ClientDisconnect

from open_r1.execution.service.refusals import Refusal
from open_r1.execution.service.settings import ServiceSettings
from open_r1.net.quotas import Quota

DISCARD_S = 5.0
"""How long a body that is refused is read on: a client that is still writing hears of the refusal only afterwards."""


class Body:
    """A body as it comes."""

    def __init__(self) -> None:
        self.size = 0
        self.is_complete = False
        self._chunks: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._chunks.append(chunk)

    def take(self) -> bytes:
        """All of it, once: what was parsed need not be kept as well."""
        content = b"".join(self._chunks)
        self._chunks.clear()
        return content


class BodyReader:
    """Reads bodies, and bounds what requests that are not answered yet hold together."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._held_bytes = 0
        self._quota = Quota(max(settings.max_request_bytes, settings.client_part(settings.max_held_bytes)))

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[Body]:
        """The body, which counts as held until the block ends. Refusal 408, 413, 415 or 429."""
        body = Body()
        try:
            await self._receive(request, body)
            yield body
        finally:
            self._held_bytes -= body.size
            self._quota.give_back(address_of(request), body.size)

    async def _receive(self, request: Request, body: Body) -> None:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            await discard(request)
            raise Refusal(415, "unsupported_media_type", "send the request as Content-Type: application/json.")
        if declared_length(request) > self._settings.max_request_bytes:
            await self._refuse_size(request, body)
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                while not body.is_complete:
                    await self._receive_chunk(request, body)
        except TimeoutError as error:
            message = f"the body did not arrive within {self._settings.body_timeout_s:g} s."
            raise Refusal(408, "request_timeout", message) from error

    async def _receive_chunk(self, request: Request, body: Body) -> None:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        body.is_complete = not message.get("more_body")
        if body.size + len(chunk) > self._settings.max_request_bytes:
            await self._refuse_size(request, body)
        if not self._quota.take(address_of(request), len(chunk)):
            await discard(request, body)
            what = "too much of your address is waiting here already; try again later."
            raise Refusal(429, "queue_full", what, retry_after_s=5)
        body.add(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes > self._settings.max_held_bytes:
            await discard(request, body)
            raise Refusal(429, "queue_full", "too much is waiting here already; try again later.", retry_after_s=5)

    async def _refuse_size(self, request: Request, body: Body) -> None:
        await discard(request, body)
        limit = self._settings.max_request_mb
        raise Refusal(413, "request_too_large", f"the body is larger than {limit} MiB. Send several requests.")


def address_of(request: Request) -> str:
    """Where the request comes from, as far as its connection shows it."""
    return request.client.host if request.client else "unknown"


def declared_length(request: Request) -> int:
    """What the client says; 0 if it doesn't, or not in digits."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


async def discard(request: Request, body: Body | None = None) -> None:
    """Read the rest of a body and forget it, for a while. Who asked first whether to send it learns from the answer."""
    if body is not None and body.is_complete:
        return
    if request.headers.get("expect", "").lower() == "100-continue":
        return
    try:
        async with asyncio.timeout(DISCARD_S):
            while (await request.receive()).get("more_body"):
                pass
    except TimeoutError:
        return
