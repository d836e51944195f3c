"""cosine: a correct answer is worth more when short, a wrong one costs less when long, along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from open_r1.answers.check import Verdict
from open_r1.errors import ConfigError
from open_r1.records import Outcome
from open_r1.rewards.base import Columns, RewardFunction, RewardSpec, setting
from open_r1.rewards.functions.accuracy import verdicts_of


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
        low, high = (
            (self.min_value_correct, self.max_value_correct)
            if is_correct
            else (self.max_value_wrong, self.min_value_wrong)
        )
        progress = min(1.0, length / self.max_len)
        return low + 0.5 * (high - low) * (1.0 + math.cos(math.pi * progress))


def get_cosine_scaled_reward(
    min_value_wrong: float = -1.0,
    max_value_wrong: float = -0.5,
    min_value_correct: float = 0.5,
    max_value_correct: float = 1.0,
    max_len: int = 1000,
) -> RewardFunction:
    """The cosine-scaled accuracy reward (arXiv:2502.03373); ConfigError for a `max_len` below 1."""
    scale = CosineScale(min_value_wrong, max_value_wrong, min_value_correct, max_value_correct, max_len)

    def score(texts: list[str], columns: Columns) -> list[Outcome]:
        verdicts = verdicts_of(texts, columns)
        return [_outcome(verdict, scale, len(text)) for verdict, text in zip(verdicts, texts, strict=True)]

    return RewardFunction("cosine_scaled_reward", score, needs_columns=("solution",))


def _outcome(verdict: Verdict, scale: CosineScale, length: int) -> Outcome:
    if not verdict.outcome.is_scored:
        return verdict.outcome
    return Outcome(scale.value(verdict.is_correct, length), verdict.reason)


OPTIONS = ("min_value_wrong", "max_value_wrong", "min_value_correct", "max_value_correct", "max_len")

REWARD = RewardSpec(
    name="cosine",
    function_name="cosine_scaled_reward",
    build=lambda settings: get_cosine_scaled_reward(
        **{option: setting(settings, f"cosine_{option}", getattr(CosineScale, option)) for option in OPTIONS}
    ),
    summary="accuracy scaled by length: short and right is best, short and wrong is worst",
    formula="r = min + ½·(max - min)·(1 + cos(π·min(1, len / max_len))); wrong answers swap min and max",
    source="Demystifying Long Chain-of-Thought Reasoning (arXiv:2502.03373)",
    needs_columns=("solution",),
    options=tuple(f"cosine_{option}" for option in OPTIONS),
)
