"""Whether programs run here as they should: a harmless one, again and again, through the same queue as all others."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from open_r1.execution.programs import Execution, Limits, Program, Provider, Status
from open_r1.execution.service.dispatch import Dispatcher
from open_r1.execution.service.requests import SHUTTING_DOWN, Refusal

TEST_INPUT = b"20 22\n"
TEST_OUTPUT = b"42\n"
SELF_TEST = Program("print(sum(map(int, input().split())))", stdin=TEST_INPUT, limits=Limits(wall_s=20.0, cpu_s=10.0))


def run_self_test(provider: Provider) -> str:
    """Run the harmless program; "" if all is well, or what isn't."""
    return judge_self_test(provider.execute(SELF_TEST))


def judge_self_test(execution: Execution) -> str:
    """What is wrong with the self-test's result, in words; empty if it is right."""
    if execution.succeeded and execution.stdout == TEST_OUTPUT:
        return ""
    if execution.status is Status.UNAVAILABLE:
        return f"programs can't be run: {execution.reason}: {execution.detail}".rstrip(": ")
    return (
        f"a program that adds two numbers ended as {execution.status.value} with exit status {execution.exit_code}, "
        f"wrote {execution.stdout[:100]!r} where {TEST_OUTPUT!r} was right, and {execution.stderr[-300:]!r} to stderr"
    )


class Health:
    """The last self-test and what is going on."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._status = "starting"
        self._tested_at: float | None = None

    async def keep_testing(self, interval_s: float) -> None:
        """Test now and every so often, until cancelled or shut down."""
        while not self._dispatcher.is_shutting_down:
            try:
                (execution,) = await self._dispatcher.submit("self-test", [SELF_TEST]).collect()
            except Refusal:  # as busy as can be, or leaving: no news
                pass
            else:
                self._status = "failing" if judge_self_test(execution) else "ok"
                self._tested_at = time.monotonic()
                self._dispatcher.metrics.healthy.set(self._status == "ok")
            await asyncio.sleep(interval_s)

    def report(self) -> tuple[dict[str, Any], bool]:
        """The answer of /health, and whether it is good. Without a word of what failed: anyone may ask."""
        record = {
            "status": SHUTTING_DOWN if self._dispatcher.is_shutting_down else self._status,
            "self_test_age_s": None if self._tested_at is None else round(time.monotonic() - self._tested_at, 1),
            "waiting": len(self._dispatcher.queue),
            "running": self._dispatcher.queue.num_running,
        }
        return record, record["status"] == "ok"
