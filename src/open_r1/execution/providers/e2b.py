"""E2B's cloud sandboxes, by their own client (https://e2b.dev, e2b-code-interpreter 2.x) or through a router.

Does: one sandbox a program, without internet, killed afterwards; every language that `wrapping` knows. Does not: keep
sandboxes for the next program. A router (`scripts/e2b_router.py`) shares one account's sandboxes among many trainers.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Any

from open_r1.execution.environment import Environment, explain_missing
from open_r1.execution.programs import Execution, Program
from open_r1.execution.providers.registry import ProviderSpec, setting
from open_r1.execution.providers.remote import RemoteProvider, RetryPolicy, Session
from open_r1.execution.providers.replies import Failure, GarbledReply
from open_r1.execution.providers.routers import RouterProvider, printed_by_kernel
from open_r1.execution.providers.wrapping import max_printed, read_frame, refuse_to_wrap, wrap

START_S = 30
"""What starting a sandbox may take."""

ROUTER_CONCURRENCY = 32
"""Programs in flight to a router, which does its own rationing."""


class E2BProvider(RemoteProvider):
    """E2B by its own client.

    Args:
        api_key: Of the account; "" is a problem that `check` explains.
        domain: Of an E2B of one's own; the public one where it is "".
        concurrency: Sandboxes at once; an account's limit is for all processes together.
    """

    name = "e2b"

    def __init__(
        self, api_key: str, concurrency: int = 2, domain: str = "", policy: RetryPolicy | None = None
    ) -> None:
        super().__init__(concurrency, policy, self._find_problem(api_key))
        self._connection: dict[str, Any] = {"api_key": api_key} | ({"domain": domain} if domain else {})

    @staticmethod
    def _find_problem(api_key: str) -> str:
        if not find_spec("e2b_code_interpreter"):
            return "provider e2b needs E2B's client; run in the checkout: pip install -e '.[code]'."
        return "" if api_key else explain_missing("E2B_API_KEY", "provider e2b (without e2b_router_url)")

    def refuse(self, program: Program) -> Execution | None:
        return refuse_to_wrap(program)

    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        script, nonce = await asyncio.to_thread(wrap, program)
        try:
            printed = await self._run_script(script, program, clean_up)
        except Exception as error:
            raise failure_of(error) from error
        return read_frame(printed, nonce, program.limits)

    async def _run_script(self, script: str, program: Program, clean_up: AsyncExitStack) -> str:
        from e2b_code_interpreter import AsyncSandbox

        run_s = math.ceil(self.program_s(program)) + 5
        sandbox = await AsyncSandbox.create(
            timeout=run_s + START_S,
            allow_internet_access=False,
            request_timeout=START_S,
            **self._connection,
        )
        clean_up.push_async_callback(sandbox.kill, request_timeout=self.policy.clean_up_s)
        meter = OutputMeter(max_printed(program.limits))
        execution = await sandbox.run_code(
            script, language="python", on_stdout=meter, timeout=run_s, request_timeout=START_S
        )
        printed = "".join(execution.logs.stdout)
        if execution.error is not None and not printed:
            raise Failure("sandbox_failed", f"{execution.error.name}: {str(execution.error.value)[:200]}")
        return printed


class OutputMeter:
    """Counts what a sandbox prints while it comes, and stops a flood."""

    def __init__(self, most: int) -> None:
        self.left = most

    def __call__(self, message: Any) -> None:
        self.left -= len(str(message.line))
        if self.left < 0:
            raise GarbledReply("the sandbox prints more than a result can come to")


def failure_of(error: Exception) -> Failure:
    """What an exception of E2B's client says about trying again. Found by class name: releases have moved the classes."""
    if isinstance(error, Failure):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    detail = f"{type(error).__name__}: {error}"[:300]
    status = getattr(error, "status_code", None) or _leading_status(str(error))
    if "RateLimitException" in names or status == 429:
        return Failure("rate_limited", detail)
    if "AuthenticationException" in names or status in (401, 403):
        return Failure("unauthorized", detail, can_retry=False)
    if "InvalidArgumentException" in names or "TemplateException" in names:
        return Failure("refused", detail, can_retry=False)
    if names & {"TimeoutException", "TimeoutError"}:
        return Failure("timeout", detail)
    if "SandboxException" in names:
        is_refusal = status is not None and 400 <= status < 500
        return Failure("refused" if is_refusal else "server_error", detail, can_retry=not is_refusal)
    if names & {"ConnectionError", "HTTPError", "TransportError", "OSError"}:
        return Failure("connection_failed", detail)
    if names & {"ValueError", "KeyError", "TypeError", "AttributeError"}:
        return GarbledReply(detail)
    return Failure("provider_error", detail)


def _leading_status(message: str) -> int | None:
    first = message[:3]
    return int(first) if first.isdigit() and len(first) == 3 else None


def build(settings: Any, environment: Environment) -> RemoteProvider:
    router = setting(settings, "e2b_router_url", None)
    if router:
        return RouterProvider("e2b", router, "e2b_router_url", printed_by_kernel, ROUTER_CONCURRENCY)
    return E2BProvider(
        environment.get("E2B_API_KEY", ""),
        setting(settings, "parallel_code_exec_per_proc", 2),
        environment.get("E2B_DOMAIN", ""),
    )


PROVIDER = ProviderSpec(
    name="e2b",
    build=build,
    summary="E2B's cloud sandboxes: an account, or a router to one.",
    settings=("e2b_router_url", "parallel_code_exec_per_proc"),
    variables=("E2B_API_KEY", "E2B_DOMAIN"),
)
