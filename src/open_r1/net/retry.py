"""When to ask a server again: what a failure means, how long to wait, and the cool-down of a server that keeps failing.

What a failure means decides what follows (`Cause`):

    request    the server refuses this request (400, 413, 422): it is not sent again
    server     5xx, no whole reply, a reply that cannot be read: it is sent again, a limited number of times
    busy       429, 503 with Retry-After: it is sent again when the server is ready
    endpoint   401, 402, 403, 404, 405, a redirect: this server will not answer any request
"""

from __future__ import annotations

import email.utils
import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Cause = Literal["request", "server", "busy", "endpoint"]
"""What a failure is due to: this request alone, the server for now, its load, or the way we ask it at all."""

CAUSES: Mapping[int, tuple[str, Cause]] = {
    400: ("refused", "request"),
    401: ("unauthorized", "endpoint"),
    402: ("payment_required", "endpoint"),
    403: ("forbidden", "endpoint"),
    404: ("not_found", "endpoint"),
    405: ("not_found", "endpoint"),
    408: ("timeout", "server"),
    413: ("too_large", "request"),
    422: ("refused", "request"),
    425: ("too_early", "server"),
    429: ("rate_limited", "busy"),
}


def cause_of(status: int, retry_after_s: float | None = None) -> tuple[str, Cause]:
    """A short code and the cause for a status that is not a success."""
    if 300 <= status < 400:
        return "redirected", "endpoint"
    if status == 503 and retry_after_s is not None:
        return "overloaded", "busy"
    return CAUSES.get(status, ("server_error" if status >= 500 else "refused", "server"))


def read_retry_after(value: str | None) -> float | None:
    """Seconds from now in a Retry-After header, which is a number or a date; None where it is neither."""
    value = (value or "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)


def backoff(first_s: float, longest_s: float) -> Iterator[float]:
    """Waits that double up to a limit, each with jitter: a random length from half of it to all of it."""
    wait_s = first_s
    while True:
        yield wait_s * random.uniform(0.5, 1.0)
        wait_s = min(longest_s, 2 * wait_s)


@dataclass
class CoolDown:
    """The cool-down of a failing server: with `after` failures in a row it gets no requests, longer with each further one.

    It takes `first_s` at first and doubles up to `longest_s`, varied at random by the share `jitter` either way.
    """

    after: int
    first_s: float
    longest_s: float
    jitter: float = 0.25
    failures: int = field(default=0, init=False)
    started_at: float | None = field(default=None, init=False)
    until: float = field(default=0.0, init=False)

    def failed(self, now: float, after: int | None = None, at_least: int = 0) -> bool:
        """Count a failure; whether a cool-down starts with it.

        `after` takes the place of the usual number; with fewer failures than `at_least` none starts.
        """
        self.failures += 1
        beyond = self.failures - (self.after if after is None else after)
        if beyond < 0 or self.failures < at_least:
            return False
        self.start(now, beyond)
        return True

    def start(self, now: float, beyond: int = 0) -> None:
        """Start it, doubled `beyond` times."""
        length_s = min(self.longest_s, self.first_s * 2.0 ** min(beyond, 30))
        self.started_at = now
        self.until = max(self.until, now + length_s * random.uniform(1 - self.jitter, 1 + self.jitter))

    def succeeded(self) -> None:
        """End the cool-down and forget the failures."""
        self.failures, self.started_at, self.until = 0, None, 0.0
