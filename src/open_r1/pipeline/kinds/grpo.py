"""The stage `grpo`: reinforcement learning from verifiable rewards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from open_r1.pipeline.stage import StageName, naming_stage
from open_r1.pipeline.training_stage import TrainingStage


@dataclass(frozen=True)
class GRPOStage(TrainingStage):
    """Reinforcement learning of `model` on the RL problems of `problems`."""

    kind: ClassVar[str] = "grpo"
    inputs: ClassVar[tuple[str, ...]] = ("model", "problems")
    reads: ClassVar[str] = "rl.jsonl"

    model: StageName = StageName("sft")
    problems: StageName = StageName("problems")

    def prepare(self, root: Path, seed: int) -> None:
        from open_r1.rewards import check_recipe

        arguments = self.arguments(root, seed)
        with naming_stage(self.name):
            check_recipe(arguments.script, arguments.training.reward_weights)

    def train(self, *stage: Any) -> Any:
        from open_r1.training.grpo import run_grpo

        return run_grpo(*stage)
