"""What comes in, read and checked: bodies that may be too large, too slow, too many or malformed; refusals in words.

What a client says of its body's length is a reason to refuse, never a reason to trust: the bytes that come are counted.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Annotated, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    ValidationError,
    create_model,
)
from starlette.requests import ClientDisconnect

from open_r1.execution.programs import Limits, Program
from open_r1.execution.service.settings import ServiceSettings
from open_r1.execution.wire import decode_bytes
from open_r1.net.http_server import Quota, address_of, parse_body

SHUTTING_DOWN = "shutting_down"

DISCARD_S = 5.0
"""How long a body that is refused is read on: a client that is still writing hears of the refusal only afterwards."""

MAX_NAME, MAX_DEPTH = 255, 8
MAX_FILES = MAX_ARGS = 256
MAX_ERROR_CHARACTERS = 500

MAX_VALUES = 250_000
"""Values in one body. An empty list takes 3 bytes there and hundreds once parsed."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A JSON string; one that is never closed ends with the body, so that none is scanned twice."""


class Refusal(Exception):
    """A request that is not carried out, nor any part of it: an HTTP status, a code in snake_case and a sentence.

    `retry_after_s` says when trying again may help.
    """

    def __init__(self, status: int, code: str, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after_s = status, code, message, retry_after_s


async def answer_refusal(request: Request, refusal: Exception) -> JSONResponse:
    """FastAPI's handler of refusals."""
    assert isinstance(refusal, Refusal)
    await discard(request)
    headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    return JSONResponse({"error": refusal.code, "message": refusal.message}, refusal.status, headers)


async def discard(request: Request) -> None:
    """Read the rest of a body and forget it, for a while. Who asked first whether to send it learns from the answer."""
    if getattr(request.state, "is_read", False) or request.headers.get("expect", "").lower() == "100-continue":
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_S):
            while (await request.receive()).get("more_body"):
                pass


class BodyReader:
    """Reads bodies, and bounds what requests that are not answered yet hold together, and of one address."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._most, self._most_held = settings.max_request_mb << 20, settings.max_held_mb << 20
        self.held_bytes = 0
        self._quota = Quota(max(self._most, settings.client_part(self._most_held)))

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytearray]:
        """The body, which counts as held until the block ends. Refusal 408, 413, 415 or 429."""
        body, address, size = bytearray(), address_of(request), 0
        try:
            try:
                async with asyncio.timeout(self._settings.body_timeout_s):
                    async for chunk in self._chunks(request):
                        if not self._quota.take(address, len(chunk)):
                            raise too_much("too much of your address is waiting here already")
                        size += len(chunk)
                        self.held_bytes += len(chunk)
                        if self.held_bytes > self._most_held:
                            raise too_much("too much is waiting here already")
                        body += chunk
            except TimeoutError as error:
                message = f"the body did not arrive within {self._settings.body_timeout_s:g} s."
                raise Refusal(408, "request_timeout", message) from error
            yield body
        finally:
            self.held_bytes -= size
            self._quota.give_back(address, size)

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "unsupported_media_type", "send the request as Content-Type: application/json.")
        declared = request.headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() and len(declared) < 20 else 0
        received, is_read = 0, False
        while max(size, received) <= self._most and not is_read:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            request.state.is_read = is_read = not message.get("more_body")
            received += len(message.get("body", b""))
            if received <= self._most:
                yield message.get("body", b"")
        if max(size, received) > self._most:
            limit = self._settings.max_request_mb
            raise Refusal(413, "request_too_large", f"the body is larger than {limit} MiB. Send several requests.")


def too_much(what: str, retry_after_s: int = 5) -> Refusal:
    """A refusal with status 429 that says after how many seconds to try again."""
    return Refusal(429, "queue_full", f"{what}; try again later.", retry_after_s)


def check_file_name(name: str) -> str:
    """A relative path that stays where it is put. ValueError says what is wrong with it."""
    parts = name.split("/")
    if len(name.encode()) > MAX_NAME or len(parts) > MAX_DEPTH:
        raise ValueError(f"a file's name has at most {MAX_NAME} bytes and {MAX_DEPTH} parts")
    if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError("a file's name is a relative path of printable characters without '.', '..' or a backslash")
    return name


FileName = Annotated[str, AfterValidator(check_file_name)]
Argument = Annotated[str, StringConstraints(pattern=r"\A[^\x00]*\z")]
Base64 = Annotated[bytes, BeforeValidator(lambda text: decode_bytes(text) if isinstance(text, str) else text)]
Files = Annotated[dict[FileName, Base64], Field(max_length=MAX_FILES)]
Arguments = Annotated[list[Argument], Field(max_length=MAX_ARGS)]
Language = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Strict(BaseModel):
    """A key that isn't known is an error, and "1" is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


WireLimits = create_model(
    "WireLimits",
    __base__=Strict,
    **{name: (type(value), Field(value, gt=0)) for name, value in asdict(Limits()).items()},  # pyright: ignore
)
"""`Limits`, field by field, each above 0."""


class WireProgram(Strict):
    """A program as `wire` describes it."""

    source: str
    language: Language = "python"
    stdin: Base64 = b""
    args: Arguments = []
    sources: Files = {}
    files: Files = {}
    limits: WireLimits = WireLimits()  # pyright: ignore[reportInvalidTypeForm]


class ExecutionsRequest(Strict):
    """The body of the executor's own route."""

    programs: Annotated[list[WireProgram], FailFast()]

    def to_programs(self, settings: ServiceSettings) -> list[Program]:
        """With limits that the service allows."""
        check_count(len(self.programs), settings)
        return [
            Program(
                **{name: getattr(wire, name) for name in ("source", "language", "stdin", "sources", "files")},
                args=tuple(wire.args),
                limits=settings.lower(Limits(**wire.limits.model_dump())),
            )
            for wire in self.programs
        ]


def check_count(count: int, settings: ServiceSettings) -> None:
    """Refusal for no programs or too many."""
    if not count:
        raise Refusal(422, "malformed", "the request has no programs; send at least one.")
    if count > settings.max_programs:
        raise Refusal(
            413, "request_too_large", f"{count} programs; a request may have {settings.max_programs}. Send several."
        )


Model = TypeVar("Model", bound=BaseModel)


async def parse(model: type[Model], body: bytearray, status: int = 422) -> Model:
    """The body as `model`, and the body emptied; Refusal, naming the first place that is wrong, if it isn't one."""
    content = bytes(body)
    body.clear()
    return await parse_body(lambda raw: parse_now(model, raw, status), content)


def parse_now(model: type[Model], body: bytes, status: int = 422) -> Model:
    """As `parse`. Refuses a body that would take far more memory than its length before it is parsed."""
    if count_marks(body) > MAX_VALUES and count_marks(_STRING.sub(b"", body)) > MAX_VALUES:
        raise Refusal(413, "request_too_large", f"the body has more than {MAX_VALUES} values. Send several requests.")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Refusal(status, "malformed", describe(error)) from error


def count_marks(body: bytes) -> int:
    """The number of characters that begin a value or separate two."""
    return body.count(b"[") + body.count(b"{") + body.count(b",")


def describe(error: ValidationError) -> str:
    """The first thing that is wrong, without the value: it may be megabytes."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(str(part) for part in errors[0]["loc"]) or "the body"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{place[:MAX_ERROR_CHARACTERS]}: {errors[0]['msg'][:MAX_ERROR_CHARACTERS]}{more}"
