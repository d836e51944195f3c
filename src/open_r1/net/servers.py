"""Which of several servers gets the next request: load spread evenly, limits kept, failing servers given a cool-down.

A server that fails `FAILURES_TO_COOL` times with no answer in between gets a cool-down, 1 s at first and longer each time,
and is then tried with a single request. One that says it is busy (429, or 503 with Retry-After) gets no requests for as long
as it asks, and then gets fewer requests at once, and one more with each answer. One that refuses the key, the model or the
path before it has ever answered is excluded. One that has failed for `patience_s` counts as lost: it is tried once a minute
as long as another works, and when none does the work ends. Times are those of a monotonic clock, in seconds.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable, Sequence

from open_r1.errors import RunError
from open_r1.net.retry import Cause, CoolDown

FAILURES_TO_COOL = 10
"""Failures in a row that start a cool-down, where they are more than the requests still in flight."""

REFUSED_CONNECTIONS_TO_COOL = 3
"""The same for connections that can't be made, which are never common."""

LONGEST_COOL_DOWN_S = 60.0
LONGEST_BUSY_S = 3600.0
"""How long a server may say that it is busy, without a single answer, before it counts as lost."""

EASING_GAP_S = 1.0
"""A busy server's load is halved at most this often: one burst of refusals is one sign."""

REPORT_GAP_S = 60.0

REFUSALS_TO_EXCLUDE = 1000
"""Requests refused one after another before any was answered: then the way of asking is wrong."""


class EndpointsGone(RunError):
    """No server is left to ask: every one is excluded or lost."""


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
        """Take an amount, which may overdraw the budget."""
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
        self.cool_down = CoolDown(FAILURES_TO_COOL, 1.0, LONGEST_COOL_DOWN_S)
        self.busy_until = 0.0
        self.failing_since: float | None = None
        self.busy_since: float | None = None
        self.answers = self.refusals = 0
        self.eased_at = -EASING_GAP_S
        self.reported_at = -REPORT_GAP_S
        self.last_trouble = ""
        self.excluded: str | None = None
        """Why it won't be asked again."""
        self.lost: str | None = None
        """Why it counts as lost; it is still tried now and then while others work."""

    @property
    def end(self) -> str | None:
        """Why it is excluded or lost, if it is."""
        return self.excluded or self.lost

    def ready_at(self, now: float) -> float:
        """When it may be asked again, its places in flight aside."""
        requests, tokens = self.budgets
        return max(self.busy_until, self.cool_down.until, requests.ready_at(now), tokens.ready_at(now))

    def has_place(self) -> bool:
        """Whether another request may go there; after a cool-down a single one tries it."""
        is_on_trial = self.cool_down.started_at is not None
        return self.in_flight < (1 if is_on_trial else max(1, int(self.allowed)))

    def answered(self) -> None:
        """Take note of an answer, which ends every trouble."""
        self.answers += 1
        self.refusals = 0
        self.cool_down.succeeded()
        self.failing_since = self.busy_since = self.lost = None
        self.allowed = min(float(self.most), self.allowed + 1)

    def failed(self, cause: Cause, reason: str, detail: str, asked_at: float, retry_after_s: float | None) -> None:
        """Take note of a failure of a request that went out at `asked_at`."""
        now = time.monotonic()
        self.last_trouble = f"{reason}: {detail}"
        if cause == "request":
            self.refusals += 1
            if self.refusals >= REFUSALS_TO_EXCLUDE and not self.answers:
                self.excluded = f"it refuses every request: {detail}"
        elif cause == "busy":
            self.note_busy(now, retry_after_s)
        elif cause == "endpoint" and not self.answers:
            self.excluded = self.last_trouble
        else:
            self.note_failure(now, asked_at, reason)

    def note_busy(self, now: float, retry_after_s: float | None) -> None:
        """Leave a busy server alone as long as it asks, and halve its load."""
        self.busy_since = self.busy_since or now
        if now - self.busy_since > LONGEST_BUSY_S:
            self.lost = f"busy for {LONGEST_BUSY_S / 60:.0f} min without an answer ({self.last_trouble})"
        if retry_after_s is not None:
            self.busy_until = max(self.busy_until, now + min(retry_after_s, LONGEST_BUSY_S))
        if now >= self.eased_at + EASING_GAP_S:
            self.eased_at = now
            self.allowed = max(1.0, self.allowed / 2)

    def note_failure(self, now: float, asked_at: float, reason: str) -> None:
        """Count a failure; it may start a cool-down, or make the server lost."""
        self.failing_since = self.failing_since or now
        started_at = self.cool_down.started_at
        if started_at is not None and asked_at < started_at:  # sent before the cool-down, part of the same trouble
            return
        needed = REFUSED_CONNECTIONS_TO_COOL if reason == "unreachable" else FAILURES_TO_COOL
        starts = self.cool_down.failed(now, needed, at_least=self.in_flight)
        if starts and now - self.failing_since >= self.patience_s:
            self.lost = f"no answer for {now - self.failing_since:.0f} s ({self.last_trouble})"


class EndpointPool:
    """The servers together: gives out places in flight, the least loaded first, and queues the requests that must wait."""

    def __init__(self, endpoints: Sequence[Endpoint], report: Callable[[str], None] = lambda line: None) -> None:
        self.endpoints = list(endpoints)
        self.report = report
        self.waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self.alarm: asyncio.TimerHandle | None = None

    def alive(self) -> list[Endpoint]:
        """The servers that are neither excluded nor lost."""
        return [endpoint for endpoint in self.endpoints if endpoint.end is None]

    async def acquire(self, tokens: float, avoid: Endpoint | None = None) -> Endpoint:
        """A place at a server, to be given back with `release`; another server than `avoid` where one is free."""
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
            waiter = asyncio.get_running_loop().create_future()
            self.waiting.insert(0 if has_waited else len(self.waiting), waiter)  # those who waited before go first
            has_waited = True
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self.wake()
                raise

    def pick(self, avoid: Endpoint | None) -> Endpoint | None:
        """The least loaded server that may be asked now. EndpointsGone when none is left."""
        if not self.alive():
            raise EndpointsGone(self.describe_end())
        now = time.monotonic()
        usable = [endpoint for endpoint in self.endpoints if endpoint.excluded is None and endpoint.has_place()]
        ready = [(endpoint.ready_at(now), endpoint) for endpoint in usable]
        free = [endpoint for at, endpoint in ready if at <= now]
        if free:
            return min(free, key=lambda endpoint: (endpoint is avoid, endpoint.in_flight / endpoint.most))
        if ready and self.alarm is None:
            wait_s = max(0.001, min(at for at, _ in ready) - now)
            self.alarm = asyncio.get_running_loop().call_later(wait_s, self.ring)
        return None

    def release(self, endpoint: Endpoint) -> None:
        """Give a place back."""
        endpoint.in_flight -= 1
        self.wake()

    def wake(self) -> None:
        """Let the next of those who wait look again."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def ring(self) -> None:
        """Wake the next of those who wait, now that a server may be asked again."""
        self.alarm = None
        self.wake()

    def close(self) -> None:
        """Stop the alarm."""
        if self.alarm is not None:
            self.alarm.cancel()

    def note(
        self, endpoint: Endpoint, cause: Cause, reason: str, detail: str, asked_at: float, after_s: float | None
    ) -> None:
        """Take note of a failure, and report what it means for the server."""
        was_alive = endpoint.end is None
        endpoint.failed(cause, reason, detail, asked_at, after_s)
        started_at = endpoint.cool_down.started_at
        if was_alive and endpoint.end is not None:
            self.note_loss(endpoint)
        elif started_at is not None and started_at >= endpoint.reported_at + REPORT_GAP_S:
            endpoint.reported_at = started_at
            self.report(
                f"{endpoint.url} has failed {endpoint.cool_down.failures} times in a row ({endpoint.last_trouble}); it gets "
                f"a cool-down and is tried again; after {endpoint.patience_s:g} s without an answer it counts as lost"
            )

    def note_loss(self, endpoint: Endpoint) -> None:
        """Report a server that was just excluded or lost; where none is left, everyone who waits hears of it."""
        if alive := self.alive():
            left = f"{len(alive)} of {len(self.endpoints)} servers are left"
            self.report(f"{endpoint.url} is out: {endpoint.end}; {left}")
        while self.waiting and not alive:
            self.wake()

    def describe_end(self) -> str:
        """Why no server is left."""
        reasons = "; ".join(f"{endpoint.url}: {endpoint.end}" for endpoint in self.endpoints)
        return f"no server is left to ask ({reasons})"
