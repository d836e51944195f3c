"""Routers: services that share one account's E2B or Morph sandboxes among trainers.

    POST /execute_batch {"scripts": [...], "languages": [...], "timeout": s, "request_timeout": s}
    E2B    -> [{"execution": {"logs": {"stdout": [...]}, "error": ..., ...} or null, "exception_str": ...}]
    Morph  -> [{"text": ..., "exception_str": ...}]
    GET /health

Does: one program a request, so that a slow or failing one delays or spoils no other. A router says in `exception_str`
what its sandbox raised. Does not: ask for other languages than Python, in which `wrapping` runs them all.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from open_r1.execution.programs import Execution, Program
from open_r1.execution.providers.http import get_json, parse_json, post_json, service_url
from open_r1.execution.providers.remote import RemoteProvider, RetryPolicy, Session
from open_r1.execution.providers.replies import Failure, GarbledReply, as_object, text_of
from open_r1.execution.providers.wrapping import max_printed, read_frame, refuse_to_wrap, wrap

Printed = Callable[[Mapping[str, Any]], str]
"""One result of a router -> what the script has printed. GarbledReply or Failure if it doesn't say."""


class RouterProvider(RemoteProvider):
    """E2B or Morph through a router.

    Args:
        name: "e2b" or "morph".
        address: `host:port` or a URL.
        setting_name: The setting that gave the address, for the message when it is none.
        printed: How this kind of router says what a script has printed.
    """

    def __init__(
        self,
        name: str,
        address: str,
        setting_name: str,
        printed: Printed,
        concurrency: int,
        policy: RetryPolicy | None = None,
    ) -> None:
        self.name = name
        self.url = service_url(address)
        problem = "" if self.url else f"{setting_name} is '{address}', not an address; write http://host:port."
        super().__init__(concurrency, policy, problem)
        self._printed = printed

    async def greet(self, session: Session) -> None:
        await get_json(session.http, f"{self.url}/health", {}, 4096)

    def refuse(self, program: Program) -> Execution | None:
        return refuse_to_wrap(program)

    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        script, nonce = await asyncio.to_thread(wrap, program)
        run_s = math.ceil(self.program_s(program)) + 5
        request = {
            "scripts": [script],
            "languages": ["python"],
            "timeout": run_s,
            "request_timeout": run_s,
        }
        most = 2 * max_printed(program.limits)
        reply = await post_json(session.http, f"{self.url}/execute_batch", request, {}, most)
        return read_frame(self._printed(self._single(parse_json(reply))), nonce, program.limits)

    @staticmethod
    def _single(results: Any) -> Mapping[str, Any]:
        if not isinstance(results, list) or len(results) != 1:
            count = f"{len(results)} results" if isinstance(results, list) else f"a {type(results).__name__}"
            raise GarbledReply(f"the router answers one script with {count}")
        return as_object(results[0], "the router's result")


def printed_by_kernel(result: Mapping[str, Any]) -> str:
    """Of an E2B router's result."""
    if result.get("execution") is None:
        raise failure_named(text_of(result, "exception_str"))
    execution = as_object(result["execution"], "'execution'")
    lines = as_object(execution.get("logs"), "'logs'").get("stdout")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise GarbledReply("'logs.stdout' is not a list of strings")
    return "".join(lines)


def printed_as_text(result: Mapping[str, Any]) -> str:
    """Of a Morph router's result."""
    text = text_of(result, "text")
    if not text:
        raise failure_named(text_of(result, "exception_str"))
    return text


def failure_named(message: str) -> Failure:
    """What the exception behind a router's `exception_str` says about trying again."""
    detail = f"the router's sandbox failed: {message[:300] or 'without a word'}"
    lowered = message.lower()
    if "429" in message or "rate limit" in lowered:
        return Failure("rate_limited", detail)
    if "401" in message or "api key" in lowered:
        return Failure("unauthorized", detail, can_retry=False)
    return Failure("timeout" if "timed out" in lowered or "timeout" in lowered else "sandbox_failed", detail)
