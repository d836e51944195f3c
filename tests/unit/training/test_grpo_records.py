"""What GRPO keeps of its rollouts, and which problems and columns it starts from."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest
from datasets import Dataset, DatasetDict

from open_r1.errors import DataError
from open_r1.rewards import format_reward, get_code_reward
from open_r1.rewards.combination import zero_variance_share
from open_r1.training.grpo import (
    EpochSampler,
    check_generations,
    check_reward_columns,
    check_scorable,
    reward_tuples,
    to_rollouts,
)
from open_r1.training.lengths import drop_long_prompts
from open_r1.training.sft import cut_training_split, pick_eval_split

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


class OneTokenAWord:
    def apply_chat_template(
        self, messages: list[Any], add_generation_prompt: bool, return_dict: bool
    ) -> dict[str, Any]:
        assert add_generation_prompt
        return {"input_ids": messages[-1]["content"].split()}


def prompts(*lengths: int) -> DatasetDict:
    rows = [{"prompt": [{"role": "user", "content": "w " * length}]} for length in lengths]
    return DatasetDict({"train": Dataset.from_list(rows)})


def test_prompts_over_the_limit_are_left_out_and_counted() -> None:
    said: list[str] = []
    assert len(drop_long_prompts(prompts(2, 3, 4), OneTokenAWord(), 3, said.append)["train"]) == 2
    assert said == ["'train': left out 1 of 3 problems, over max_prompt_length = 3 tokens"]
    assert len(drop_long_prompts(prompts(2, 3, 4), OneTokenAWord(), None, said.append)["train"]) == 3
    assert len(drop_long_prompts(prompts(2), OneTokenAWord(), 2, said.append)["train"]) == 1
    assert len(said) == 1


def test_a_limit_that_leaves_no_problem_is_refused() -> None:
    with pytest.raises(
        DataError, match="none of the problems of split 'train' is within max_prompt_length = 1 tokens"
    ):
        drop_long_prompts(prompts(2), OneTokenAWord(), 1, print)


def test_a_column_that_a_reward_needs_and_the_data_lack_is_named() -> None:
    script = SimpleNamespace(reward_funcs=["format", "accuracy"], dataset_name=None)
    check_reward_columns(["prompt", "solution"], script)
    with pytest.raises(DataError, match="'accuracy' needs the column 'solution', which 'the mixture' does not have"):
        check_reward_columns(["prompt"], script)
    script.reward_funcs = ["code"]
    with pytest.raises(DataError, match="Found: prompt, verification; rename the data's column") as refused:
        check_reward_columns(["prompt", "verification"], script)
    assert "dataset_solution_column" not in str(refused.value)


def test_data_of_which_a_code_reward_can_score_no_row_are_refused() -> None:
    script = SimpleNamespace(reward_funcs=["code", "format"])
    rewards = [get_code_reward(), format_reward]
    good = {"language": "python", "test_cases": [{"input": "1", "output": "1", "type": "stdin_stdout"}]}
    bad = [None, {**good, "test_cases": []}, {**good, "language": "pyhton"}]
    check_scorable([{"verification_info": info} for info in [*bad, good]], rewards, script)
    with pytest.raises(
        DataError, match=r"'code' can score none of the 3 problems \(1 not_applicable, 1 \w+, 1"
    ) as refused:
        check_scorable([{"verification_info": info} for info in bad], rewards, script)
    assert "Its columns are verification_info" in str(refused.value)


@pytest.mark.parametrize(("most", "left"), [(None, 3), (0, 0), (2, 2), (3, 3), (9, 3)])
def test_only_the_training_split_is_cut_to_max_samples(most: int | None, left: int) -> None:
    splits = DatasetDict({"train": prompts(1, 2, 3)["train"], "test": prompts(1, 2, 3)["train"]})
    cut = cut_training_split(splits, SimpleNamespace(dataset_train_split="train", max_samples=most))
    assert (len(cut["train"]), len(cut["test"])) == (left, 3)


def test_the_evaluation_split_is_looked_for_only_when_evaluation_is_on() -> None:
    script = SimpleNamespace(dataset_test_split="test")
    off = SimpleNamespace(script=script, training=SimpleNamespace(eval_strategy="no"))
    on = SimpleNamespace(script=script, training=SimpleNamespace(eval_strategy=SimpleNamespace(value="steps")))
    assert pick_eval_split({"train": 1}, off) is None
    assert pick_eval_split({"test": 2}, on) == 2
    with pytest.raises(DataError, match=r"eval_strategy is 'steps' but there is no split 'test' \(found: train\)"):
        pick_eval_split({"train": 1}, on)


def test_problems_that_do_not_fill_a_generation_are_refused_with_the_numbers() -> None:
    training, said = SimpleNamespace(generation_batch_size=16, num_generations=4), []
    with pytest.raises(
        DataError, match=r"takes 4 problems \(16 completions, 4 a problem\), but there are 3; .* most 12"
    ):
        check_generations(3, training, said.append)
    check_generations(4, training, said.append)
    assert said == []
    check_generations(11, training, said.append)
    assert said == ["a generation takes 4 problems: each epoch leaves out 3 of 11"]
