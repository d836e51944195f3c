"""What GRPO keeps of its rollouts."""

from __future__ import annotations

import math

import pyarrow

from open_r1.rewards.combination import zero_variance_share
from open_r1.training.grpo import EpochSampler, reward_tuples, to_rollouts

NAN = math.nan


def test_groups_without_variance_are_counted_on_the_rewards_themselves() -> None:
    def share(rewards: dict[str, list[float]], group: int) -> float | None:
        return zero_variance_share(reward_tuples(rewards), group)

    accuracy = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0, NAN, NAN]
    tags = [0.75, 0.75, 1.0, 1.0, 0.5, 0.25, 0.1, 0.1]
    assert share({"accuracy": accuracy}, 2) == 0.75
    assert share({"accuracy": accuracy, "tags": tags}, 2) == 0.5
    assert share({"accuracy": accuracy}, 4) == 0.0


def test_an_unscored_reward_is_null_in_the_rollouts_and_has_its_reason() -> None:
    logs = {
        "prompt": [[{"role": "user", "content": "q"}]] * 2,
        "completion": [[{"role": "assistant", "content": "a"}]] * 2,
        "rewards": {"accuracy_reward": [1.0, NAN]},
        "extra": {"accuracy_reward_reason": ["correct", "timeout"]},
        "advantages": [0.5, 0.0],
    }
    rows = to_rollouts(3, logs).to_pylist()
    assert rows[1] == {
        "step": 3, "prompt": "q", "completion": "a", "accuracy_reward": None,
        "accuracy_reward_reason": "timeout", "advantage": 0.0,
    }  # fmt: skip


def test_a_column_of_details_has_the_same_type_whether_or_not_a_batch_has_some() -> None:
    def table(tests: list[str | None]) -> pyarrow.Table:
        logs = {"prompt": ["q"], "completion": ["a"], "rewards": {"code_reward": [1.0]}, "advantages": [0.0]}
        return to_rollouts(1, {**logs, "extra": {"code_reward_tests": tests}})

    with_tests, without = table(['[{"result":"passed"}]']), table([None])
    assert with_tests.schema == without.schema


def test_the_order_of_an_epoch_does_not_depend_on_the_epochs_before_it() -> None:
    def order(sampler: EpochSampler, epoch: int) -> list[int]:
        sampler.set_epoch(epoch)
        return list(sampler)

    unbroken, resumed = (EpochSampler(range(20), 2, 4, 1, True, 7) for _ in range(2))
    first, second = order(unbroken, 0), order(unbroken, 1)
    assert order(resumed, 1) == second != first
