"""E2B's cloud sandboxes, by their own client (https://e2b.dev, e2b-code-interpreter 2.x) or through a router.

One sandbox a program, without internet, killed afterwards.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Any

from open_r1.execution.environment import explain_missing
from open_r1.execution.providers.remote import RetryPolicy, Session
from open_r1.execution.providers.replies import Failure, GarbledReply
from open_r1.execution.providers.wrapping import ScriptProvider, cloud_spec

START_S = 30
"""What starting a sandbox may take."""


class E2BProvider(ScriptProvider):
    """E2B by its own client; `domain` is that of an E2B of one's own. An account's limit is for all processes together."""

    name = "e2b"

    def __init__(
        self, api_key: str, concurrency: int = 2, domain: str = "", policy: RetryPolicy | None = None
    ) -> None:
        problem = "" if api_key else explain_missing("E2B_API_KEY", "provider e2b (without e2b_router_url)")
        if not find_spec("e2b_code_interpreter"):
            problem = "provider e2b needs E2B's client; run in the checkout: pip install -e '.[code]'."
        super().__init__(concurrency, policy, problem)
        self._connection: dict[str, Any] = {"api_key": api_key} | ({"domain": domain} if domain else {})

    async def print_script(
        self, script: str, run_s: int, most: int, session: Session, clean_up: AsyncExitStack
    ) -> str:
        """The script runs in a new sandbox without internet access, which is killed afterwards."""
        from e2b_code_interpreter import AsyncSandbox

        sandbox = await AsyncSandbox.create(
            timeout=run_s + START_S, allow_internet_access=False, request_timeout=START_S, **self._connection
        )
        clean_up.push_async_callback(sandbox.kill, request_timeout=self.policy.clean_up_s)
        execution = await sandbox.run_code(
            script, language="python", on_stdout=OutputMeter(most), timeout=run_s, request_timeout=START_S
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


PROVIDER = cloud_spec("e2b", E2BProvider, "E2B", ("E2B_API_KEY", "E2B_DOMAIN"))
