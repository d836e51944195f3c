"""The simulator of benchmarks/scaling.py agrees with closed forms, and docs/scaling.md shows what it prints."""

from __future__ import annotations

import importlib
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def scaling(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(repo / "benchmarks"))
    return importlib.import_module("scaling")


def test_a_run_without_kills_takes_its_steps_its_saves_and_one_start(scaling: Any) -> None:
    assert scaling.wall_seconds(10, 2.0, 4, 1.0, 5.0, []) == 5 + 10 * 2 + 3 * 1


def test_a_kill_costs_the_steps_since_the_last_checkpoint_and_a_start(scaling: Any) -> None:
    before_any_save, after_one_save = 5 + 3.5 * 2, 5 + 4 * 2 + 1 + 2
    whole = scaling.wall_seconds(10, 2.0, 4, 1.0, 5.0, [])
    assert scaling.wall_seconds(10, 2.0, 4, 1.0, 5.0, [before_any_save]) == before_any_save + whole
    assert scaling.wall_seconds(10, 2.0, 4, 1.0, 5.0, [after_one_save]) == after_one_save + whole - 4 * 2 - 1


def test_the_share_lost_is_dalys(scaling: Any) -> None:
    mean_s, save_s, start_s, rng = 500.0, 2.0, 5.0, random.Random(0)
    walls = []
    for _ in range(300):
        kills = [rng.expovariate(1 / mean_s) for _ in range(200)]
        walls.append(scaling.wall_seconds(2000, 1.0, 40, save_s, start_s, kills))
    lost = 1 - 2000 / statistics.mean(walls)
    assert lost == pytest.approx(scaling.lost_share(40, save_s, start_s, mean_s), abs=0.01)


@pytest.mark.parametrize(("save_s", "mean_s"), [(60, 180_000), (300, 180_000), (60, 3_600)])
def test_no_interval_loses_less_than_the_best_one(scaling: Any, save_s: float, mean_s: float) -> None:
    best = scaling.daly(save_s, mean_s)
    lost = scaling.lost_share(best, save_s, 600, mean_s)
    assert all(scaling.lost_share(best * other, save_s, 600, mean_s) > lost for other in (0.8, 1.25))
    assert best == pytest.approx(scaling.young(save_s, mean_s), rel=0.1)


def test_rewards_while_sampling_hide_all_but_what_is_left_after_the_last_sample(scaling: Any) -> None:
    lengths = [10, 20, 30, 40]
    assert scaling.step_seconds(lengths, 4.0, 0.5, 1.0, is_overlapped=False) == 4 + 2 + 1
    assert scaling.step_seconds(lengths, 4.0, 0.5, 1.0, is_overlapped=True) == 4 + 0.5 + 1
    assert scaling.step_seconds(lengths, 4.0, 3.0, 1.0, is_overlapped=True) == 1 + 4 * 3 + 1


def test_several_executors_score_in_turn(scaling: Any) -> None:
    assert scaling.scored_at([0.0] * 6, 1.0, servers=3) == 2.0
    assert math.isclose(scaling.scored_at([0.0, 5.0], 1.0, servers=1), 6.0)


def test_a_round_that_waits_for_its_longest_samples_fewer_tokens_a_second(scaling: Any) -> None:
    regime = scaling.Regime(at_once=16, median=300, p95=1200, cap=2048)
    (seconds, tokens), (flow_s, flow) = regime.sampling(1, is_endless=False), regime.sampling(6, is_endless=True)
    assert tokens == regime.lengths(16).sum()
    assert 1.2 < flow / flow_s / (tokens / seconds) < 16


def test_the_tables_of_the_page_are_the_simulators(scaling: Any, repo: Path) -> None:
    page = (repo / "docs" / "scaling.md").read_text(encoding="utf-8")
    rows = [line for line in scaling.tables().splitlines() if line.startswith("| ") and "---" not in line]
    assert [line for line in rows if line not in page] == []
    kept = (repo / "benchmarks" / "results" / "scaling.md").read_text(encoding="utf-8").split("## Predictions", 1)[1]
    checked = [line for line in kept.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(checked) >= 5 and [line for line in checked if line not in page] == []
