"""GRPO's rollouts by the slot engine: the settings decide who samples, and the run's seed decides what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from open_r1.training.slot_rollouts import SlotRolloutTrainer


def make_trainer(trainer_class: Any, model: Path, folder: Path, **changes: Any) -> Any:
    arguments = {"output_dir": str(folder), "use_cpu": True, "bf16": False, "report_to": "none", "num_generations": 4}
    tokenizer = AutoTokenizer.from_pretrained(model)
    return trainer_class(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(**{**arguments, "max_completion_length": 12, "per_device_train_batch_size": 4, **changes}),
        train_dataset=Dataset.from_list([{"prompt": "Compute 1+2"}] * 4),
        processing_class=tokenizer,
    )


def sample(trainer: Any, prompts: list[list[int]]) -> Any:
    torch.manual_seed(3)
    ids, logprobs = trainer._generate_single_turn(prompts, None, {}, 4)
    assert logprobs is None
    return ids


PROMPTS = [[20, 21, 22]] * 4 + [[30, 31]] * 4


def test_the_seed_of_the_run_decides_what_is_sampled(tiny_model: Path, tmp_path: Path) -> None:
    trainer = make_trainer(SlotRolloutTrainer, tiny_model, tmp_path)
    first, second = sample(trainer, PROMPTS), sample(trainer, PROMPTS)
    assert first == second
    assert len({tuple(ids) for ids in first}) == 8
    assert all(len(ids) <= 12 for ids in first)
    assert all(len(ids) == 12 or ids[-1] in trainer.eos_token_ids for ids in first)


def test_nearly_greedy_rollouts_are_those_of_stock_trl(tiny_model: Path, tmp_path: Path) -> None:
    changes = {"temperature": 1e-4}
    ours = sample(make_trainer(SlotRolloutTrainer, tiny_model, tmp_path, **changes), PROMPTS)
    assert ours == sample(make_trainer(GRPOTrainer, tiny_model, tmp_path, **changes), PROMPTS)


@pytest.mark.parametrize(
    "changes",
    [{"top_k": 5}, {"min_p": 0.1}, {"repetition_penalty": 1.1}, {"generation_kwargs": {"no_repeat_ngram_size": 2}}],
    ids=lambda changes: "-".join(changes),
)
def test_sampling_that_the_engine_does_not_know_stays_with_trl(
    tiny_model: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    ours = sample(make_trainer(SlotRolloutTrainer, tiny_model, tmp_path, **changes), PROMPTS)
    assert ours == sample(make_trainer(GRPOTrainer, tiny_model, tmp_path, **changes), PROMPTS)


class WeightCasts(TorchDispatchMode):
    """Counts the copies of a weight, known by its shape, into another dtype."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape, self.count = shape, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._to_copy.default and args[0].shape == self.shape:
            self.count += 1
        return func(*args, **(kwargs or {}))


def test_mixed_precision_casts_the_weights_once_a_generation(tiny_model: Path, tmp_path: Path) -> None:
    trainer = make_trainer(SlotRolloutTrainer, tiny_model, tmp_path, bf16=True)
    trainer.model_wrapped = trainer.accelerator.prepare_model(trainer.model)
    with WeightCasts(trainer.model.model.layers[0].mlp.down_proj.weight.shape) as casts:
        sample(trainer, PROMPTS)
    assert casts.count == 1


@pytest.mark.parametrize("changes", [{}, {"top_k": 5}], ids=["engine", "trl"])
def test_settings_of_the_models_own_change_no_sample(
    tiny_model: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    plain = sample(make_trainer(SlotRolloutTrainer, tiny_model, tmp_path, **changes), PROMPTS)
    trainer = make_trainer(SlotRolloutTrainer, tiny_model, tmp_path, **changes)
    own = trainer.model.generation_config
    own.update(no_repeat_ngram_size=1, repetition_penalty=1.7, min_p=0.9, suppress_tokens=[ids[0] for ids in plain])
    assert sample(trainer, PROMPTS) == plain
    assert trainer.model.generation_config is own, "the saved model keeps them"
