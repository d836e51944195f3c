"""What we lean on inside TRL and transformers; each fails when the pinned version's internals move."""

from __future__ import annotations

import inspect

import trl
from transformers import Trainer
from trl.trainer import grpo_trainer


def source(function: object) -> str:
    return inspect.getsource(function)  # type: ignore[arg-type]


def test_the_pinned_version_is_the_one_installed() -> None:
    assert trl.__version__.startswith("1.16.")


def test_rollouts_find_trl_s_logs_where_they_read_them() -> None:
    text = source(trl.GRPOTrainer._generate_and_score_completions)
    for key in ("prompt", "completion", "rewards", "advantages", "extra"):
        assert f'self._logs["{key}"]' in text, key


def test_the_share_of_groups_without_variance_stands_where_it_is_corrected() -> None:
    text = source(trl.GRPOTrainer._generate_and_score_completions)
    assert 'self._metrics[mode]["frac_reward_zero_std"].append(' in text


def test_the_sampler_that_is_made_epoch_aware_has_the_shape_it_is_rebuilt_from() -> None:
    from trl.trainer.utils import RepeatSampler

    parameters = list(inspect.signature(RepeatSampler).parameters)
    assert parameters == ["data_source", "mini_repeat_count", "batch_size", "repeat_count", "shuffle", "seed"]
    assert "set_epoch" not in vars(RepeatSampler), "TRL has its own now: ours can go"
    assert "underlying_sampler.set_epoch(epoch)" in source(Trainer._run_epoch)


def test_rewards_are_called_with_what_the_explained_reward_expects() -> None:
    text = source(trl.GRPOTrainer._calculate_rewards)
    assert "prompts=prompts, completions=completions, completion_ids=completion_ids_list, **reward_kwargs" in text
    assert 'reward_kwargs["log_extra"]' in text


def test_none_is_unscored_for_trl() -> None:
    assert "torch.nan" in source(trl.GRPOTrainer._calculate_rewards)
    assert "nanmean" in source(trl.GRPOTrainer._generate_and_score_completions)


def test_a_generation_is_reused_for_as_many_steps_as_the_checkpoint_check_assumes() -> None:
    text = source(trl.GRPOTrainer._prepare_inputs)
    assert "self.args.steps_per_generation * self.num_iterations" in text


def test_on_save_comes_after_the_whole_checkpoint_is_written() -> None:
    text = source(Trainer._maybe_log_save_evaluate)
    assert text.index("self._save_checkpoint(") < text.index("callback_handler.on_save(")


def test_the_training_template_is_only_swapped_where_markers_are_missing() -> None:
    assert "has_generation_markers" in source(trl.SFTTrainer.__init__)
    assert hasattr(grpo_trainer, "GRPOTrainer")
