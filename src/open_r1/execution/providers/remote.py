"""What every provider that is a service does alike: turns, attempts, back-off, deadlines, and giving up in time.

A subclass says how one attempt goes. Failures that may pass are tried again until the attempts or the time are used up;
then exactly this program is `unavailable`. When program after program had to be given up, the service is suspect: one
program probes it while the others wait, and when the probe fails as well, the others are given up for a while, so that a
dead service costs minutes and not a deadline a program.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from abc import abstractmethod
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from open_r1.errors import ConfigError
from open_r1.execution.background import background_loop
from open_r1.execution.programs import Execution, Program, Provider
from open_r1.execution.providers.replies import Failure, bounded
from open_r1.execution.sandbox.toolchains import COMPILE_LIMITS
from open_r1.net.client import HttpClient
from open_r1.net.retry import CoolDown, backoff

logger = logging.getLogger(__name__)

COMPILE_S = COMPILE_LIMITS.wall_s
"""What a compiler may take, beyond the program's own limits."""

GREETING_S = 30.0
"""What a service may take for its first sign of life."""

SERVICE_REASONS = frozenset({"connection_failed", "rate_limited", "server_error", "timeout"})
"""Failures of the service itself rather than of one program's run there."""

SUSPECT_AFTER = 3
"""Programs given up one after another that make a service suspect."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to put up with a service. Seconds come on top of what the program itself may take.

    Args:
        attempts: Tries of one program.
        attempt_s: One try: the service's queue, starting a sandbox, the network.
        deadline_s: All tries of one program and the waits between them.
        first_delay_s, max_delay_s: The wait after the first failure, and the longest; it doubles in between.
        clean_up_s: Giving back what a try has taken, such as a sandbox.
        cool_down_s: How long a service that also failed its probe gets no programs.
    """

    attempts: int = 6
    attempt_s: float = 30.0
    deadline_s: float = 180.0
    first_delay_s: float = 1.0
    max_delay_s: float = 20.0
    clean_up_s: float = 10.0
    cool_down_s: float = 30.0


class Session:
    """What a provider uses while it works, in one process and on one event loop."""

    def __init__(self, concurrency: int) -> None:
        self.pid = os.getpid()
        self.turns = asyncio.Semaphore(concurrency)
        self.probe = asyncio.Lock()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.http = HttpClient()
        self.is_closing = False


class RemoteProvider(Provider):
    """A service that runs programs.

    Args:
        concurrency: How many programs it is given at once.
        problem: Why it can't be used as it is set up, if so; `check` raises it, and every program is `unavailable`.
    """

    def __init__(self, concurrency: int, policy: RetryPolicy | None = None, problem: str = "") -> None:
        super().__init__()
        self.concurrency = concurrency
        self.policy = policy or RetryPolicy()
        self.problem = problem
        self._session: Session | None = None
        self._used_by: int | None = None
        self._cool_down = CoolDown(SUSPECT_AFTER, self.policy.cool_down_s, self.policy.cool_down_s, jitter=0)

    @abstractmethod
    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        """Run the program there once. Raises Failure; what it pushes on `clean_up` is called afterwards, in any case."""

    async def greet(self, session: Session) -> None:
        """Ask the service for a sign of life; Failure if there is none. Used by `check`."""

    def refuse(self, program: Program) -> Execution | None:
        """An `unavailable` execution if this provider can't honour something of the program; nothing is sent then."""
        return None

    def program_s(self, program: Program) -> float:
        """How long the program itself may take there, compiling included."""
        return program.limits.wall_s + COMPILE_S

    def check(self) -> None:
        """Ask the service for a sign of life; ConfigError if it is set up wrongly or does not answer."""
        if self.problem:
            raise ConfigError(self.problem)
        try:
            self._start(self._greet()).result(timeout=GREETING_S + 5)
        except (Failure, TimeoutError) as error:
            raise ConfigError(
                f"provider {self.name} does not answer ({error}); start it or correct its address."
            ) from error

    def execute(self, program: Program) -> Execution:
        """Run the program and wait for its result; `unavailable` once attempts and time are used up."""
        return self.submit(program).result()

    def submit(self, program: Program) -> Future[Execution]:
        """Start the program on the shared event loop; the future never raises for a fault of the service."""
        return self._start(self._run(program))

    def close(self) -> None:
        """Give up what runs, give back what is held. What was asked for and didn't finish is `unavailable`."""
        if self._used_by != os.getpid():
            return
        try:
            self._start(self._close()).result(timeout=2 * self.policy.clean_up_s + 5)
        except TimeoutError:
            logger.warning("provider %s did not close in time", self.name)

    def _start(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        self._used_by = os.getpid()
        return asyncio.run_coroutine_threadsafe(work, background_loop())

    def _current_session(self) -> Session:
        if self._session is None or self._session.pid != os.getpid():
            self._session = Session(self.concurrency)
        return self._session

    async def _greet(self) -> None:
        try:
            async with asyncio.timeout(min(GREETING_S, self.policy.attempt_s)):
                await self.greet(self._current_session())
        except TimeoutError as error:
            raise Failure("timeout", "no answer in time") from error

    async def _run(self, program: Program) -> Execution:
        if self.problem:
            return Execution.unavailable("not_configured", self.problem)
        if program.limits.fault:
            return Execution.unavailable("bad_request", program.limits.fault)
        if refusal := self.refuse(program):
            return refusal
        session, task = self._current_session(), asyncio.current_task()
        assert task is not None
        session.tasks.add(task)
        try:
            async with session.turns:
                return await self._persist(program, session)
        except asyncio.CancelledError:
            if session.is_closing:
                return Execution.unavailable("closed", f"{self.name} was closed before the program had run")
            raise
        finally:
            session.tasks.discard(task)

    @property
    def _is_suspect(self) -> bool:
        return self._cool_down.failures >= SUSPECT_AFTER

    async def _persist(self, program: Program, session: Session) -> Execution:
        """Try the program; as a probe, once, where the service is suspect and nobody else probes it."""
        if self._is_suspect:
            async with session.probe:
                if self._is_suspect and time.monotonic() < self._cool_down.until:
                    failures = self._cool_down.failures
                    return Execution.unavailable("provider_down", f"{self.name} failed {failures} programs in a row")
                if self._is_suspect:
                    execution = await self._try(program, session, attempts=1)
                    if self._is_suspect:
                        self._cool_down.start(time.monotonic())
                    return execution
        return await self._try(program, session, self.policy.attempts)

    async def _try(self, program: Program, session: Session, attempts: int) -> Execution:
        deadline = time.monotonic() + self.program_s(program) + self.policy.deadline_s
        failure = Failure("timeout", "no attempt was made in time")
        waits = backoff(self.policy.first_delay_s, self.policy.max_delay_s)
        for attempt in range(attempts):
            try:
                execution = await self._attempt_in_time(program, session, deadline)
            except Failure as error:
                failure = error
            else:
                self._cool_down.succeeded()
                return bounded(execution, program.limits)
            wait_s = max(failure.wait_s, next(waits))
            is_last = attempt + 1 == attempts or time.monotonic() + wait_s >= deadline
            if is_last or not failure.can_retry:
                break
            logger.debug("provider %s: %s; trying again in %.1f s", self.name, failure, wait_s)
            await asyncio.sleep(wait_s)
        self._cool_down.failures += failure.reason in SERVICE_REASONS
        return Execution.unavailable(failure.reason, f"{self.name}: {failure.detail}"[:500])

    async def _attempt_in_time(self, program: Program, session: Session, deadline: float) -> Execution:
        limit_s = min(self.program_s(program) + self.policy.attempt_s, deadline - time.monotonic())
        clean_up = AsyncExitStack()
        try:
            async with asyncio.timeout(limit_s):
                return await self.attempt(program, session, clean_up)
        except TimeoutError as error:
            raise Failure("timeout", f"no answer within {limit_s:.0f} s") from error
        except Failure:
            raise
        except Exception as error:  # whatever a client library raises is recorded as this program's fate
            raise Failure("provider_error", f"{type(error).__name__}: {error}") from error
        finally:
            try:
                async with asyncio.timeout(self.policy.clean_up_s):
                    await clean_up.aclose()
            except Exception as error:  # noqa: BLE001  the program's fate is known; what stays behind has a life span
                logger.warning("provider %s could not clean up: %s: %s", self.name, type(error).__name__, error)

    async def _close(self) -> None:
        """On the loop, so that whatever was submitted before has begun and is in the session that ends."""
        session, self._session = self._session, None
        if session is None or session.pid != os.getpid():
            return
        session.is_closing = True
        tasks = list(session.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self.policy.clean_up_s + 1)
        await session.http.close()
