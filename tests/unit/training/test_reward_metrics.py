"""What is logged of each reward beside TRL's mean and std."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest

from open_r1.training.reward_adapter import MAX_REASONS, add_metrics, count_reasons, reward_metrics

NAN = math.nan


def logs(values: list[float], reasons: list[str | None]) -> dict[str, dict[str, list]]:
    return {"rewards": {"accuracy": values}, "extra": {"accuracy_reason": reasons}}


def test_variance_and_reasons_of_a_batch_are_shares() -> None:
    values = [1.0, 1.0, 1.0, 0.0, NAN, 0.0, NAN, NAN]
    reasons: list[str | None] = [
        "correct",
        "correct",
        "correct",
        "wrong",
        "timeout",
        "no_answer",
        "unparsable_gold",
        "unparsable_gold",
    ]
    assert reward_metrics(logs(values, reasons), 2) == {
        "rewards/accuracy/zero_variance": 0.5,
        "rewards/accuracy/reason/correct": 0.375,
        "rewards/accuracy/reason/unparsable_gold": 0.25,
        "rewards/accuracy/reason/wrong": 0.125,
        "rewards/accuracy/reason/timeout": 0.125,
        "rewards/accuracy/reason/no_answer": 0.125,
    }


def test_a_batch_without_a_comparable_group_has_no_share_and_no_reasons_are_no_fault() -> None:
    metrics = reward_metrics({"rewards": {"mine": [NAN, 1.0]}, "extra": {}}, 2)
    assert math.isnan(metrics.pop("rewards/mine/zero_variance"))
    assert metrics == {}


def test_a_reward_with_a_reason_for_every_sample_does_not_flood_the_log() -> None:
    reasons = {f"line {number}": 1 for number in range(100)} | {"counted": 50, "common": 3}
    counts = count_reasons(reasons)
    assert len(counts) == MAX_REASONS + 1
    assert counts["common"] == 3
    assert sum(counts.values()) == 103


def test_a_reason_that_one_generation_lacks_counts_as_none_there() -> None:
    held: dict[str, list[float]] = defaultdict(list)
    for number, new in enumerate(({"r/reason/a": 1.0}, {"r/reason/b": 0.5, "r/zero_variance": 1.0}, {}), start=1):
        add_metrics(held, new, generations=number)
    assert held["r/reason/a"] == [1.0, 0.0, 0.0]
    assert held["r/reason/b"] == [0.0, 0.5, 0.0]
    assert held["r/zero_variance"][1:] == [1.0]
    assert math.isnan(held["r/zero_variance"][0])


@pytest.mark.parametrize("size", [1, 3])
def test_a_group_of_one_is_not_compared(size: int) -> None:
    metrics = reward_metrics(logs([1.0] * 3, ["correct"] * 3), size)
    assert math.isnan(metrics["rewards/accuracy/zero_variance"]) == (size == 1)
