"""What the service says when it won't do what was asked: a status, a code and a sentence."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

SHUTTING_DOWN = "shutting_down"


class Refusal(Exception):
    """A request that is not carried out; nothing of it was run.

    Args:
        status: The HTTP status.
        code: For programs that read the answer, in snake_case.
        message: For people: what is wrong, what is valid, what to do.
        retry_after_s: When trying again may help.
    """

    def __init__(self, status: int, code: str, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    def response(self) -> JSONResponse:
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse({"error": self.code, "message": self.message}, self.status, headers)


async def answer_refusal(request: Request, refusal: Exception) -> JSONResponse:
    """FastAPI's handler of refusals."""
    assert isinstance(refusal, Refusal)
    return refusal.response()
