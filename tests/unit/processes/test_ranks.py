"""A process's place in its launch, and the cores it may use."""

from __future__ import annotations

import pytest

from open_r1.processes import ranks


@pytest.mark.parametrize(("value", "expected"), [("0", 0), ("3", 3), ("", 0), (" 2 ", 2), ("first", 0), ("-1", 0)])
def test_the_rank_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, value: str, expected: int) -> None:
    monkeypatch.setenv("RANK", value)
    assert ranks.rank() == expected
    assert ranks.is_main_process() is (expected == 0)


def test_without_a_launch_there_is_one_process() -> None:
    assert (ranks.rank({}), ranks.world_size({}), ranks.local_world_size({})) == (0, 1, 1)
    given = {"RANK": "5", "WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}
    assert (ranks.rank(given), ranks.world_size(given), ranks.local_world_size(given)) == (5, 16, 8)
    assert ranks.world_size({"WORLD_SIZE": "0"}) == ranks.local_world_size({"LOCAL_WORLD_SIZE": "0"}) == 1


@pytest.mark.parametrize(
    ("usable", "local", "limit", "expected"), [(64, 8, 64, 8), (64, 1, 8, 8), (2, 8, 8, 1), (7, 2, 8, 3)]
)
def test_cores_are_shared_among_the_processes_of_a_machine(
    monkeypatch: pytest.MonkeyPatch, usable: int, local: int, limit: int, expected: int
) -> None:
    monkeypatch.setattr(ranks, "usable_cores", lambda: usable)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local))
    assert ranks.default_workers(limit) == expected
