"""Which server is asked, which gets a cool-down, which is lost."""

from __future__ import annotations

import asyncio
import time

import pytest

from open_r1.net import servers
from open_r1.net.servers import (
    FAILURES_TO_COOL,
    REFUSALS_TO_EXCLUDE,
    REFUSED_CONNECTIONS_TO_COOL,
    Budget,
    Endpoint,
    EndpointPool,
    EndpointsGone,
)


class Clock:
    """Time that stands still unless moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(servers.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def fail(endpoint: Endpoint, clock: Clock, times: int, blame: str = "server", after: float | None = None) -> None:
    for _ in range(times):
        endpoint.failed(blame, "server_error", "500", clock.now, after)  # type: ignore[arg-type]


def test_a_server_that_keeps_failing_gets_longer_cool_downs_and_one_request_tries_it(clock: Clock) -> None:
    endpoint = Endpoint("a", 8, patience_s=300)
    fail(endpoint, clock, FAILURES_TO_COOL - 1)
    assert endpoint.ready_at(clock.now) <= clock.now
    rests = []
    for _ in range(4):
        fail(endpoint, clock, 1)
        rests.append(endpoint.ready_at(clock.now) - clock.now)
        clock.now = endpoint.ready_at(clock.now)
        assert endpoint.has_place()
        endpoint.in_flight = 1
        assert not endpoint.has_place()
        endpoint.in_flight = 0
    assert rests == sorted(rests)
    assert 0.7 < rests[0] < 1.3
    assert 5 < rests[3] < 11
    endpoint.answered()
    endpoint.in_flight = 7
    assert endpoint.has_place()


def test_failures_that_come_before_the_answers_start_no_cool_down(clock: Clock) -> None:
    endpoint = Endpoint("a", 100, patience_s=300)
    endpoint.in_flight = 60
    fail(endpoint, clock, 40)
    assert endpoint.ready_at(clock.now) <= clock.now


def test_failures_of_requests_from_before_the_cool_down_do_not_prolong_it(clock: Clock) -> None:
    endpoint = Endpoint("a", 100, patience_s=300)
    asked_at = clock.now
    clock.now += 1
    fail(endpoint, clock, FAILURES_TO_COOL)
    until = endpoint.ready_at(clock.now)
    clock.now += 0.01
    for _ in range(90):
        endpoint.failed("server", "server_error", "500", asked_at, None)
    assert endpoint.ready_at(clock.now) == until


def test_a_server_is_lost_after_its_patience_and_alive_with_its_next_answer(clock: Clock) -> None:
    endpoint = Endpoint("a", 8, patience_s=60)
    fail(endpoint, clock, FAILURES_TO_COOL)
    assert endpoint.lost is None
    clock.now += 61
    fail(endpoint, clock, 1)
    assert "no answer for 61 s (server_error: 500)" in str(endpoint.lost)
    endpoint.answered()
    assert endpoint.lost is None


def test_a_lone_failure_long_ago_does_not_make_a_slow_server_lost(clock: Clock) -> None:
    endpoint = Endpoint("a", 8, patience_s=60)
    fail(endpoint, clock, 1)
    clock.now += 900
    fail(endpoint, clock, 1)
    assert endpoint.lost is None


def test_a_busy_server_is_left_alone_as_long_as_it_asks_and_gets_less_at_once(clock: Clock) -> None:
    endpoint = Endpoint("a", 64, patience_s=60)
    fail(endpoint, clock, 30, "busy", after=7.0)
    assert endpoint.ready_at(clock.now) == clock.now + 7
    assert endpoint.allowed == 32
    for _ in range(100):
        endpoint.answered()
    assert endpoint.allowed == 64


def test_a_server_that_is_busy_for_an_hour_without_an_answer_is_lost(clock: Clock) -> None:
    endpoint = Endpoint("a", 64, patience_s=60)
    for _ in range(62):
        fail(endpoint, clock, 1, "busy", after=1.0)
        clock.now += 60
    assert "busy for 60 min" in str(endpoint.lost)


def test_a_wrong_key_or_path_is_final_only_where_nothing_was_ever_answered(clock: Clock) -> None:
    fresh, proven = Endpoint("a", 8, 60), Endpoint("b", 8, 60)
    proven.answered()
    fail(fresh, clock, 1, "endpoint")
    fail(proven, clock, 1, "endpoint")
    assert fresh.excluded is not None
    assert proven.excluded is None


def test_a_server_that_refuses_every_request_is_excluded_and_one_that_refuses_some_is_not(clock: Clock) -> None:
    fresh, proven = Endpoint("a", 8, 60), Endpoint("b", 8, 60)
    proven.answered()
    fail(fresh, clock, REFUSALS_TO_EXCLUDE, "request")
    fail(proven, clock, 1000, "request")
    assert "refuses every request" in str(fresh.excluded)
    assert proven.excluded is None


def test_the_least_loaded_is_asked_and_the_one_that_has_just_failed_is_avoided() -> None:
    async def main() -> list[str]:
        first, second = Endpoint("a", 4, 60), Endpoint("b", 8, 60)
        pool = EndpointPool([first, second])
        taken = [(await pool.acquire(0)).url for _ in range(12)]
        pool.release(first)
        pool.release(second)
        taken.append((await pool.acquire(0, avoid=first)).url)
        return taken

    taken = asyncio.run(main())
    assert (taken[:12].count("a"), taken[:12].count("b")) == (4, 8)
    assert taken[12] == "b"


def test_those_who_wait_get_the_places_that_become_free_and_no_more() -> None:
    async def main() -> int:
        pool = EndpointPool([Endpoint("a", 3, 60)])
        most = 0

        async def visit() -> None:
            nonlocal most
            endpoint = await pool.acquire(0)
            most = max(most, endpoint.in_flight)
            await asyncio.sleep(0.001)
            pool.release(endpoint)

        visits = [asyncio.create_task(visit()) for _ in range(50)]
        await asyncio.sleep(0.002)
        visits[10].cancel()
        visits[40].cancel()
        await asyncio.wait_for(asyncio.gather(*visits, return_exceptions=True), timeout=5)
        return most

    assert asyncio.run(main()) == 3


def test_everybody_who_waits_hears_that_the_last_server_is_gone() -> None:
    async def main() -> list[object]:
        endpoint = Endpoint("a", 1, 60)
        pool = EndpointPool([endpoint])
        await pool.acquire(0)
        waiting = [asyncio.create_task(pool.acquire(0)) for _ in range(5)]
        await asyncio.sleep(0)
        endpoint.failed("endpoint", "not_found", "no such model", 0.0, None)
        pool.note_loss(endpoint)
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), timeout=5)

    ends = asyncio.run(main())
    assert all(isinstance(end, EndpointsGone) and "a: not_found: no such model" in str(end) for end in ends)


def test_a_lost_server_is_still_tried_while_another_works() -> None:
    async def main() -> set[str]:
        failing, well = Endpoint("failing", 4, 60), Endpoint("well", 4, 60)
        failing.lost, failing.cool_down.failures, failing.cool_down.started_at = "no answer", 12, 1.0
        pool = EndpointPool([failing, well])
        return {(await pool.acquire(0)).url for _ in range(5)}

    assert asyncio.run(main()) == {"failing", "well"}


def test_a_budget_spreads_a_minutes_requests_and_counts_what_is_overdrawn() -> None:
    budget = Budget(per_minute=60)
    assert budget.ready_at(0.0) == 0.0
    budget.take(1)
    assert budget.ready_at(0.0) > 0.0
    assert budget.ready_at(1.1) == 1.1
    budget.take(31)
    assert 25 < budget.ready_at(1.1) - 1.1 < 31


def test_requests_keep_to_their_limit_a_minute() -> None:
    async def main() -> float:
        pool = EndpointPool([Endpoint("a", 100, 60, requests=3000)])
        started = time.monotonic()

        async def visit() -> None:
            pool.release(await pool.acquire(0))

        await asyncio.gather(*(visit() for _ in range(80)))
        return time.monotonic() - started

    assert 0.45 < asyncio.run(main()) < 3  # 50 at once as the first second's share, then 50 a second


def test_connections_that_cannot_be_made_start_a_cool_down_sooner(clock: Clock) -> None:
    endpoint = Endpoint("a", 8, patience_s=300)
    for failures in range(1, REFUSED_CONNECTIONS_TO_COOL + 1):
        endpoint.failed("server", "unreachable", "refused", clock.now, None)
        assert (endpoint.ready_at(clock.now) > clock.now) == (failures == REFUSED_CONNECTIONS_TO_COOL)


def test_an_answer_forgives_refusals(clock: Clock) -> None:
    endpoint = Endpoint("a", 8, 60)
    fail(endpoint, clock, REFUSALS_TO_EXCLUDE - 1, "request")
    endpoint.answered()
    assert (endpoint.refusals, endpoint.answers) == (0, 1)


def test_a_busy_server_is_eased_once_a_second_and_never_below_one(clock: Clock) -> None:
    endpoint = Endpoint("a", 8, 60)
    for allowed in (4, 2, 1, 1):
        fail(endpoint, clock, 3, "busy")
        assert endpoint.allowed == allowed
        clock.now += servers.EASING_GAP_S
    endpoint.answered()
    assert endpoint.allowed == 2


def test_a_server_may_not_ask_to_be_left_alone_for_ever(clock: Clock) -> None:
    endpoint = Endpoint("a", 8, 60)
    fail(endpoint, clock, 1, "busy", after=1e9)
    assert endpoint.ready_at(clock.now) == clock.now + servers.LONGEST_BUSY_S


def test_a_budget_lets_a_seconds_share_go_at_once_and_no_more() -> None:
    for per_minute, at_once in ((3000, 50), (30, 1)):
        budget, taken = Budget(per_minute), 0
        while budget.ready_at(10.0) <= 10.0:
            budget.take(1)
            taken += 1
        assert taken == at_once
    assert Budget(None).ready_at(3.0) == 3.0


def note_failures(pool: EndpointPool, endpoint: Endpoint, clock: Clock, times: int, cause: str = "server") -> None:
    for _ in range(times):
        pool.note(endpoint, cause, "server_error", "500", clock.now, None)  # type: ignore[arg-type]


def test_a_cool_down_is_reported_once_a_minute_and_a_loss_at_once(clock: Clock) -> None:
    said: list[str] = []
    first, second = Endpoint("first", 4, 200), Endpoint("second", 4, 200)
    pool = EndpointPool([first, second], said.append)
    note_failures(pool, first, clock, FAILURES_TO_COOL + 3)
    assert len(said) == 1 and "first has failed 10 times in a row (server_error: 500)" in said[0]
    clock.now += servers.REPORT_GAP_S - 1
    note_failures(pool, first, clock, 1)
    assert len(said) == 1
    clock.now += 1
    note_failures(pool, first, clock, 1)
    assert len(said) == 2
    clock.now += 200
    note_failures(pool, first, clock, 1)
    assert said[2] == "first is out: no answer for 260 s (server_error: 500); 1 of 2 servers are left"
    note_failures(pool, second, clock, 1, "endpoint")
    assert len(said) == 3 and not pool.alive()
    with pytest.raises(EndpointsGone, match=r"first: no answer .*; second: server_error: 500"):
        pool.pick(None)
