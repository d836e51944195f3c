"""Intervals that hold what they promise."""

from __future__ import annotations

import math
import random

import pytest

from open_r1.evaluation.statistics import estimate_difference, estimate_share, variance_of_mean, wilson


def test_wilson_agrees_with_its_textbook_values() -> None:
    # 8 of 10: Wilson's 95 % interval is [0.4901625, 0.9433178] (R: prop.test(8, 10, correct=FALSE)).
    low, high = wilson(0.8, 10)
    assert (low, high) == (pytest.approx(0.4901625, abs=1e-6), pytest.approx(0.9433178, abs=1e-6))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_right_or_all_wrong_still_has_an_interval(share: float) -> None:
    estimate = estimate_share([share] * 100)
    assert estimate.value == share
    assert 0.03 < estimate.high - estimate.low < 0.05


def test_interval_never_leaves_the_unit_interval() -> None:
    estimate = estimate_share([0.0] * 99 + [1.0])
    assert 0 < estimate.low < estimate.value < estimate.high < 1


def test_no_problem_gives_no_estimate() -> None:
    estimate = estimate_share([])
    assert math.isnan(estimate.value)
    assert estimate.n == 0


def test_samples_of_one_problem_do_not_count_as_independent() -> None:
    # 100 problems, each always right or always wrong: 8 samples of each tell no more than one.
    once = estimate_share([1.0] * 50 + [0.0] * 50)
    assert once.high - once.low > 0.18


@pytest.mark.parametrize(("num_samples", "spread"), [(1, 0.0), (4, 0.3)])
def test_interval_covers_the_truth_about_95_times_in_100(num_samples: int, spread: float) -> None:
    rng = random.Random(0)
    covered = 0
    repetitions = 1000
    for _ in range(repetitions):
        truths = [min(1.0, max(0.0, 0.6 + rng.uniform(-spread, spread))) for _ in range(150)]
        means = [sum(rng.random() < truth for _ in range(num_samples)) / num_samples for truth in truths]
        estimate = estimate_share(means)
        covered += estimate.low <= 0.6 <= estimate.high
    assert 0.93 <= covered / repetitions <= 0.97


def test_paired_difference_uses_the_pairing() -> None:
    before = [0.0, 1.0] * 100
    after = [0.2, 1.0] * 100
    estimate = estimate_difference(before, after)
    assert estimate.value == pytest.approx(0.1)
    assert estimate.high - estimate.low < 0.06
    assert estimate.low > 0


def test_variance_of_mean_is_the_textbook_one() -> None:
    assert variance_of_mean([1.0, 2.0, 3.0, 4.0]) == pytest.approx(5 / 3 / 4)
