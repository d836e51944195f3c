"""Which server to ask next: load spread evenly, limits kept, the sick left alone for a while, the dead given up.

A server that fails `FAILURES_TO_REST` times with no answer in between rests, 1 s first and longer each time, and is then
tried with a single request. One that says it is busy (429, or 503 with Retry-After) rests for as long as it asks, and then
gets less at once, as much more as it answers. One that refuses the key, the model or the path before it has ever answered
is out for good. One that has failed for `patience_s` is taken to be dead: it is tried once a minute as long as another
works, and when none does the work ends. Times are those of a monotonic clock, in seconds.
"""

from __future__ import annotations

import asyncio
import collections
import random
import time
from collections.abc import Callable, Sequence
from typing import Literal

from open_r1.generation.protocol import EndpointsGone

Blame = Literal["request", "server", "busy", "endpoint"]
"""Whose fault a failure is: this request's alone, the server's for now, its load's, or the way we ask it at all."""

FAILURES_TO_REST = 10
"""Failures in a row, with no answer between them, after which a server rests; lone failures are common under load.

There must be more of them than requests still in flight too: failures come fast, and the answers may be on their way.
"""

REFUSED_CONNECTIONS_TO_REST = 3
"""The same for connections that can't be made, which are never common."""

LONGEST_REST_S = 60.0
LONGEST_BUSY_S = 3600.0
"""How long a server may say it is busy, without a single answer, before it is given up."""

EASING_GAP_S = 1.0
"""A busy server's load is halved at most this often: one burst of refusals is one sign."""

TELLING_GAP_S = 60.0

REFUSALS_TO_GIVE_UP = 20
"""Requests refused one after another before any was answered: then it is the way of asking that is wrong."""


class Budget:
    """So much a minute, evenly: a bucket that fills with time and may be overdrawn by the one request that empties it."""

    def __init__(self, per_minute: float | None, burst_s: float = 1.0) -> None:
        self.rate = None if per_minute is None else per_minute / 60
        self.most = 0.0 if self.rate is None else max(1.0, self.rate * burst_s)
        self.level = self.most
        self.filled_at: float | None = None

    def ready_at(self, now: float) -> float:
        """When the next request may go."""
        if self.rate is None:
            return now
        elapsed = 0.0 if self.filled_at is None else now - self.filled_at
        self.level = min(self.most, self.level + elapsed * self.rate)
        self.filled_at = now
        return now if self.level > 0 else now + -self.level / self.rate + 1e-3

    def take(self, amount: float) -> None:
        if self.rate is not None:
            self.level -= amount


class Endpoint:
    """One server: what is in flight there and how it has been doing."""

    def __init__(
        self, url: str, most: int, patience_s: float, requests: float | None = None, tokens: float | None = None
    ) -> None:
        self.url, self.most, self.patience_s = url, most, patience_s
        self.allowed = float(most)
        self.in_flight = 0
        self.budgets = Budget(requests), Budget(tokens)
        self.rests_until = 0.0
        self.rested_at = 0.0
        self.failing_since: float | None = None
        self.busy_since: float | None = None
        self.failures = self.answers = self.refusals = 0
        self.eased_at = -EASING_GAP_S
        self.told_at = -TELLING_GAP_S
        self.last_trouble = ""
        self.out: str | None = None
        """Why it won't be asked again."""
        self.dead: str | None = None
        """Why it is taken to be dead; it is still tried now and then while others work."""

    def ready_at(self, now: float) -> float:
        """When it may be asked again, its places in flight aside."""
        requests, tokens = self.budgets
        return max(self.rests_until, requests.ready_at(now), tokens.ready_at(now))

    def has_place(self) -> bool:
        is_suspect = self.rested_at > 0 and self.failures > 0
        return self.in_flight < (1 if is_suspect else max(1, int(self.allowed)))

    def answered(self) -> None:
        self.answers += 1
        self.failures = self.refusals = 0
        self.failing_since = self.busy_since = self.dead = None
        self.rested_at = 0.0
        self.allowed = min(float(self.most), self.allowed + 1)

    def failed(self, blame: Blame, reason: str, detail: str, asked_at: float, retry_after_s: float | None) -> None:
        """Take note of a failure of a request that went out at `asked_at`."""
        now = time.monotonic()
        self.last_trouble = f"{reason}: {detail}"
        if blame == "request":
            self.is_refusing(detail)
        elif blame == "busy":
            self.is_busy(now, retry_after_s)
        elif blame == "endpoint" and not self.answers:
            self.out = self.last_trouble
        else:
            self.is_failing(now, asked_at, reason)

    def is_refusing(self, detail: str) -> None:
        self.refusals += 1
        if self.refusals >= REFUSALS_TO_GIVE_UP and not self.answers:
            self.out = f"it refuses every request: {detail}"

    def is_busy(self, now: float, retry_after_s: float | None) -> None:
        self.busy_since = self.busy_since or now
        if now - self.busy_since > LONGEST_BUSY_S:
            self.dead = f"busy for {LONGEST_BUSY_S / 60:.0f} min without an answer ({self.last_trouble})"
        if retry_after_s is not None:
            self.rests_until = max(self.rests_until, now + min(retry_after_s, LONGEST_BUSY_S))
        if now >= self.eased_at + EASING_GAP_S:
            self.eased_at = now
            self.allowed = max(1.0, self.allowed / 2)

    def is_failing(self, now: float, asked_at: float, reason: str) -> None:
        self.failing_since = self.failing_since or now
        if asked_at < self.rested_at:  # it went out before the rest, and is part of the same trouble
            return
        self.failures += 1
        needed = REFUSED_CONNECTIONS_TO_REST if reason == "unreachable" else FAILURES_TO_REST
        if self.failures < max(needed, self.in_flight):
            return
        if now - self.failing_since >= self.patience_s:
            self.dead = f"no answer for {now - self.failing_since:.0f} s ({self.last_trouble})"
        self.rest(now, min(LONGEST_REST_S, 2.0 ** min(self.failures - needed, 10)))

    def has_news(self) -> bool:
        """Whether it rests and nobody was told for a while; says so once."""
        is_news = self.rested_at > 0 and self.rested_at >= self.told_at + TELLING_GAP_S
        if is_news:
            self.told_at = self.rested_at
        return is_news

    def rest(self, now: float, seconds: float) -> None:
        self.rested_at = now
        self.rests_until = max(self.rests_until, now + seconds * random.uniform(0.75, 1.25))


class EndpointPool:
    """The servers together: hands out places in flight, the least loaded first, and queues those who must wait."""

    def __init__(self, endpoints: Sequence[Endpoint], report: Callable[[str], None] = lambda line: None) -> None:
        self.endpoints = list(endpoints)
        self.report = report
        self.waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self.alarm: asyncio.TimerHandle | None = None

    @property
    def places(self) -> int:
        return sum(endpoint.most for endpoint in self.endpoints)

    def alive(self) -> list[Endpoint]:
        return [endpoint for endpoint in self.endpoints if endpoint.out is None and endpoint.dead is None]

    async def acquire(self, tokens: float, avoid: Endpoint | None = None) -> Endpoint:
        """A place at a server, to be given back with `release`; another than `avoid` where one is free."""
        has_waited = False
        while True:
            endpoint = self.pick(avoid)
            if endpoint is not None:
                endpoint.in_flight += 1
                endpoint.budgets[0].take(1)
                endpoint.budgets[1].take(tokens)
                if has_waited:
                    self.wake()  # there may be room for one more; if not, it waits again
                return endpoint
            await self.wait(at_front=has_waited)
            has_waited = True

    async def wait(self, at_front: bool) -> None:
        waiter = asyncio.get_running_loop().create_future()
        if at_front:
            self.waiting.appendleft(waiter)
        else:
            self.waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.wake()
            raise

    def pick(self, avoid: Endpoint | None) -> Endpoint | None:
        """The least loaded server that may be asked now. EndpointsGone when none is left."""
        if all(endpoint.out or endpoint.dead for endpoint in self.endpoints):
            raise EndpointsGone(self.describe_end())
        now = time.monotonic()
        usable = [endpoint for endpoint in self.endpoints if endpoint.out is None and endpoint.has_place()]
        ready = [(endpoint.ready_at(now), endpoint) for endpoint in usable]
        free = [endpoint for at, endpoint in ready if at <= now]
        if len(free) == 1:
            return free[0]
        if free:
            return min(free, key=lambda endpoint: (endpoint is avoid, endpoint.in_flight / endpoint.most))
        if ready:
            self.set_alarm(min(at for at, _ in ready) - now)
        return None

    def release(self, endpoint: Endpoint) -> None:
        endpoint.in_flight -= 1
        self.wake()

    def wake(self) -> None:
        """Let the next of those who wait look again."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def set_alarm(self, seconds: float) -> None:
        """Wake the next of those who wait when a server may be asked again."""
        if self.alarm is None:
            self.alarm = asyncio.get_running_loop().call_later(max(0.001, seconds), self.ring)

    def ring(self) -> None:
        self.alarm = None
        self.wake()

    def gave_up(self, endpoint: Endpoint) -> None:
        """Tell of a server that has just gone out or died, and let those who wait see it."""
        if self.alive():
            self.report(
                f"{endpoint.url} is out: {endpoint.out or endpoint.dead}; {len(self.alive())} of {len(self.endpoints)} "
                "servers are left"
            )
            return
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)
        self.waiting.clear()

    def describe_end(self) -> str:
        reasons = "; ".join(f"{endpoint.url}: {endpoint.out or endpoint.dead}" for endpoint in self.endpoints)
        return f"no server is left to ask ({reasons})"
