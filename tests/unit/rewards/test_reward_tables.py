"""Rewards of a batch as lines of text."""

from __future__ import annotations

import pytest

from open_r1.records import Outcome
from open_r1.rewards import summarise
from open_r1.rewards.tables import distribution, histogram, summary_table

MANY = [n / 100 for n in range(100)]


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 5, MANY])
def test_a_histogram_counts_every_value_once(values: list[float]) -> None:
    assert sum(int(line.split()[1]) for line in histogram(values)) == len(values)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], ""),
        ([1.0, 0.0, 1.0], "0 × 1, 1 × 2"),
        ([-0.5] * 8, "-0.5 × 8"),
        (MANY, "0 ██████████ 0.99"),
        ([0.0] * 70 + [1.0, 2.0, 3.0, 10.0], "0 █▂▂▂▁▁▁▁▁▂ 10"),
    ],
)
def test_a_distribution_is_told_in_a_few_characters(values: list[float], shown: str) -> None:
    assert distribution(values) == shown


def test_a_table_has_a_line_for_each_reward_and_a_dash_where_nothing_was_scored() -> None:
    outcomes = {
        "accuracy": [
            Outcome(1.0, "correct"),
            Outcome(0.0, "wrong"),
            Outcome(None, "timeout"),
            Outcome(1.0, "correct"),
        ],
        "mine": [Outcome(None, "timeout")] * 4,
    }
    lines = summary_table(outcomes, {name: summarise(found, 2) for name, found in outcomes.items()})
    assert [line.split() for line in lines] == [
        ["reward", "mean", "std", "no", "variance", "unscored", "values"],
        ["accuracy", "0.667", "0.471", "0.0%", "25.0%", "0", "×", "1,", "1", "×", "2"],
        ["mine", "–", "–", "–", "100.0%"],
    ]
