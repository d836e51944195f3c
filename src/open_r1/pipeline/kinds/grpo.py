"""The stage `grpo`: reinforcement learning from verifiable rewards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from open_r1.pipeline.stage import StageName
from open_r1.pipeline.training_stage import TrainingStage


@dataclass(frozen=True)
class GRPOStage(TrainingStage):
    """Reinforcement learning of `model` on the RL problems of `problems`."""

    kind: ClassVar[str] = "grpo"
    inputs: ClassVar[tuple[str, ...]] = ("model", "problems")
    reads: ClassVar[str] = "rl.jsonl"

    model: StageName = StageName("sft")
    problems: StageName = StageName("problems")
