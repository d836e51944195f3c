"""What a failure means, and how long to wait after it."""

from __future__ import annotations

import itertools
import time
from email.utils import formatdate

import pytest

from open_r1.net.retry import CoolDown, backoff, cause_of, read_retry_after


@pytest.mark.parametrize(
    ("status", "retry_after_s", "expected"),
    [
        (301, None, ("redirected", "endpoint")), (399, None, ("redirected", "endpoint")),
        (400, None, ("refused", "request")), (401, None, ("unauthorized", "endpoint")),
        (402, None, ("payment_required", "endpoint")), (403, None, ("forbidden", "endpoint")),
        (404, None, ("not_found", "endpoint")), (405, None, ("not_found", "endpoint")),
        (408, None, ("timeout", "server")), (413, None, ("too_large", "request")), (418, None, ("refused", "server")),
        (422, None, ("refused", "request")), (425, None, ("too_early", "server")),
        (429, None, ("rate_limited", "busy")), (499, None, ("refused", "server")),
        (500, None, ("server_error", "server")), (500, 1.0, ("server_error", "server")),
        (503, None, ("server_error", "server")), (503, 0.0, ("overloaded", "busy")),
    ],
)  # fmt: skip
def test_a_status_has_its_cause(status: int, retry_after_s: float | None, expected: tuple[str, str]) -> None:
    assert cause_of(status, retry_after_s) == expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("", None), (None, None), ("soon", None), ("nan", None),
        ("Fri, 01 Jan 1990 00:00:00 GMT", 0.0), (" 2 ", 2.0), ("9" * 400, float("inf")),
    ],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value) == seconds


def test_retry_after_may_be_a_date_to_come() -> None:
    seconds = read_retry_after(formatdate(time.time() + 100, usegmt=True))
    assert seconds is not None and 97 < seconds <= 101


def test_waits_double_up_to_a_limit_with_jitter() -> None:
    for wait, full in zip(itertools.islice(backoff(1.0, 5.0), 5), (1, 2, 4, 5, 5), strict=True):
        assert full / 2 <= wait <= full
    assert len({next(backoff(1.0, 5.0)) for _ in range(20)}) > 1


def test_a_cool_down_starts_after_so_many_failures_and_doubles_up_to_its_limit() -> None:
    cool_down = CoolDown(after=3, first_s=1.0, longest_s=4.0, jitter=0.0)
    assert [cool_down.failed(10.0) for _ in range(2)] == [False, False]
    assert (cool_down.until, cool_down.started_at) == (0.0, None)
    lengths = []
    for _ in range(4):
        assert cool_down.failed(10.0)
        lengths.append(cool_down.until - 10.0)
    assert lengths == [1.0, 2.0, 4.0, 4.0]
    assert cool_down.started_at == 10.0


def test_a_success_ends_a_cool_down_and_its_count() -> None:
    cool_down = CoolDown(after=1, first_s=1.0, longest_s=4.0)
    cool_down.failed(10.0)
    assert 10.75 <= cool_down.until <= 11.25
    cool_down.succeeded()
    assert (cool_down.failures, cool_down.started_at, cool_down.until) == (0, None, 0.0)


def test_other_numbers_of_failures_may_be_asked_for() -> None:
    cool_down = CoolDown(after=10, first_s=1.0, longest_s=4.0, jitter=0.0)
    assert not cool_down.failed(0.0, after=2)
    assert not cool_down.failed(0.0, after=2, at_least=3)
    assert cool_down.failed(0.0, after=2, at_least=3)
    assert cool_down.until == 2.0
