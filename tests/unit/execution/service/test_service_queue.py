"""Clients share the slots evenly, whatever each has queued."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from open_r1.execution.programs import Program
from open_r1.execution.service.dispatch import Batch, FairQueue


def make_batch(client: str, count: int) -> Batch:
    return Batch(client, [Program(f"{client} {index}") for index in range(count)], lambda index, execution: None)


def run_all(queue: FairQueue, slots: int) -> list[str]:
    """The order in which programs start, when all take equally long."""
    order, busy = [], []
    while len(queue) or busy:
        while len(busy) < slots and (taken := queue.take()):
            batch, _, program = taken
            order.append(program.source)
            busy.append(batch)
        queue.finish(busy.pop(0))
    return order


def test_ten_programs_after_a_thousand_wait_for_about_ten() -> None:
    queue = FairQueue()
    queue.add(make_batch("big", 1000))
    queue.add(make_batch("small", 10))
    order = run_all(queue, slots=2)
    assert order.index("small 9") <= 22
    assert len(order) == len(set(order)) == 1010


def test_the_order_within_a_request_is_kept() -> None:
    queue = FairQueue()
    queue.add(make_batch("a", 20))
    assert run_all(queue, slots=3) == [f"a {index}" for index in range(20)]


def test_requests_of_one_client_take_turns() -> None:
    queue = FairQueue()
    queue.add(make_batch("a", 100))
    late = Batch("a", [Program("late")], lambda index, execution: None)
    queue.add(late)
    assert run_all(queue, slots=1).index("late") == 1


def test_a_client_with_slow_programs_does_not_take_the_slots_of_others() -> None:
    queue = FairQueue()
    queue.add(make_batch("slow", 100))
    queue.add(make_batch("fast", 100))
    running = [queue.take() for _ in range(4)]
    for _ in range(20):  # whenever a fast one ends, the next is a fast one: the slow client has its half already
        done = next(taken for taken in running if taken and taken[0].client == "fast")
        queue.finish(done[0])
        running[running.index(done)] = queue.take()
        assert Counter(taken[0].client for taken in running if taken) == {"slow": 2, "fast": 2}


def test_many_names_gain_an_address_nothing() -> None:
    queue = FairQueue()
    for number in range(50):
        queue.add(Batch(f"name {number}", [Program("many")] * 2, lambda index, execution: None, address="one"))
    queue.add(Batch("other", [Program(f"other {index}") for index in range(10)], lambda *_: None, address="two"))
    assert (queue.num_waiting_of("one"), queue.num_waiting_of("two"), queue.num_waiting_of("three")) == (100, 10, 0)
    order = run_all(queue, slots=1)
    assert order.index("other 9") <= 20
    assert (queue.num_waiting_of("one"), len(queue._last_turns)) == (0, 0)


def test_clients_of_one_address_take_turns() -> None:
    queue = FairQueue()
    for name in "ab":
        queue.add(Batch(name, [Program(name)] * 4, lambda index, execution: None, address="one"))
    assert run_all(queue, slots=1) == list("abababab")


def test_what_is_removed_never_runs_and_the_rest_does() -> None:
    queue = FairQueue()
    gone, stays = make_batch("gone", 50), make_batch("stays", 5)
    queue.add(gone)
    queue.add(stays)
    first = queue.take()
    assert first and first[0] is gone
    assert queue.remove(gone) == list(range(1, 50))
    assert len(queue) == 5
    queue.finish(gone)
    assert run_all(queue, slots=1) == [f"stays {index}" for index in range(5)]
    assert queue.num_clients == queue.num_running == 0


def test_an_empty_request_is_nothing() -> None:
    queue = FairQueue()
    queue.add(make_batch("a", 0))
    assert queue.take() is None
    assert queue.remove_all() == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "take", "finish", "remove"]), st.sampled_from("abc"), st.integers(0, 5))
    )
)
def test_every_program_is_taken_or_removed_exactly_once(steps: list[tuple[str, str, int]]) -> None:
    queue, batches, taken, running = FairQueue(), [], Counter(), []
    waiting = 0
    for action, client, number in steps:
        if action == "add":
            batches.append(make_batch(client, number))
            queue.add(batches[-1])
            waiting += number
        elif action == "take" and (found := queue.take()):
            taken[id(found[0]), found[1]] += 1
            running.append(found[0])
            waiting -= 1
        elif action == "finish" and running:
            queue.finish(running.pop())
        elif action == "remove" and batches:
            for index in queue.remove(batches[number % len(batches)]):
                taken[id(batches[number % len(batches)]), index] += 1
                waiting -= 1
        assert len(queue) == waiting
        assert queue.num_running == len(running)
    assert not taken or max(taken.values()) == 1
