"""accuracy: 1 where the answer is the gold answer, by math-verify where plain comparison can't tell."""

from __future__ import annotations

from open_r1.answers.check import Verdict
from open_r1.answers.verifier import Verifier
from open_r1.records import Outcome
from open_r1.rewards.answer_reward import AnswerReward
from open_r1.rewards.base import Columns
from open_r1.rewards.spec import Example, RewardSpec

__all__ = ["accuracy_reward", "get_accuracy_reward"]


def get_accuracy_reward(verifier: Verifier | None = None) -> AnswerReward:
    """The reward with a verifier of its own; by default that of the process."""
    return AnswerReward("accuracy_reward", _value, verifier)


def _value(texts: list[str], columns: Columns, verdicts: list[Verdict]) -> list[Outcome]:
    return [verdict.outcome for verdict in verdicts]


accuracy_reward = get_accuracy_reward()

REWARD = RewardSpec(
    name="accuracy",
    build=lambda settings: accuracy_reward,
    kind="answer",
    summary="1 if the answer equals the gold answer, 0 if not; unscored if the gold can't be read",
    formula=r"r = 1 if answer ≡ gold, else 0",
    source="DeepSeek-R1 (arXiv:2501.12948), section 2.2.2; equivalence by math-verify",
    needs_columns=("solution",),
    example=Example(r"So it is \boxed{0.5}.", {"solution": r"\frac12"}),
    cases={
        rf"\boxed{{{answer}}}": Example(rf"So it is \boxed{{{answer}}}.", {"solution": r"\frac12"})
        for answer in ("1/2", r"50\%", "0.5", "2", "1/2 or 2")
    }
    | {"no answer": Example("It could be one of several values, and none is certain.", {"solution": r"\frac12"})},
    is_default=True,
    verifies=("solution", "answer"),
)
