"""Morph's cloud sandboxes (https://cloud.morph.so), through a router or by their own client, morphcloud up to 0.1.67.

Does: one sandbox a program, shut down afterwards. Does not: work with a morphcloud of 0.1.68 or later, which has no
`morphcloud.sandbox`; a router runs where an older one is installed.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, TypeVar

from open_r1.execution.environment import Environment, explain_missing
from open_r1.execution.programs import Execution, Program
from open_r1.execution.providers.registry import ProviderSpec, setting
from open_r1.execution.providers.remote import RemoteProvider, RetryPolicy, Session
from open_r1.execution.providers.replies import Failure
from open_r1.execution.providers.routers import RouterProvider, failure_named, printed_as_text
from open_r1.execution.providers.wrapping import read_frame, refuse_to_wrap, wrap

START_S = 60
"""What starting a sandbox may take."""

ROUTER_CONCURRENCY = 32

MAX_THREADS = 64
"""Calls of the client, which knows no time-outs, that may be abandoned and still under way before no more are made."""

T = TypeVar("T")


class MorphProvider(RemoteProvider):
    """Morph by its own client, whose calls block; each runs in a thread that is abandoned when it takes too long."""

    name = "morph"

    def __init__(
        self, api_key: str, concurrency: int = 2, base_url: str = "", policy: RetryPolicy | None = None
    ) -> None:
        super().__init__(concurrency, policy, self._find_problem(api_key))
        self._connection = {"api_key": api_key} | ({"base_url": base_url} if base_url else {})
        self._threads = threading.Semaphore(MAX_THREADS)

    @staticmethod
    def _find_problem(api_key: str) -> str:
        if not find_spec("morphcloud") or not find_spec("morphcloud.sandbox"):
            return (
                f"provider morph (without morph_router_url) needs morphcloud 0.1.67 or older, the last with sandboxes; "
                f"{_installed()} is installed. pip install 'morphcloud<=0.1.67', or set morph_router_url."
            )
        return "" if api_key else explain_missing("MORPH_API_KEY", "provider morph (without morph_router_url)")

    def refuse(self, program: Program) -> Execution | None:
        return refuse_to_wrap(program)

    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        script, nonce = await asyncio.to_thread(wrap, program)
        run_s = math.ceil(self.program_s(program)) + 5
        printed = await self._in_thread(lambda: self._run_script(script, run_s))
        return read_frame(printed, nonce, program.limits)

    def _run_script(self, script: str, run_s: int) -> str:
        from morphcloud.api import MorphCloudClient  # pyright: ignore[reportMissingImports]
        from morphcloud.sandbox import Sandbox  # pyright: ignore[reportMissingImports]

        client = MorphCloudClient(**self._connection)
        sandbox = Sandbox.new(client=client, ttl_seconds=run_s + START_S)
        try:
            result = sandbox.run_code(script, language="python", timeout=run_s)
        finally:
            for end in (sandbox.close, sandbox.shutdown):
                with suppress(Exception):  # it has a life span; the program's result counts more
                    end()
        if not result.stdout:
            raise failure_named(str(result.error or ""))
        return result.stdout

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """The result of a blocking call, in a daemon thread that may outlive the wait for it."""
        if not self._threads.acquire(blocking=False):
            raise Failure("timeout", f"{MAX_THREADS} calls of Morph's client hang", can_retry=False)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: Exception | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            result, problem = None, None
            try:
                result = call()
            except Exception as error:  # noqa: BLE001  raised again where it is awaited
                problem = failure_of(error)
            finally:
                self._threads.release()
            with suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(settle, result, problem)

        threading.Thread(target=work, name="execution-morph", daemon=True).start()
        return await future


def failure_of(error: Exception) -> Failure:
    """What an exception of Morph's client (its own ApiError, requests', websocket's, httpx's) says about trying again."""
    if isinstance(error, Failure):
        return error
    detail = f"{type(error).__name__}: {error}"[:300]
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    if status == 429:
        return Failure("rate_limited", detail)
    if status in (401, 403):
        return Failure("unauthorized", detail, can_retry=False)
    if isinstance(status, int):
        return Failure("server_error" if status >= 500 else "refused", detail, can_retry=status >= 500)
    if "timeout" in type(error).__name__.lower():
        return Failure("timeout", detail)
    return Failure("connection_failed", detail)


def _installed() -> str:
    try:
        return f"morphcloud {version('morphcloud')}"
    except PackageNotFoundError:
        return "none"


def build(settings: Any, environment: Environment) -> RemoteProvider:
    router = setting(settings, "morph_router_url", None)
    if router:
        return RouterProvider("morph", router, "morph_router_url", printed_as_text, ROUTER_CONCURRENCY)
    return MorphProvider(
        environment.get("MORPH_API_KEY", ""),
        setting(settings, "parallel_code_exec_per_proc", 2),
        environment.get("MORPH_BASE_URL", ""),
    )


PROVIDER = ProviderSpec(
    name="morph",
    build=build,
    summary="Morph's cloud sandboxes: an account, or a router to one.",
    settings=("morph_router_url", "parallel_code_exec_per_proc"),
    variables=("MORPH_API_KEY", "MORPH_BASE_URL"),
)
