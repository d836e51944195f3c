"""Morph's cloud sandboxes (https://cloud.morph.so), through a router or by their own client, morphcloud up to 0.1.67.

One sandbox a program, shut down afterwards. A morphcloud of 0.1.68 or later has no `morphcloud.sandbox`; a router runs
where an older one is installed.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import AsyncExitStack, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from open_r1.execution.environment import explain_missing
from open_r1.execution.providers.remote import RetryPolicy, Session
from open_r1.execution.providers.replies import Failure
from open_r1.execution.providers.wrapping import ScriptProvider, cloud_spec, failure_of

START_S = 60
"""What starting a sandbox may take."""

THREAD_NAME = "execution-morph"
MAX_THREADS = 64
"""Calls of the client, which knows no time-outs, that may be abandoned and still under way before no more are made."""


class MorphProvider(ScriptProvider):
    """Morph by its own client, whose calls block; each runs in a thread that is abandoned when it takes too long."""

    name = "morph"

    def __init__(
        self, api_key: str, concurrency: int = 2, base_url: str = "", policy: RetryPolicy | None = None
    ) -> None:
        problem = "" if api_key else explain_missing("MORPH_API_KEY", "provider morph (without morph_router_url)")
        if not find_spec("morphcloud") or not find_spec("morphcloud.sandbox"):
            problem = (
                f"provider morph (without morph_router_url) needs morphcloud 0.1.67 or older, the last with sandboxes; "
                f"{_installed()} is installed. pip install 'morphcloud<=0.1.67', or set morph_router_url."
            )
        super().__init__(concurrency, policy, problem)
        self._connection = {"api_key": api_key} | ({"base_url": base_url} if base_url else {})

    async def print_script(
        self, script: str, run_s: int, most: int, session: Session, clean_up: AsyncExitStack
    ) -> str:
        """The script runs in a thread of its own, since Morph's client blocks; Failure when too many threads hang."""
        if sum(thread.name == THREAD_NAME for thread in threading.enumerate()) >= MAX_THREADS:
            raise Failure("timeout", f"{MAX_THREADS} calls of Morph's client hang", can_retry=False)
        future: Future[str] = Future()

        def work() -> None:
            with suppress(InvalidStateError):  # nobody waits any longer
                try:
                    future.set_result(self._run_script(script, run_s))
                except Exception as error:  # noqa: BLE001  raised again where it is awaited
                    future.set_exception(error)

        threading.Thread(target=work, name=THREAD_NAME, daemon=True).start()
        return await asyncio.wrap_future(future)

    def _run_script(self, script: str, run_s: int) -> str:
        from morphcloud.api import MorphCloudClient  # pyright: ignore[reportMissingImports]
        from morphcloud.sandbox import Sandbox  # pyright: ignore[reportMissingImports]

        sandbox = Sandbox.new(client=MorphCloudClient(**self._connection), ttl_seconds=run_s + START_S)
        try:
            result = sandbox.run_code(script, language="python", timeout=run_s)
        finally:
            for end in (sandbox.close, sandbox.shutdown):
                with suppress(Exception):  # it has a life span; the program's result counts more
                    end()
        if not result.stdout:
            raise failure_of(str(result.error or ""))
        return result.stdout


def _installed() -> str:
    try:
        return f"morphcloud {version('morphcloud')}"
    except PackageNotFoundError:
        return "none"


PROVIDER = cloud_spec("morph", MorphProvider, "Morph", ("MORPH_API_KEY", "MORPH_BASE_URL"))
