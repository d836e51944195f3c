"""The bodies of the executor's own route, checked; what `wire` describes, from the server's side."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated, TypeVar

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

from open_r1.execution.programs import Limits, Program
from open_r1.execution.service.refusals import Refusal
from open_r1.execution.service.settings import ServiceSettings
from open_r1.execution.wire import decode_bytes

MAX_NAME = 255
MAX_DEPTH = 8
MAX_FILES = 256
MAX_ARGS = 256
MAX_LANGUAGE = 64
MAX_ERROR_CHARACTERS = 500

MAX_VALUES = 250_000
"""Values in one body. An empty list takes 3 bytes there and hundreds once parsed."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A JSON string; one that is never closed ends with the body, so that none is scanned twice."""


def check_file_name(name: str) -> str:
    """A relative path that stays where it is put. ValueError says what is wrong with it."""
    parts = name.split("/")
    if len(name.encode()) > MAX_NAME or len(parts) > MAX_DEPTH:
        raise ValueError(f"a file's name has at most {MAX_NAME} bytes and {MAX_DEPTH} parts")
    if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError("a file's name is a relative path of printable characters without '.', '..' or a backslash")
    return name


def check_argument(argument: str) -> str:
    if "\0" in argument:
        raise ValueError("an argument can't hold a NUL character")
    return argument


def _decode(content: object) -> object:
    return decode_bytes(content) if isinstance(content, str) else content


FileName = Annotated[str, AfterValidator(check_file_name)]
Argument = Annotated[str, AfterValidator(check_argument)]
Base64 = Annotated[bytes, BeforeValidator(_decode)]
Files = Annotated[dict[FileName, Base64], Field(max_length=MAX_FILES)]
Arguments = Annotated[list[Argument], Field(max_length=MAX_ARGS)]
Language = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LANGUAGE)]


class Strict(BaseModel):
    """A key that isn't known is an error, and "1" is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


WireLimits = create_model(
    "WireLimits",
    __base__=Strict,
    **{name: (type(value), Field(value, gt=0)) for name, value in asdict(Limits()).items()},  # pyright: ignore
)
"""`base.Limits`, field by field, each above 0."""


class WireProgram(Strict):
    source: str
    language: Language = "python"
    stdin: Base64 = b""
    args: Arguments = []
    sources: Files = {}
    files: Files = {}
    limits: WireLimits = WireLimits()  # pyright: ignore[reportInvalidTypeForm]

    def to_program(self, settings: ServiceSettings) -> Program:
        """With limits that the service allows."""
        return Program(
            source=self.source,
            language=self.language,
            stdin=self.stdin,
            args=tuple(self.args),
            sources=self.sources,
            files=self.files,
            limits=settings.lower(Limits(**self.limits.model_dump())),
        )


class ExecutionsRequest(Strict):
    programs: Annotated[list[WireProgram], FailFast()]

    def to_programs(self, settings: ServiceSettings) -> list[Program]:
        check_count(len(self.programs), settings)
        return [program.to_program(settings) for program in self.programs]


def check_count(count: int, settings: ServiceSettings) -> None:
    """Refusal for no programs or too many."""
    if not count:
        raise Refusal(422, "malformed", "the request has no programs; send at least one.")
    if count > settings.max_programs:
        raise Refusal(
            413, "request_too_large", f"{count} programs; a request may have {settings.max_programs}. Send several."
        )


Body = TypeVar("Body", bound=BaseModel)


def parse(model: type[Body], body: bytes, status: int = 422) -> Body:
    """The body as `model`; Refusal, naming the first place that is wrong, if it isn't one."""
    check_number_of_values(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Refusal(status, "malformed", describe(error)) from error


def check_number_of_values(body: bytes) -> None:
    """Refusal for a body that would take far more memory than its length."""
    if count_marks(body) > MAX_VALUES and count_marks(_STRING.sub(b"", body)) > MAX_VALUES:
        raise Refusal(413, "request_too_large", f"the body has more than {MAX_VALUES} values. Send several requests.")


def count_marks(body: bytes) -> int:
    """The number of characters that begin a value or separate two."""
    return body.count(b"[") + body.count(b"{") + body.count(b",")


def describe(error: ValidationError) -> str:
    """The first thing that is wrong, without the value: it may be megabytes."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(str(part) for part in errors[0]["loc"]) or "the body"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{place[:MAX_ERROR_CHARACTERS]}: {errors[0]['msg'][:MAX_ERROR_CHARACTERS]}{more}"
