"""Dynamic sampling: which groups are replaced, by which problems, and what TRL goes on with."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from replayed_sampling import GENERATIONS, PROBLEMS, Replayed, is_dull, make_trainer, place_of
from trl import GRPOTrainer

from open_r1.training.dynamic_sampling import DynamicSamplingTrainer, has_advantage
from open_r1.training.grpo import EpochSampler
from open_r1.training.prompt_stream import DifficultyPools, PromptStream, make_stream, pass_rate_of
from open_r1.training.slot_rollouts import SlotRolloutTrainer

NAN = math.nan


@pytest.mark.parametrize(
    ("rewards", "weights", "expected"),
    [
        ([[1.0], [1.0], [1.0]], [1.0], False),
        ([[1.0], [0.0], [1.0]], [1.0], True),
        ([[1.0], [NAN], [1.0]], [1.0], False),
        ([[NAN], [NAN], [NAN]], [1.0], False),
        ([[1.0], [NAN], [NAN]], [1.0], False),
        ([[1.0, 0.0], [1.0, 1.0]], [1.0, 0.0], False),
        ([[1.0, 0.0], [0.0, 1.0]], [0.5, 0.5], False),
        ([[1.0, NAN], [1.0, 0.1]], [1.0, 1.0], True),
        ([[1.0, 1.0, 1.0]] * 8, [1.0, 0.1, 0.1], False),
    ],
)
def test_a_group_has_an_advantage_where_the_weighted_rewards_of_scored_samples_differ(
    rewards: list[list[float]], weights: list[float], expected: bool
) -> None:
    assert has_advantage(rewards, weights, [True] * len(rewards), "sum_then_normalize") is expected


def test_each_reward_counts_alone_where_each_is_normalised_alone() -> None:
    rewards = [[1.0, 0.0], [0.0, 1.0]]
    assert not has_advantage(rewards, [0.5, 0.5], [True, True], "sum_then_normalize")
    assert has_advantage(rewards, [0.5, 0.5], [True, True], "normalize_then_sum")


def test_a_sample_outside_the_loss_gives_its_group_no_advantage_of_its_own() -> None:
    assert not has_advantage([[1.0], [0.0]], [1.0], [False, False], "sum_then_normalize")
    assert has_advantage([[1.0], [0.0]], [1.0], [True, False], "sum_then_normalize")


def test_the_stream_has_the_sampler_s_order_and_goes_on_where_it_stopped() -> None:
    stream, epochs = PromptStream(10, 7, shuffles=True), EpochSampler(range(10), 1, 1, 1, True, 7)
    found = [problem for count in (3, 1, 5, 11) for problem in stream.take(count)]
    expected = []
    for epoch in (0, 1):
        epochs.set_epoch(epoch)
        expected += list(epochs)
    assert found == expected
    assert PromptStream(3, 7, shuffles=False).take(5) == [0, 1, 2, 0, 1]


def test_every_problem_is_sampled_equally_often_however_many_a_generation_takes() -> None:
    stream = PromptStream(7, 0, shuffles=True)
    counts = Counter(problem for count in (3, 9, 1, 2, 6) for problem in stream.take(count))
    assert set(counts.values()) == {3}


def test_a_stream_resumes_from_its_state() -> None:
    def make() -> PromptStream:
        return PromptStream(9, 3, True, DifficultyPools([None] * 9, 1.0, 0.0, 0.5, retires=True))

    unbroken, resumed = make(), make()
    for problem in unbroken.take(13):
        assert unbroken.pools is not None
        unbroken.pools.observe(problem, problem % 3 / 2, unbroken.epoch)
    resumed.restore(unbroken.state())
    assert resumed.take(30) == unbroken.take(30)


def test_an_easy_or_hard_problem_is_sampled_in_its_share_of_epochs_and_an_unknown_one_always() -> None:
    stream = PromptStream(4, 0, True, DifficultyPools([1.0, 0.0, 0.5, None], 1.0, 0.0, 0.25))
    counts = Counter(stream.take(900))
    assert counts[2] == pytest.approx(counts[3], abs=1)
    assert counts[0] / counts[2] == pytest.approx(0.25, abs=0.06)
    assert counts[1] / counts[2] == pytest.approx(0.25, abs=0.06)


def test_a_problem_that_training_solved_is_not_sampled_in_a_later_epoch() -> None:
    pools = DifficultyPools([None] * 4, retires=True)
    stream = PromptStream(4, 0, shuffles=False, pools=pools)
    for problem in stream.take(4):
        pools.observe(problem, 0.9 if problem < 2 else 0.8, stream.epoch)
    pools.observe(3, None, stream.epoch)
    assert stream.take(4) == [2, 3, 2, 3]
    assert pools.shares(stream.epoch) == {"easy": 0, "normal": 0.5, "hard": 0, "retired": 0.5}
    assert not stream.is_used_up


def test_where_all_problems_are_solved_they_are_sampled_in_order() -> None:
    stream = PromptStream(3, 0, shuffles=False, pools=DifficultyPools([1.0] * 3, 1.0, 0.0, 0.0))
    taken = stream.take(4)
    assert len(taken) == 4
    assert set(taken) <= {0, 1, 2}
    assert stream.is_used_up


def test_pass_rates_begin_with_the_column_of_the_data_and_go_by_the_rewards_that_judge() -> None:
    settings = SimpleNamespace(
        dynamic_sampling=False, difficulty_pools=True, no_positive_resampling=False, easy_threshold=0.8,
        hard_threshold=0.2, pool_fraction=0.0, seed=0, shuffle_dataset=None,
    )  # fmt: skip
    stream = make_stream(Dataset.from_dict({"prompt": ["a", "b", "c"], "pass_rate": [0.9, 0.5, None]}), settings)
    assert stream is not None
    assert set(stream.take(10)) == {1, 2}
    settings.difficulty_pools = False
    assert make_stream(Dataset.from_dict({"prompt": ["a"]}), settings) is None
    assert pass_rate_of(["accuracy", "code"], {"accuracy": 1.0, "code": NAN, "format": 0.0}) == 1.0
    assert pass_rate_of(["accuracy"], {"accuracy": NAN}) is None


@pytest.mark.parametrize("base", [GRPOTrainer, SlotRolloutTrainer], ids=lambda base: base.__name__)
def test_no_group_without_advantage_reaches_the_loss_whoever_samples(
    base: Any, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(type("Trainer", (Replayed, DynamicSamplingTrainer, base), {}), tiny_model, tmp_path)
    trainer.train()
    generations = trainer.outputs
    assert len(generations) == 3
    for output in generations:
        groups = output["advantages"].reshape(-1, GENERATIONS)
        assert bool((groups != 0).any(dim=1).all())
    assert all(not is_dull(prompt) for prompt in trainer._logs["prompt"])
    sampled = [row["dynamic_sampling/groups_sampled"] for row in trainer.state.log_history if "reward" in row]
    discarded = [row["dynamic_sampling/groups_discarded"] for row in trainer.state.log_history if "reward" in row]
    assert sum(sampled) - sum(discarded) == 3 * 4
    assert sum(discarded) >= 3


def test_a_group_whose_samples_earn_the_same_has_no_advantage_by_rounding_either(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(Replayed.over(GRPOTrainer), tiny_model, tmp_path, reward_weights=[0.7], num_generations=8)
    trainer.stream = None
    trainer.train()
    every = torch.cat([output["advantages"] for output in trainer.outputs]).reshape(-1, 8)
    assert {bool(group.any()) for group in every} == {True, False}
    logged = torch.tensor(list(trainer._logs["advantages"])).reshape(-1, 8)
    places = [place_of(prompt) for prompt in trainer._logs["prompt"]][::8]
    assert [bool(group.any()) for group in logged] == [not is_dull(f"Compute {place} + 1") for place in places]


def test_replaced_groups_come_from_further_problems_in_the_order_of_the_epoch(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(Replayed.over(GRPOTrainer), tiny_model, tmp_path)
    trainer.train()
    asked = [place_of(prompt) for prompt in trainer.prompts_sampled[::GENERATIONS]]
    assert asked == PromptStream(PROBLEMS, trainer.args.seed, shuffles=True).take(len(asked))


def test_what_rewards_log_stays_with_its_sample(tiny_model: Path, tmp_path: Path) -> None:
    trainer = make_trainer(Replayed.over(GRPOTrainer), tiny_model, tmp_path)
    trainer.train()
    logged = trainer._logs["extra"]
    assert list(logged["place"]) == [place_of(prompt) for prompt in trainer._logs["prompt"]]
    assert list(trainer._logs["completion"]) == list(logged["seen"])
    assert max(logged["sampling_round"]) > 1


def test_after_the_last_round_groups_without_advantage_take_the_places_left_and_it_is_said_once(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(Replayed.over(GRPOTrainer), tiny_model, tmp_path, share=0.0)
    trainer.train()
    assert len(trainer.said) == 1
    assert "after 2 rounds, 4 of 4 groups still have samples that all earn the same" in trainer.said[0]
    missing = [row["dynamic_sampling/groups_missing"] for row in trainer.state.log_history if "reward" in row]
    assert missing == [4.0] * 3
    assert all(not output["advantages"].any() for output in trainer.outputs)
    assert all(row["grad_norm"] == 0 for row in trainer.state.log_history if "grad_norm" in row)


def test_a_round_asks_for_as_many_problems_as_fill_the_places_at_the_rate_so_far(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(Replayed.over(GRPOTrainer), tiny_model, tmp_path)
    assert trainer._round_size(16, 0, 0) == 16
    assert trainer._round_size(16, 12, 16) == 6
    assert trainer._round_size(16, 2, 16) == 16
    assert trainer._round_size(16, 0, 32) == 16


@pytest.mark.slow
def test_two_processes_keep_the_groups_and_have_the_gradients_of_one(tmp_path: Path) -> None:
    script = Path(__file__).with_name("replayed_sampling.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ran = [
        subprocess.run(
            [*words, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=300
        )
        for words in ([sys.executable], launch)
    ]
    assert [one.returncode for one in ran] == [0, 0], ran[1].stderr[-3000:]
    one, two = (torch.load(tmp_path / f"{count}.pt") for count in (1, 2))
    assert one["prompts"] == two["prompts"]
    for first, second in zip(one["gradients"], two["gradients"], strict=True):
        assert float((first - second).abs().max()) < 1e-5 * float(first.abs().max())
