"""What we lean on inside TRL and transformers; each fails when the pinned version's internals move."""

from __future__ import annotations

import inspect

import trl
from transformers import Trainer


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


def test_rewards_are_called_with_what_the_adapter_expects() -> None:
    text = source(trl.GRPOTrainer._calculate_rewards)
    assert "prompts=prompts, completions=completions, completion_ids=completion_ids_list, **reward_kwargs" in text
    assert 'reward_kwargs["log_extra"]' in text
    assert "elif is_async_callable(reward_func):" in text
    assert "await asyncio.gather(*coros)" in text


def test_what_rewards_log_is_flushed_after_they_were_called() -> None:
    text = source(trl.GRPOTrainer._generate_and_score_completions)
    assert 0 < text.index("self._calculate_rewards(") < text.index("self._pending_extra_logs.clear()")
    assert text.index("self._calculate_rewards(") < text.index("self._pending_metrics.clear()")


def test_none_is_unscored_for_trl() -> None:
    assert "torch.nan" in source(trl.GRPOTrainer._calculate_rewards)
    assert "nanmean" in source(trl.GRPOTrainer._generate_and_score_completions)


def test_a_generation_is_reused_for_as_many_steps_as_the_checkpoint_check_assumes() -> None:
    text = source(trl.GRPOTrainer._prepare_inputs)
    assert "self.args.steps_per_generation * self.num_iterations" in text


def test_checkpoints_are_written_and_rotated_where_we_step_in() -> None:
    assert "self._save_checkpoint(model, trial)" in source(Trainer._maybe_log_save_evaluate)
    assert "save_total_limit=self.args.save_total_limit" in source(Trainer._save_checkpoint)
    assert {"epoch", "train_dataloader"} <= set(inspect.signature(Trainer._run_epoch).parameters)


def test_the_training_template_is_only_swapped_where_markers_are_missing() -> None:
    assert "not has_generation_markers(processing_class.chat_template)" in source(trl.SFTTrainer.__init__)


def test_a_sample_with_no_reward_at_all_is_left_out_of_its_group() -> None:
    text = source(trl.GRPOTrainer._generate_and_score_completions)
    assert "unscorable_mask = torch.isnan(rewards_per_func).all(dim=1)" in text
    assert "rewards[unscorable_mask] = torch.nan" in text


def test_completions_are_drawn_as_the_pre_flight_check_draws_them() -> None:
    text = source(trl.GRPOTrainer._generate)
    assert "return prompt_ids, completion_ids, tool_mask, completions, logprobs, extra_fields" in text
    assert "self.state.num_input_tokens_seen +=" in text, "what the check puts back"
    assert 'self._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}' in source(
        trl.GRPOTrainer.__init__
    )
    assert 'mode = "train" if self.model.training else "eval"' in text


def test_a_trainer_prepares_where_the_last_check_stands_and_before_trackers_start() -> None:
    assert list(inspect.signature(Trainer._prepare_for_training).parameters) == [
        "self", "max_steps", "train_dataloader", "resume_from_checkpoint",
    ]  # fmt: skip
    assert list(inspect.signature(Trainer._init_training_state).parameters)[4:] == ["resume_from_checkpoint", "trial"]
    loop = source(Trainer._inner_training_loop)
    assert loop.index("self._prepare_for_training(") < loop.index("on_train_begin(")


def test_the_update_finds_the_generation_where_it_regroups_it() -> None:
    text = source(trl.GRPOTrainer._prepare_inputs)
    assert "self._buffered_inputs = [" in text
    assert "inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]" in text
    assert "return self._compute_loss(model, inputs)" in source(trl.GRPOTrainer.compute_loss)


def test_each_loss_has_the_denominator_that_the_regrouped_samples_are_weighted_by() -> None:
    text = source(trl.GRPOTrainer._compute_loss)
    for formula in (
        'if self.loss_type in ["grpo", "sapo"]:',
        "loss = ((per_token_loss * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).mean()",
        'elif self.loss_type == "bnpo":\n            loss = (per_token_loss * mask).sum() / mask.sum().clamp(min=1.0)',
        "loss = (per_token_loss * mask).sum() / (per_token_loss.size(0) * self.max_completion_length)",
        'elif self.loss_type in ["cispo", "dapo", "vespo"]:',
        'normalizer = inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes',
        'elif self.loss_type == "luspo":',
    ):
        assert formula in text, formula


def test_log_probabilities_of_another_policy_are_computed_where_they_are_regrouped() -> None:
    parameters = list(inspect.signature(trl.GRPOTrainer._get_per_token_logps_and_entropies).parameters)
    assert parameters[:6] == ["self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size"]
    text = source(trl.GRPOTrainer._generate_and_score_completions)
    assert text.count("batch_size=batch_size,") == 3


def test_rollouts_are_sampled_where_the_engine_takes_over() -> None:
    parameters = list(inspect.signature(trl.GRPOTrainer._generate_single_turn).parameters)
    assert parameters[:3] == ["self", "prompt_ids", "images"]
    assert "return completion_ids, logprobs" in source(trl.GRPOTrainer._generate_single_turn)


def test_vllm_is_reached_on_a_cpu_where_its_parts_are_replaced() -> None:
    from trl.generation.vllm_generation import VLLMGeneration
    from trl.trainer import grpo_trainer

    assert "self.vllm_generation = VLLMGeneration(" in source(grpo_trainer.GRPOTrainer.__init__)
    start, sync = source(VLLMGeneration._init_vllm), source(VLLMGeneration.sync_weights)
    assert "self.llm = LLM(" in start and "self.vllm_client.init_communicator(" in start
    assert "model_runner.model.load_weights([(name, param)])" in sync and "self._iter_named_params()" in sync
    assert "model.unmerge_adapter()" in source(VLLMGeneration._iter_named_params)
    settings = source(VLLMGeneration.generate)
    for name in ("repetition_penalty", "temperature", "top_p", "top_k", "min_p", "max_tokens"):
        assert settings.count(f'"{name}":') == 2, f"{name}: a model's own would be applied unseen"


def test_dynamic_sampling_finds_what_it_samples_and_scores_with() -> None:
    text = source(trl.GRPOTrainer._generate_and_score_completions)
    assert "rewards_per_func = self._calculate_rewards(inputs, prompts, completions, completion_ids_list)" in text
    assert '"advantages": advantages,' in text
    assert (
        "return prompt_ids, completion_ids, tool_mask, completions, logprobs, extra_fields, images, tool_images"
        in (source(trl.GRPOTrainer._generate))
    )
    assert "self._pending_extra_logs[column].extend(values)" in source(trl.GRPOTrainer._log_completion_extra)
    assert "advantages / (std_rewards + 1e-4)" in text, "why a mean's rounding becomes an advantage"


def test_the_fused_loss_chooses_its_positions_where_the_choice_is_replaced() -> None:
    from trl.trainer import utils

    text = source(utils.add_fused_lm_head)
    assert "compact = _use_triton(hidden_states.device)" in text
    assert text.count("_use_triton(") == 1, "something else depends on it now"
    assert "hidden_states[mask] if compact else" in text
