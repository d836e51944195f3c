"""cosine: a correct answer is worth more when short, a wrong one costs less when long, along half a cosine."""

from __future__ import annotations

import math
from collections.abc import Callable

from open_r1.answers.check import Verdict
from open_r1.configs.ranges import COUNT
from open_r1.errors import ConfigError
from open_r1.records import Outcome
from open_r1.rewards.answer_reward import AnswerReward
from open_r1.rewards.spec import Curve, Example, RewardSetting, RewardSpec

__all__ = ["get_cosine_scaled_reward"]


DEFAULTS = {"min_value_wrong": -1.0, "max_value_wrong": -0.5, "min_value_correct": 0.5, "max_value_correct": 1.0}
MAX_LEN = 1000


def get_cosine_scaled_reward(
    min_value_wrong: float = DEFAULTS["min_value_wrong"],
    max_value_wrong: float = DEFAULTS["max_value_wrong"],
    min_value_correct: float = DEFAULTS["min_value_correct"],
    max_value_correct: float = DEFAULTS["max_value_correct"],
    max_len: int = MAX_LEN,
) -> AnswerReward:
    """The cosine-scaled accuracy reward (arXiv:2502.03373): the ends of two curves, and the characters to the flat end.

    min + ½ (max - min) (1 + cos(π · min(1, length / max_len))); a wrong answer swaps min and max.
    """
    if max_len <= 0:
        raise ConfigError(f"cosine_max_len must be positive, got {max_len}; give it in characters.")
    ends = {True: (min_value_correct, max_value_correct), False: (max_value_wrong, min_value_wrong)}

    def outcome(verdict: Verdict, text: str) -> Outcome:
        if not verdict.outcome.is_scored:
            return verdict.outcome
        low, high = ends[verdict.is_correct]
        share = 0.5 * (1.0 + math.cos(math.pi * min(1.0, len(text) / max_len)))
        return Outcome(low + (high - low) * share, verdict.reason)

    return AnswerReward("cosine_scaled_reward", lambda texts, columns, verdicts: [*map(outcome, verdicts, texts)])


def answer_of_length(answer: str) -> Callable[[int], Example]:
    """Completions of each length in characters that answer a question whose gold answer is 5."""
    return lambda length: Example(f"\\boxed{{{answer}}}".ljust(length), {"solution": "5"})


REWARD = RewardSpec(
    name="cosine",
    function_name="cosine_scaled_reward",
    build=lambda settings: get_cosine_scaled_reward(
        max_len=settings.cosine_max_len, **{name: getattr(settings, f"cosine_{name}") for name in DEFAULTS}
    ),
    kind="answer",
    summary="accuracy scaled by length: short and right is best, short and wrong is worst",
    formula="r = min + ½·(max - min)·(1 + cos(π·min(1, len / max_len))); wrong answers swap min and max",
    source="Demystifying Long Chain-of-Thought Reasoning (arXiv:2502.03373)",
    needs_columns=("solution",),
    settings=(
        *(
            RewardSetting(f"cosine_{name}", default, f"value of the {what} answer")
            for (name, default), what in zip(
                DEFAULTS.items(),
                ("shortest wrong", "longest wrong", "longest correct", "shortest correct"),
                strict=True,
            )
        ),
        RewardSetting("cosine_max_len", MAX_LEN, "length, in characters, at which the schedule ends", COUNT),
    ),
    example=answer_of_length("5")(0),
    curve=Curve(
        "length in characters (cosine_max_len 1000)",
        range(10, 1400, 5),
        {"correct": answer_of_length("5"), "wrong": answer_of_length("6")},
    ),
)
