"""The executor service of this package (`open-r1 executor serve`), by its own route; see `execution.wire`.

Each program travels in a request of its own. The service may have a long queue, and sends a blank line every few seconds
while it is alive: silence, not time, is what gives it up.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from contextlib import AsyncExitStack
from dataclasses import fields

from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.providers import ProviderSpec, replies
from open_r1.execution.providers.remote import RemoteProvider, RetryPolicy, Session
from open_r1.execution.providers.replies import Failure, GarbledReply
from open_r1.execution.wire import CLIENT_HEADER, EXECUTIONS_PATH, INFO_PATH, decode_answer, encode_request
from open_r1.net.client import bearer

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


class ExecutorProvider(RemoteProvider):
    """The executor service at `address`, where this process takes turns with others."""

    name = "executor"

    def __init__(
        self,
        address: str,
        token: str = "",
        policy: RetryPolicy | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.url, problem = replies.read_url("OPEN_R1_EXECUTOR_URL", address, "http://host:2000", self.name)
        policy = policy or RetryPolicy(attempt_s=LONGEST_WAIT_S, deadline_s=LONGEST_WAIT_S)
        super().__init__(CONCURRENCY, policy, problem)
        self._headers = bearer(token) | {CLIENT_HEADER: name_client()}
        self._silence_s = silence_s
        self._largest: Limits | None = None

    async def greet(self, session: Session) -> None:
        """The executor answers with its limits; Failure if it does not."""
        await self._ask_limits(session)

    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        """Run the program once. Failure names a limit that the executor allows less of than the program needs."""
        execution = await self._send(program, session)
        for name in LIMIT_OF.get(execution.status, ()):
            asked, largest = (
                getattr(program.limits, name),
                getattr(self._largest or await self._ask_limits(session), name),
            )
            if asked > largest:
                detail = f"{name} is {asked} and the executor allows {largest}; raise it there"
                raise Failure("limit_too_low", detail, can_retry=False)
        return execution

    async def _send(self, program: Program, session: Session) -> Execution:
        body = await asyncio.to_thread(encode_request, [program])
        most = 3 * 1024 * program.limits.output_kb + (1 << 16)
        url = f"{self.url}{EXECUTIONS_PATH}"
        async with replies.open_reply(session.http, url, self._headers, body, self._silence_s) as stream:
            async for line in stream.lines(most):
                if line.strip():
                    return _read_line(line)
        raise Failure("connection_failed", "the executor ended its answer early")

    async def _ask_limits(self, session: Session) -> Limits:
        """The most that the service allows a program."""
        info = replies.parse_json(*await replies.fetch(session.http, f"{self.url}{INFO_PATH}", self._headers, 1 << 20))
        limits = replies.as_object(replies.as_object(info, "the executor's info").get("max_limits"), "'max_limits'")
        known = {field.name: replies.number_of(limits, field.name) for field in fields(Limits)}
        self._largest = Limits(**{name: value for name, value in known.items() if value is not None})  # type: ignore[arg-type]
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


PROVIDER = ProviderSpec(
    name="executor",
    build=lambda settings, environment: ExecutorProvider(
        environment.get("OPEN_R1_EXECUTOR_URL", ""), environment.get("OPEN_R1_EXECUTOR_TOKEN", "")
    ),
    summary="The executor service that many trainers share.",
    variables=("OPEN_R1_EXECUTOR_URL", "OPEN_R1_EXECUTOR_TOKEN"),
)
