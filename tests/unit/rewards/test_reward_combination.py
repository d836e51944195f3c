"""Weights, schedules, and what becomes of the samples that could not be scored."""

from __future__ import annotations

import pytest

from open_r1.errors import ConfigError, RunError
from open_r1.records import Outcome
from open_r1.rewards import RewardWeights, check_unscored_share, combine, summarise
from open_r1.rewards.base import NOT_APPLICABLE

NAMES = ("accuracy", "format")
FAILED = Outcome(None, "timeout")
SKIPPED = Outcome(None, NOT_APPLICABLE)


def scored(*values: float) -> list[Outcome]:
    return [Outcome(value, "scored") for value in values]


def weight_at(schedule, progress: float) -> float:
    return RewardWeights.read({"accuracy": schedule}, ["accuracy"]).at(progress)[0]


def test_weights_by_position_by_name_and_by_default():
    assert RewardWeights.read([0.4, 0.3], NAMES).at(0.5) == [0.4, 0.3]
    assert RewardWeights.read({"format": 0.3, "accuracy": 0.4}, NAMES).at(0.5) == [0.4, 0.3]
    assert RewardWeights.read(None, NAMES).at(0.5) == [1.0, 1.0]
    assert RewardWeights.read([1, 0], NAMES).are_constant


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        ({"schedule": "constant", "value": 0.5}, [0.5, 0.5, 0.5, 0.5, 0.5]),
        ({"schedule": "linear", "from": 1.0, "to": 0.0}, [1.0, 0.75, 0.5, 0.25, 0.0]),
        ({"schedule": "linear", "from": 0.0, "to": 1.0, "start": 0.25, "end": 0.75}, [0.0, 0.0, 0.5, 1.0, 1.0]),
        ({"schedule": "cosine", "from": 1.0, "to": 0.0}, [1.0, 0.853553, 0.5, 0.146447, 0.0]),
        ({"schedule": "step", "values": [0.0, 0.5, 1.0], "at": [0.25, 0.75]}, [0.0, 0.5, 0.5, 1.0, 1.0]),
    ],
)
def test_schedules_over_progress(schedule, values):
    found = [weight_at(schedule, progress) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert found == pytest.approx(values, abs=1e-6)
    assert weight_at(schedule, -1.0) == found[0]
    assert weight_at(schedule, 2.0) == found[-1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "has 1 values for 2 rewards"),
        ({"accuracy": 1.0}, "no weight for format"),
        ({"accuracy": 1.0, "formt": 1.0}, "did you mean 'format'"),
        (["a", 1.0], "must be a number or a schedule, got 'a'"),
        ([True, 1.0], "must be a number"),
        ([float("nan"), 1.0], "needs a finite number"),
        ([{"schedule": "linaer"}, 1.0], "did you mean 'linear'"),
        ([{"schedule": "linear", "from": 1.0}, 1.0], "needs a finite number where it has None"),
        ([{"schedule": "linear", "from": 1, "to": 0, "begin": 0}, 1.0], "unknown keys: begin; it takes end, from"),
        ([{"schedule": "cosine", "from": 1, "to": 0, "start": 0.5, "end": 0.5}, 1.0], "0 ≤ start < end ≤ 1"),
        ([{"schedule": "step", "values": [1, 0], "at": []}, 1.0], "one value more than there are steps"),
        ([{"schedule": "step", "values": [1, 0, 1], "at": [0.5, 0.2]}, 1.0], "rising"),
        ([{"schedule": "step", "values": 1, "at": [0.5]}, 1.0], "list of numbers as its values, got 1; write values:"),
        ([{"schedule": "step", "values": None, "at": [0.5]}, 1.0], "list of numbers as its values, got None"),
        ([{"schedule": "step", "values": [1, 0], "at": 0.5}, 1.0], "list of numbers as its at, got 0.5"),
        ([{"schedule": "step", "values": "10", "at": [0.5]}, 1.0], "list of numbers as its values, got '10'"),
        ([{"schedule": ["linear"]}, 1.0], r"unknown schedule '\['linear'\]'"),
        (0.5, r"reward_weights is 0.5, neither a list nor a mapping; give one weight for each of accuracy, format"),
        ("12", "reward_weights is '12', neither a list nor a mapping"),
        ({1: 0.5}, "reward_weights names '1', which is not among reward_funcs"),
    ],
)
def test_bad_weights_are_errors_that_name_reward_and_fault(weights, message):
    with pytest.raises(ConfigError, match=message):
        RewardWeights.read(weights, NAMES)


def test_combine_weighs_each_sample():
    total = combine([scored(1.0, 0.0), scored(1.0, 1.0)], [0.4, 0.3])
    assert [outcome.value for outcome in total] == pytest.approx([0.7, 0.3])


def test_a_sample_that_a_weighted_reward_failed_on_is_unscored_with_its_reason():
    assert combine([[FAILED], scored(1.0)], [1.0, 1.0]) == [FAILED]
    assert combine([[FAILED], scored(1.0)], [0.0, 1.0])[0].value == 1.0


def test_a_reward_that_does_not_apply_is_left_out():
    assert combine([[SKIPPED], scored(1.0)], [1.0, 1.0])[0].value == 1.0
    assert combine([[SKIPPED], [SKIPPED]], [1.0, 1.0]) == [SKIPPED]


def test_summary_counts_only_what_was_scored():
    summary = summarise([*scored(1.0, 1.0), *scored(1.0, 0.0), FAILED, *scored(0.0)], group_size=2)
    assert summary.mean == pytest.approx(0.6)
    assert summary.std == pytest.approx(0.4898979)
    assert summary.zero_variance_share == 0.5
    assert summary.unscored_share == pytest.approx(1 / 6)
    assert summary.reasons == {"scored": 5, "timeout": 1}


def test_summary_of_nothing_scored_has_no_mean():
    summary = summarise([FAILED, SKIPPED], group_size=2)
    assert (summary.mean, summary.std, summary.zero_variance_share) == (None, None, None)
    assert summary.unscored_share == 1.0


def test_a_run_stops_above_the_share_of_unscored_samples():
    check_unscored_share("accuracy", [FAILED, *scored(1.0)], max_share=0.5)
    check_unscored_share("accuracy", [SKIPPED, *scored(1.0)], max_share=0.0)
    with pytest.raises(
        RunError, match=r"accuracy: 67% of 3 samples could not be scored \(timeout 2\), more than the 50%"
    ):
        check_unscored_share("accuracy", [FAILED, FAILED, *scored(1.0)], max_share=0.5)
