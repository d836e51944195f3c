"""Intervals that hold what they promise."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_r1.estimates import estimate_difference, estimate_share, t_quantile, variance_of_mean
from open_r1.evaluation.statistics import clustered_error, majority_at_k, pass_at_k, repeat_error


def test_wilson_agrees_with_its_textbook_values() -> None:
    # 8 of 10: Wilson's 95 % interval is [0.4901625, 0.9433178] (R: prop.test(8, 10, correct=FALSE)).
    found = estimate_share([0.8] * 10)
    assert (found.low, found.high) == (pytest.approx(0.4901625, abs=1e-6), pytest.approx(0.9433178, abs=1e-6))


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


def test_identical_differences_still_have_an_interval() -> None:
    two = estimate_difference([0.0] * 2, [1.0] * 2)
    assert two.value == 1.0 and two.low < 0 and two.high == 1.0
    many = estimate_difference([0.0] * 50, [1.0] * 50)
    assert 0.8 < many.low < 1.0
    same = estimate_difference([0.7] * 100, [0.7] * 100)
    assert same.value == 0 and same.low == pytest.approx(-same.high) and 0.01 < same.high < 0.03
    rounded = estimate_difference([0.1, 0.2], [0.3, 0.4])  # 0.19999999999999998 and 0.2
    assert rounded.low < 0 < rounded.high


def test_variance_of_mean_is_the_textbook_one() -> None:
    assert variance_of_mean([1.0, 2.0, 3.0, 4.0]) == pytest.approx(5 / 3 / 4)


# --- pass@k, maj@k, errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_samples", range(1, 8))
def test_pass_at_k_is_that_of_all_choices_of_k(num_samples: int) -> None:
    for num_correct in range(num_samples + 1):
        outcomes = [True] * num_correct + [False] * (num_samples - num_correct)
        for k in range(1, num_samples + 1):
            choices = list(itertools.combinations(outcomes, k))
            brute = sum(any(choice) for choice in choices) / len(choices)
            assert pass_at_k(num_samples, num_correct, k) == pytest.approx(brute, abs=1e-12)


def brute_majority(votes: list[tuple[str | None, float]], k: int) -> float:
    """Every choice of k samples, every tie by lot."""
    choices = list(itertools.combinations(votes, k))
    total = 0.0
    for choice in choices:
        counts = Counter(answer for answer, _ in choice if answer is not None)
        leading = [answer for answer, count in counts.items() if count == max(counts.values())]
        total += sum(dict(votes)[answer] for answer in leading) / len(leading) if leading else 0.0
    return total / len(choices)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["right", "a", "b", "c", None]), min_size=1, max_size=7))
def test_maj_at_k_is_that_of_all_choices_of_k(answers: list[str | None]) -> None:
    votes = [(answer, float(answer == "right")) for answer in answers]
    for k in range(1, len(votes) + 1):
        assert majority_at_k(votes, k) == pytest.approx(brute_majority(votes, k), abs=1e-12)


def test_maj_at_1_is_the_mean() -> None:
    votes: list[tuple[str | None, float]] = [("4", 1.0), ("5", 0.0), ("4", 1.0), (None, 0.0)]
    assert majority_at_k(votes, 1) == 0.5


def test_many_different_answers_take_no_time() -> None:
    votes = [(str(number // 2), float(number < 2)) for number in range(64)]
    started = time.monotonic()
    assert 0 < majority_at_k(votes, 16) < 1
    assert time.monotonic() - started < 20


def sandwich(clusters: list[list[float]]) -> float:
    """The cluster-robust standard error (Liang and Zeger 1986) of an intercept fitted with weights 1/size."""
    scores = np.concatenate([np.asarray(cluster) for cluster in clusters])
    weights = np.concatenate([np.full(len(cluster), 1 / len(cluster)) for cluster in clusters])
    names = np.concatenate([np.full(len(cluster), index) for index, cluster in enumerate(clusters)])
    design = np.ones((len(scores), 1))
    bread = np.linalg.inv(design.T @ (weights[:, None] * design))
    residuals = scores - (bread @ design.T @ (weights * scores))[0]
    sums = np.array([(weights * residuals)[names == index].sum() for index in range(len(clusters))])
    count = len(clusters)
    return float(np.sqrt(bread[0, 0] * (sums @ sums) * bread[0, 0] * count / (count - 1)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=6), min_size=2, max_size=20))
def test_the_clustered_error_is_the_sandwich_estimator(clusters: list[list[float]]) -> None:
    means = [sum(cluster) / len(cluster) for cluster in clusters]
    assert clustered_error(means) == pytest.approx(sandwich(clusters), abs=1e-9)


def test_the_clustered_error_is_millers_for_equal_clusters() -> None:
    # Miller 2024, eq. 4: sqrt(sum over clusters of (sum of (s - mean))^2) / n, with the correction G/(G-1).
    rng = random.Random(0)
    clusters = [[float(rng.random() < 0.3 + 0.05 * index) for _ in range(4)] for index in range(10)]
    center = sum(map(sum, clusters)) / 40
    miller = math.sqrt(sum(sum(score - center for score in cluster) ** 2 for cluster in clusters)) / 40
    expected = miller * math.sqrt(10 / 9)
    assert clustered_error([sum(cluster) / 4 for cluster in clusters]) == pytest.approx(expected, abs=1e-9)


def test_one_problem_has_no_clustered_error() -> None:
    assert math.isnan(clustered_error([0.5]))


def test_the_repeat_error_is_how_much_the_same_problems_vary() -> None:
    rng = random.Random(0)
    truths = [rng.random() for _ in range(30)]

    def draw() -> list[list[float]]:
        return [[float(rng.random() < truth) for _ in range(8)] for truth in truths]

    shares, said = [], []
    for _ in range(1000):
        scores = draw()
        shares.append(sum(map(sum, scores)) / 240)
        said.append(repeat_error(scores))
    spread = float(np.std(shares))
    assert spread == pytest.approx(sum(said) / len(said), rel=0.1)


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (9, 2.2622), (29, 2.0452), (499, 1.9647)]
)
def test_students_t_agrees_with_its_tables(degrees: int, quantile: float) -> None:
    assert t_quantile(degrees) == pytest.approx(quantile, abs=6e-3)


def test_a_paired_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng = random.Random(0)
    covered, repetitions = 0, 2000
    for _ in range(repetitions):
        truths = [rng.betavariate(2, 1) for _ in range(30)]
        first, second = ([sum(rng.random() < truth for _ in range(4)) / 4 for truth in truths] for _ in range(2))
        estimate = estimate_difference(first, second)
        covered += estimate.low <= 0 <= estimate.high
    assert 0.93 <= covered / repetitions <= 0.97
