"""JSON over HTTP with a service that may fail, stall or answer rubbish: every way of failing is a `Failure`.

Nothing in an answer is taken on trust, neither types nor sizes. Time limits and further attempts are `remote`'s.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from open_r1.errors import ConfigError
from open_r1.execution.environment import explain_missing
from open_r1.execution.programs import Execution, Limits, Status
from open_r1.net.addresses import Address, without_secrets
from open_r1.net.client import HttpClient, Stream, TransportError
from open_r1.net.replies import describe_body
from open_r1.net.retry import cause_of, read_retry_after

MAX_WAIT_S = 60.0
"""The longest Retry-After that is heeded."""

MAX_MESSAGE_BYTES = 4096
"""What is read of a body that explains a refusal."""

MAX_DETAIL = 500
"""Characters kept of an explanation."""

REASONS = {403: "unauthorized", 503: "server_error"}
"""Codes that metrics count by another name than `net.retry` gives them."""

TRANSPORT_REASONS = {
    "bad_address": "not_configured",
    "unreachable": "connection_failed",
    "disconnected": "connection_failed",
    "cut_body": "connection_failed",
    "timeout": "timeout",
}
"""What a `TransportError` is counted as; any other is a garbled reply."""

_REASON = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Failure(Exception):
    """An attempt that shows nothing about the program, with a code that metrics count.

    `can_retry` says whether trying the same again may help, `wait_s` how long the service asks to wait before that.
    """

    def __init__(self, reason: str, detail: str, *, can_retry: bool = True, wait_s: float = 0.0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.can_retry, self.wait_s = reason, detail, can_retry, wait_s


class GarbledReply(Failure):
    """A reply that is not what the protocol says."""

    def __init__(self, detail: str) -> None:
        super().__init__("garbled_reply", detail)


def service_url(address: str, default_path: str = "") -> str:
    """An address as people write it (`host:port`, with or without scheme and path) as a URL; "" if it is none."""
    try:
        return Address.parse(address, default_path).url
    except ConfigError:
        return ""


def read_url(variable: str, address: str, example: str, provider: str) -> tuple[str, str]:
    """The URL that a variable gives and "", or "" and the problem with it."""
    if not address:
        return "", explain_missing(variable, f"provider {provider}")
    url = service_url(address)
    return url, "" if url else f"{variable} is '{address}', not an address; write {example}."


@asynccontextmanager
async def open_reply(
    client: HttpClient, url: str, headers: Mapping[str, str], body: bytes | None = None, silence_s: float | None = None
) -> AsyncIterator[Stream]:
    """The reply to a POST of `body`, or else to a GET. Failure for any but a status of success."""
    method = "GET" if body is None else "POST"
    headers = {**headers, "Content-Type": "application/json"} if body is not None else headers
    try:
        async with client.stream(method, url, body, headers, silence_s=silence_s) as stream:
            if not 200 <= stream.status < 300:
                raise await _refusal(stream, url)
            yield stream
    except TransportError as error:
        reason = TRANSPORT_REASONS.get(error.reason, "garbled_reply")
        raise Failure(reason, error.detail, can_retry=reason != "not_configured") from error


async def fetch(
    client: HttpClient, url: str, headers: Mapping[str, str], max_bytes: int, record: Any = None
) -> tuple[bytes, bool]:
    """The body of the reply to a JSON record, or to a GET, and whether it was longer than `max_bytes` and is cut."""
    body = None
    if record is not None:  # which may hold a hundred MB of input
        body = await asyncio.to_thread(lambda: json.dumps(record).encode())
    async with open_reply(client, url, headers, body) as stream:
        return await stream.read(max_bytes)


def parse_json(body: bytes, is_cut: bool) -> Any:
    """What `fetch` returns, as JSON. Failure if it was cut or is none."""
    if is_cut:
        raise GarbledReply(f"a reply of more than {len(body)} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise GarbledReply(f"a reply that is not JSON ({str(error)[:100]})") from error


async def _refusal(stream: Stream, url: str) -> Failure:
    body, _ = await stream.read(MAX_MESSAGE_BYTES)
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


def bounded(execution: Execution, limits: Limits) -> Execution:
    """The execution with outputs no longer than the limit allows; longer ones are an output limit exceeded."""
    most = limits.output_kb * 1024
    is_over = max(len(execution.stdout), len(execution.stderr)) > most
    reason = ""
    if execution.status is Status.UNAVAILABLE:  # metrics count reasons, of which a service may not invent thousands
        reason = execution.reason if _REASON.fullmatch(execution.reason) else "unknown"
    return replace(
        execution,
        status=Status.OUTPUT_LIMIT if is_over and execution.status is Status.FINISHED else execution.status,
        stdout=execution.stdout[:most],
        stderr=execution.stderr[:most],
        reason=reason,
        detail=execution.detail[:MAX_DETAIL],
    )


def max_reply_bytes(limits: Limits) -> int:
    """What an honest reply about one program can come to: both outputs twice, escaped at six bytes a byte, and change."""
    return 24 * limits.output_kb * 1024 + (1 << 20)


def as_object(value: Any, what: str) -> Mapping[str, Any]:
    """The value as a JSON object; GarbledReply names `what` if it is something else."""
    if not isinstance(value, Mapping):
        raise GarbledReply(f"{what} is a {type(value).__name__}, not an object")
    return value


def _field(record: Mapping[str, Any], key: str, kinds: tuple[type, ...], what: str, most: float = math.inf) -> Any:
    """A value that may be missing or null; a number is at most `most` in size."""
    value = record.get(key)
    if value is None:
        return None
    is_kind = isinstance(value, kinds) and not isinstance(value, bool)
    if not is_kind or not (isinstance(value, str) or abs(value) <= most):
        raise GarbledReply(f"'{key}' is {str(value)[:40]!r}, not {what}")
    return value


def text_of(record: Mapping[str, Any], key: str) -> str:
    """A text; "" where it is missing or null."""
    return _field(record, key, (str,), "a string") or ""


def output_of(record: Mapping[str, Any], key: str) -> bytes:
    """A program's output that travelled as text."""
    return text_of(record, key).encode("utf-8", errors="replace")


def number_of(record: Mapping[str, Any], key: str) -> float | None:
    """A measurement that may be missing or null."""
    value = _field(record, key, (int, float), "a number", most=1e18)
    return None if value is None else float(value)


def exit_code_of(record: Mapping[str, Any], key: str) -> int | None:
    """An exit status that may be missing or null."""
    return _field(record, key, (int,), "an exit status", most=1 << 32)
