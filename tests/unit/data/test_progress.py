"""The line that says how far it has come."""

from __future__ import annotations

import pytest

from open_r1.data.progress import Prices, Progress


def test_rate_cost_and_time_left_are_those_of_this_run() -> None:
    now = [0.0]
    progress = Progress(1000, Prices(1.0, 4.0), clock=lambda: now[0])
    for _ in range(100):
        progress.count(100, 1000, "stop")
    now[0] = 50.0
    progress.begin()
    for _ in range(200):
        progress.count(100, 1000, "length")
    now[0] = 70.0
    line = progress.line()
    assert line.startswith(
        "300/1,000 samples (30.0 %); 10.0/s, 10,000 tokens/s; cost 1.23 of about 4.10; 1 min 10 s left"
    )
    assert progress.done - progress.earlier == 200


def test_the_rate_follows_the_last_minute() -> None:
    now = [0.0]
    progress = Progress(10_000, clock=lambda: now[0])
    progress.begin()
    for second in range(1, 301):
        now[0] = float(second)
        for _ in range(10 if second <= 150 else 1):
            progress.count(None, None, "stop")
        rate, _ = progress.rates()
    assert rate == pytest.approx(1.0, abs=0.05)


def test_failures_and_retries_are_told_and_no_price_no_cost() -> None:
    progress = Progress(10)
    progress.failures["timeout"] += 2
    progress.retries = 5
    assert "5 asked again; 2 failed" in progress.line()
    assert "cost" not in progress.line()
    assert Prices().cost(1, 1) is None
    assert Prices(completion=2.0).cost(10**6, 10**6) == 2.0


def test_the_rate_and_a_bound_of_the_time_are_there_before_the_first_sample_ends() -> None:
    now, in_flight = [0.0], [0]
    progress = Progress(10, clock=lambda: now[0], in_flight=lambda: in_flight[0], max_new_tokens=100)
    progress.begin()
    assert progress.seconds_left(*progress.rates()) is None
    assert progress.line() == "0/10 samples (0.0 %); 0.0/s, 0.0 tokens/s; time left unknown"
    now[0], in_flight[0] = 4.0, 20
    assert progress.tokens == 20
    assert progress.seconds_left(*progress.rates()) == (10 * 100 - 20) / 5
    assert progress.line() == "0/10 samples (0.0 %); 0.0/s, 5.0 tokens/s; at most 3 min 16 s left"


def test_the_time_of_a_long_batch_follows_from_the_length_of_the_samples_before_it() -> None:
    now, in_flight = [0.0], [0]
    progress = Progress(10, clock=lambda: now[0], in_flight=lambda: in_flight[0], max_new_tokens=100)
    for _ in range(2):
        progress.count(5, 30, "stop")
    progress.begin()
    progress.failures["refused"] += 1
    now[0], in_flight[0] = 10.0, 50
    assert progress.left == 7
    assert progress.seconds_left(*progress.rates()) == (7 * 30 - 50) / 5
    assert "at most" not in progress.line()
    in_flight[0] = 400
    assert progress.seconds_left(0.0, 5.0) == 0


def test_the_first_of_many_to_end_do_not_stretch_the_time_beyond_the_limit_of_the_tokens() -> None:
    now, in_flight = [0.0], [0]
    progress = Progress(32, clock=lambda: now[0], in_flight=lambda: in_flight[0], max_new_tokens=100)
    progress.begin()
    progress.count(5, 50, "stop")
    now[0], in_flight[0] = 40.0, 31 * 50
    assert progress.seconds_left(*progress.rates()) == (31 * 100 - 31 * 50) / 40  # by samples: 31 * 40 s
