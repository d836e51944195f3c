"""GRPO with dynamic sampling on problems of which a known part is always solved alike, and a reward that knows them.

Run by several processes, it keeps what was trained on and the gradients in FOLDER/<processes>.pt.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from open_r1.training.dynamic_sampling import DynamicSamplingTrainer
from open_r1.training.prompt_stream import PromptStream
from open_r1.training.token_budget import TokenBudgetTrainer

PROBLEMS, GENERATIONS = 40, 4


def place_of(prompt: str) -> int:
    """The row of a problem."""
    return int(prompt.split()[1])


def is_dull(prompt: str, share: float = 0.5) -> bool:
    """Whether all samples of this problem earn the same."""
    return place_of(prompt) % 20 >= 20 * share


class Replayed:
    """Keeps what was sampled, said and trained on."""

    @classmethod
    def over(cls, base: Any) -> Any:
        """A trainer with dynamic sampling whose samples come from `base`."""
        return type("Trainer", (cls, DynamicSamplingTrainer, base), {})

    def _generate(self, prompts: list[str]) -> Any:
        if self.sampled is None:  # type: ignore[attr-defined]
            self.prompts_sampled += prompts
        return super()._generate(prompts)  # type: ignore[misc]

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        self.outputs.append(super()._generate_and_score_completions(inputs))  # type: ignore[misc]
        return self.outputs[-1]


class Fixed:
    """Completions that depend on the problem and on whether the sample is an odd one, in place of the model's own."""

    def _generate_single_turn(self, prompt_ids: Any, *args: Any) -> tuple[list[list[int]], None]:
        ends = self.eos_token_ids[:1]  # type: ignore[attr-defined]
        starts = [[270 + (sum(ids) + number % 2) % 50] for number, ids in enumerate(prompt_ids)]
        return [start * (1 + sum(ids) % 7) + ends for start, ids in zip(starts, prompt_ids, strict=True)], None


def make_trainer(trainer_class: Any, model: Path, folder: Path, share: float = 0.5, **changes: Any) -> Any:
    """A trainer of three steps of four groups, of whose problems `share` is solved sometimes."""

    def reward(prompts: list[str], completions: list[str], log_extra: Any, **_: Any) -> list[float]:
        log_extra("place", [place_of(prompt) for prompt in prompts])
        log_extra("seen", list(completions))
        return [float(number % 2) if not is_dull(prompt, share) else 1.0 for number, prompt in enumerate(prompts)]

    arguments = {
        "output_dir": str(folder), "use_cpu": True, "bf16": False, "report_to": "none", "max_steps": 3,
        "num_generations": GENERATIONS, "max_completion_length": 12, "per_device_train_batch_size": 16, "beta": 0.0,
        "logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "gradient_checkpointing": False,
    }  # fmt: skip
    trainer = trainer_class(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        reward_funcs=reward,
        args=GRPOConfig(**{**arguments, **changes}),
        train_dataset=Dataset.from_list([{"prompt": f"Compute {number} + 1"} for number in range(PROBLEMS)]),
        processing_class=AutoTokenizer.from_pretrained(model),
    )
    trainer.stream = PromptStream(PROBLEMS, trainer.args.seed, shuffles=True)
    trainer.max_rounds = 2 if share < 0.5 else 10
    trainer.outputs, trainer.prompts_sampled, trainer.said = [], [], []
    trainer.report = trainer.said.append
    return trainer


def main(folder: Path) -> None:
    """Train by as many processes as were launched."""
    from replayed_grpo import KeepGradients, make_folder

    processes = int(os.environ.get("WORLD_SIZE", 1))
    torch.set_num_threads(1)
    model = folder / f"model-{processes}-{os.environ.get('RANK', 0)}"
    make_folder(model)
    kind = type("Trainer", (Fixed, Replayed, DynamicSamplingTrainer, TokenBudgetTrainer, GRPOTrainer), {})
    trainer = make_trainer(
        kind, model, folder / "out", per_device_train_batch_size=16 // processes, optim="sgd", max_grad_norm=0.0
    )
    kept = KeepGradients()
    trainer.add_callback(kept)
    trainer.train()
    if trainer.accelerator.is_main_process:
        flat = [torch.cat([step[name].flatten() for name in sorted(step)]) for step in kept.steps]
        torch.save({"prompts": list(trainer._logs["prompt"]), "gradients": flat}, folder / f"{processes}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
