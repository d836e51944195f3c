"""cosine: a correct answer is worth more when short, a wrong one costs less when long, along half a cosine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from open_r1.answers.check import Verdict
from open_r1.configs.ranges import COUNT
from open_r1.errors import ConfigError
from open_r1.records import Outcome
from open_r1.rewards.answer_reward import AnswerReward
from open_r1.rewards.spec import Curve, Example, RewardSetting, RewardSpec

__all__ = ["get_cosine_scaled_reward"]


@dataclass(frozen=True)
class CosineScale:
    """The four ends of the two curves, and the length in characters at which they are flat."""

    min_value_wrong: float = -1.0
    max_value_wrong: float = -0.5
    min_value_correct: float = 0.5
    max_value_correct: float = 1.0
    max_len: int = 1000

    def __post_init__(self) -> None:
        if self.max_len <= 0:
            raise ConfigError(f"cosine_max_len must be positive, got {self.max_len}; give it in characters.")

    def value(self, is_correct: bool, length: int) -> float:
        """min + ½ (max - min) (1 + cos(π · min(1, length / max_len))); a wrong answer swaps min and max."""
        low, high = self.max_value_wrong, self.min_value_wrong
        if is_correct:
            low, high = self.min_value_correct, self.max_value_correct
        return low + 0.5 * (high - low) * (1.0 + math.cos(math.pi * min(1.0, length / self.max_len)))


def get_cosine_scaled_reward(
    min_value_wrong: float = -1.0,
    max_value_wrong: float = -0.5,
    min_value_correct: float = 0.5,
    max_value_correct: float = 1.0,
    max_len: int = 1000,
) -> AnswerReward:
    """The cosine-scaled accuracy reward (arXiv:2502.03373); ConfigError for a `max_len` below 1."""
    scale = CosineScale(min_value_wrong, max_value_wrong, min_value_correct, max_value_correct, max_len)

    def outcome(verdict: Verdict, text: str) -> Outcome:
        scaled = Outcome(scale.value(verdict.is_correct, len(text)), verdict.reason)
        return scaled if verdict.outcome.is_scored else verdict.outcome

    return AnswerReward("cosine_scaled_reward", lambda texts, columns, verdicts: [*map(outcome, verdicts, texts)])


def answer_of_length(answer: str) -> Callable[[int], Example]:
    """Completions of each length in characters that answer a question whose gold answer is 5."""
    return lambda length: Example(f"\\boxed{{{answer}}}".ljust(length), {"solution": "5"})


REWARD = RewardSpec(
    name="cosine",
    function_name="cosine_scaled_reward",
    build=lambda settings: get_cosine_scaled_reward(
        settings.cosine_min_value_wrong,
        settings.cosine_max_value_wrong,
        settings.cosine_min_value_correct,
        settings.cosine_max_value_correct,
        settings.cosine_max_len,
    ),
    kind="answer",
    summary="accuracy scaled by length: short and right is best, short and wrong is worst",
    formula="r = min + ½·(max - min)·(1 + cos(π·min(1, len / max_len))); wrong answers swap min and max",
    source="Demystifying Long Chain-of-Thought Reasoning (arXiv:2502.03373)",
    needs_columns=("solution",),
    settings=(
        RewardSetting("cosine_min_value_wrong", CosineScale.min_value_wrong, "value of the shortest wrong answer"),
        RewardSetting("cosine_max_value_wrong", CosineScale.max_value_wrong, "value of the longest wrong answer"),
        RewardSetting(
            "cosine_min_value_correct", CosineScale.min_value_correct, "value of the longest correct answer"
        ),
        RewardSetting(
            "cosine_max_value_correct", CosineScale.max_value_correct, "value of the shortest correct answer"
        ),
        RewardSetting(
            "cosine_max_len", CosineScale.max_len, "length, in characters, at which the schedule ends", COUNT
        ),
    ),
    example=answer_of_length("5")(0),
    curve=Curve(
        "length in characters (cosine_max_len 1000)",
        range(10, 1400, 5),
        {"correct": answer_of_length("5"), "wrong": answer_of_length("6")},
    ),
)
