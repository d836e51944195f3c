"""The executor service of this package (`open-r1 executor serve`), by its own route; see `execution.wire`.

Does: send each program in a request of its own. Does not: limit how long a program waits its turn by a short time-out; the
service may have a long queue, and sends a blank line every few seconds while it is alive.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from open_r1.execution.environment import Environment, explain_missing
from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.providers.http import bearer, get_json, open_reply, service_url
from open_r1.execution.providers.registry import ProviderSpec
from open_r1.execution.providers.remote import RemoteProvider, RetryPolicy, Session
from open_r1.execution.providers.replies import Failure, GarbledReply, as_object, number_of
from open_r1.execution.wire import CLIENT_HEADER, EXECUTIONS_PATH, INFO_PATH, decode_answer, encode_request
from open_r1.net.client import Stream

CONCURRENCY = 512
"""Programs that wait at the service at once, so that its workers never lack one."""

SILENCE_S = 30.0
"""A service that sends nothing for so long, not even a blank line, counts as failed."""

LONGEST_WAIT_S = 3600.0
"""A program's turn in the queue comes within this time, or it is given up."""

LIMIT_OF = {
    Status.TIME_LIMIT: ("wall_s", "cpu_s"),
    Status.MEMORY_LIMIT: ("memory_mb",),
    Status.OUTPUT_LIMIT: ("output_kb",),
}
INFO_AGE_S = 300.0


class ExecutorProvider(RemoteProvider):
    """The executor service at `address`.

    Args:
        token: What the service was started with; "" where it has none.
        client: The name under which this process takes turns with others.
    """

    name = "executor"

    def __init__(
        self,
        address: str,
        token: str = "",
        client: str = "",
        concurrency: int = CONCURRENCY,
        policy: RetryPolicy | None = None,
        problem: str = "",
        silence_s: float = SILENCE_S,
    ) -> None:
        self.url = service_url(address) if address else ""
        if address and not self.url:
            problem = f"OPEN_R1_EXECUTOR_URL is '{address}', not an address; write http://host:2000."
        super().__init__(
            concurrency, policy or RetryPolicy(attempt_s=LONGEST_WAIT_S, deadline_s=LONGEST_WAIT_S), problem
        )
        self._headers = bearer(token) | {CLIENT_HEADER: client or name_client()}
        self._silence_s = silence_s
        self._largest: Limits | None = None
        self._largest_at = 0.0

    async def greet(self, session: Session) -> None:
        await self._ask_limits(session)

    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        execution = await self._send(program, session)
        for name in LIMIT_OF.get(execution.status, ()):
            largest = getattr(await self._ask_limits(session), name)
            if getattr(program.limits, name) > largest:
                raise Failure(
                    "limit_too_low",
                    f"{name} is {getattr(program.limits, name)} and the executor allows {largest}; raise it there",
                    can_retry=False,
                )
        return execution

    async def _send(self, program: Program, session: Session) -> Execution:
        body = await asyncio.to_thread(encode_request, [program])
        most = 3 * 1024 * program.limits.output_kb + (1 << 16)
        async with open_reply(session.http, "POST", f"{self.url}{EXECUTIONS_PATH}", body, self._headers) as response:
            async for line in self._lines(response, most):
                return _read_line(line)
        raise Failure("connection_failed", "the executor ended its answer early")

    async def _lines(self, response: Stream, most: int) -> AsyncIterator[bytes]:
        """The lines of an answer that are not blank, as they come."""
        chunks = response.chunks()
        buffer = bytearray()
        received = 0
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    chunk = await anext(chunks, None)
            except TimeoutError as error:
                raise Failure("timeout", f"the executor said nothing for {self._silence_s:.0f} s") from error
            if chunk is None:
                return
            received += len(chunk.strip())
            if received > most:
                raise GarbledReply(f"an answer of more than {most} bytes")
            *lines, rest = (bytes(buffer) + chunk).split(b"\n")
            buffer = bytearray(rest)
            for line in lines:
                if line.strip():
                    yield line

    async def _ask_limits(self, session: Session) -> Limits:
        """The most that the service allows a program."""
        if self._largest is None or time.monotonic() - self._largest_at > INFO_AGE_S:
            info = as_object(
                await get_json(session.http, f"{self.url}{INFO_PATH}", self._headers, 1 << 20), "the executor's info"
            )
            limits = as_object(info.get("max_limits"), "'max_limits'")
            known = {name: number_of(limits, name) for name in Limits.__dataclass_fields__}
            self._largest = Limits(**{name: value for name, value in known.items() if value is not None})  # type: ignore[arg-type]
            self._largest_at = time.monotonic()
        return self._largest


def name_client() -> str:
    """The host and this process of it, in letters that the service takes."""
    return re.sub(r"[^A-Za-z0-9._:-]", "-", f"{socket.gethostname()[:40]}:{os.getpid()}")


def _read_line(line: bytes) -> Execution:
    try:
        index, execution = decode_answer(line)
    except (ValueError, RecursionError) as error:
        raise GarbledReply(f"a line of the executor's that can't be read ({str(error)[:100]})") from error
    if index != 0:
        raise GarbledReply(f"the executor answers program {index}, and it was sent one")
    return execution


def build(settings: Any, environment: Environment) -> RemoteProvider:
    address = environment.get("OPEN_R1_EXECUTOR_URL", "")
    problem = "" if address else explain_missing("OPEN_R1_EXECUTOR_URL", "provider executor")
    return ExecutorProvider(address, environment.get("OPEN_R1_EXECUTOR_TOKEN", ""), problem=problem)


PROVIDER = ProviderSpec(
    name="executor",
    build=build,
    summary="The executor service that many trainers share.",
    variables=("OPEN_R1_EXECUTOR_URL", "OPEN_R1_EXECUTOR_TOKEN"),
)
