"""GRPO on completions and rewards that were fixed beforehand, by stock TRL and by ours: the gradients of each step.

Run by several processes, it prints the largest relative difference for each loss: `torchrun … replayed_grpo.py FOLDER`.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from open_r1.training.tiny_models import make_tokenizer
from open_r1.training.token_budget import TokenBudgetTrainer

PROMPTS, GENERATIONS = 12, 4
SAMPLES = PROMPTS * GENERATIONS
FIRST = int(os.environ.get("RANK", 0)) * 24
"""The first completion of this process."""


class Replay:
    """Completions that were fixed beforehand, in place of the model's own, and the gradients of each step."""

    def _generate_single_turn(self, prompt_ids: Any, *args: Any) -> tuple[list[list[int]], None]:
        ends: Any = ([], self.eos_token_ids[:1])  # type: ignore[attr-defined]
        return [COMPLETIONS[FIRST + number] + ends[number % 2] for number in range(len(prompt_ids))], None


class Stock(Replay, GRPOTrainer):
    pass


class Ours(Replay, TokenBudgetTrainer):
    pass


class KeepGradients(TrainerCallback):
    """The gradients of each optimizer step, before it."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        named = model.named_parameters()
        self.steps.append({name: value.grad.clone() for name, value in named if value.grad is not None})


rng = random.Random(0)
COMPLETIONS = [[rng.randrange(300, 400) for _ in range(rng.choice((2, 3, 5, 8, 13, 40)))] for _ in range(SAMPLES)]
VALUES = [
    float(rng.random() < 0.5) if number // GENERATIONS % 3 else 1.0 for number in range(SAMPLES)
]  # a third is dull


def replayed_reward(completions: Any, **_: Any) -> list[float]:
    return VALUES[FIRST : FIRST + len(completions)]


def make_folder(made: Path) -> None:
    """A model folder: TRL loads the reference model from where the policy came from."""
    tokenizer = make_tokenizer(["Compute 1+2", "a longer problem text"], 640)
    config = Qwen3Config(
        vocab_size=640, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, tie_word_embeddings=False, initializer_range=0.2,
    )  # fmt: skip
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).float().save_pretrained(made)
    tokenizer.save_pretrained(made)


def gradients(
    trainer_class: Any, folder: Path, adapter: Any = None, **changes: Any
) -> tuple[list[dict[str, torch.Tensor]], Any]:
    """The gradients of a short run and the trainer after it; with `adapter`, a LoRA configuration, those of the adapter."""
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    arguments = {
        "output_dir": str(folder / trainer_class.__name__),
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "seed": 1,
        "max_steps": 2,
        "per_device_train_batch_size": 6,
        "gradient_accumulation_steps": 4,
        "num_generations": GENERATIONS,
        "max_completion_length": 41,
        "learning_rate": 1e-3,
        "max_grad_norm": 0.0,
        "optim": "sgd",
        "beta": 0.0,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    kept = KeepGradients()
    torch.manual_seed(1)
    trainer = trainer_class(
        model=model,
        reward_funcs=replayed_reward,
        args=GRPOConfig(**{**arguments, **changes}),
        train_dataset=Dataset.from_list([{"prompt": "Compute " + "1+2 " * (1 + n)} for n in range(PROMPTS)]),
        processing_class=tokenizer,
        peft_config=adapter,
        callbacks=[kept],
    )
    trainer.train()
    return kept.steps, trainer


def largest_difference(first: list[dict[str, torch.Tensor]], second: list[dict[str, torch.Tensor]]) -> float:
    """The largest difference of any gradient, relative to the largest gradient of its step."""
    assert len(first) == len(second) > 0
    worst = 0.0
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        largest = max(float(value.abs().max()) for value in one.values())
        assert largest > 0
        worst = max(worst, max(float((one[name] - other[name]).abs().max()) for name in one) / largest)
    return worst


if __name__ == "__main__":
    torch.set_num_threads(1)
    for changes in ({"loss_type": "dapo"}, {"loss_type": "grpo"}, {"loss_type": "bnpo"}, {"beta": 0.1}):
        sides = [gradients(side, Path(sys.argv[1]), **changes)[0] for side in (Stock, Ours)]
        if not FIRST:
            print("gradients differ by", largest_difference(*sides), changes)
