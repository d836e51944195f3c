"""How far work is: a count of rows, or for traces the rate, tokens, cost and time left, in one line."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from open_r1.printable import duration

CountProgress = Callable[[int, int | None], None]
"""Called with how many rows are done, and of how many; None where that is not known."""


def no_progress(done: int, total: int | None) -> None:
    """A progress callback that does nothing."""


WINDOW_S = 60.0  # the rate is that of about the last minute


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in any currency; None where nobody says."""

    prompt: float | None = None
    completion: float | None = None

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """The cost so far, in the prices' currency; None without prices."""
        if self.prompt is None and self.completion is None:
            return None
        return ((self.prompt or 0) * prompt_tokens + (self.completion or 0) * completion_tokens) / 1e6


@dataclass
class Progress:
    """Counts of samples and tokens; those of earlier runs count as done, and not for the rate.

    `in_flight` counts the tokens of samples that are being generated, where the generator knows them, and
    `max_new_tokens` is the limit of a sample: together they give a rate and a time from the first token on.
    """

    wanted: int
    prices: Prices = field(default_factory=Prices)
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    earlier: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retries: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    finish_reasons: Counter[str] = field(default_factory=Counter)
    in_flight: Callable[[], int] = lambda: 0
    max_new_tokens: int | None = None

    def __post_init__(self) -> None:
        self.started = self.clock()
        self.marks: deque[tuple[float, int, int]] = deque()

    def count(self, prompt_tokens: int | None, completion_tokens: int | None, finish_reason: str) -> None:
        """Count a sample that is done."""
        self.done += 1
        self.prompt_tokens += prompt_tokens or 0
        self.completion_tokens += completion_tokens or 0
        self.finish_reasons[finish_reason] += 1

    def begin(self) -> None:
        """What was counted so far was there before."""
        self.earlier = self.done
        self.started = self.clock()
        self.marks = deque([(self.started, self.done, self.completion_tokens)])

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return self.clock() - self.started

    @property
    def cost(self) -> float | None:
        """The cost so far, in the prices' currency; None without prices."""
        return self.prices.cost(self.prompt_tokens, self.completion_tokens)

    @property
    def tokens(self) -> int:
        """Completion tokens, those of unfinished samples included."""
        return self.completion_tokens + self.in_flight()

    @property
    def left(self) -> int:
        """Samples that are neither there nor failed."""
        return self.wanted - self.done - sum(self.failures.values())

    def rates(self) -> tuple[float, float]:
        """Samples and completion tokens a second, of about the last minute."""
        now, total = self.clock(), self.tokens
        self.marks.append((now, self.done, total))
        while len(self.marks) > 2 and now - self.marks[1][0] >= WINDOW_S:
            self.marks.popleft()
        since, done, tokens = self.marks[0]
        seconds = max(1e-9, now - since)
        return (self.done - done) / seconds, (total - tokens) / seconds

    def seconds_left(self, samples_per_s: float, tokens_per_s: float) -> float | None:
        """The time that the rest takes; None while nothing has been generated.

        It follows from the samples that end, and is not longer than if each reached the limit of its tokens: the first
        to end of many say little. While none ends, it follows from the tokens of the samples so far, or from the limit.
        """
        per_sample = self.completion_tokens / self.done if self.done and not samples_per_s else self.max_new_tokens
        estimates = [self.left / samples_per_s] if samples_per_s > 0 else []
        if tokens_per_s > 0 and per_sample:
            estimates.append(max(0.0, self.left * per_sample - self.in_flight()) / tokens_per_s)
        return min(estimates, default=None)

    def line(self) -> str:
        """All of it in a line."""
        rate, tokens = self.rates()
        left = self.seconds_left(rate, tokens)
        parts = [f"{self.done:,}/{self.wanted:,} samples ({100 * self.done / max(1, self.wanted):.1f} %)"]
        parts.append(f"{rate:,.1f}/s, {tokens:,.{0 if tokens >= 10 else 1}f} tokens/s")
        if self.cost is not None:
            at_the_mean = self.cost * self.wanted / max(1, self.done)
            parts.append(f"cost {self.cost:,.2f} of about {at_the_mean:,.2f}")
        if self.left > 0:
            most = "" if self.done else "at most "
            parts.append("time left unknown" if left is None else f"{most}{duration(left)} left")
        if self.retries:
            parts.append(f"{self.retries:,} asked again")
        if self.failures:
            parts.append(f"{sum(self.failures.values()):,} failed")
        return "; ".join(parts)
