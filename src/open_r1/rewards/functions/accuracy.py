"""accuracy: 1 where the answer is the gold answer, by math-verify where plain comparison can't tell."""

from __future__ import annotations

from open_r1.answers.check import Verdict, check_answers
from open_r1.answers.verifier import Verifier
from open_r1.records import Outcome
from open_r1.rewards.base import Columns, RewardFunction, RewardSpec, optional_column


def verdicts_of(texts: list[str], columns: Columns, verifier: Verifier | None = None) -> list[Verdict]:
    """The verdict on each completion against its `solution`; a column `ordered` says where a list's order matters."""
    ordered = optional_column(columns, "ordered", len(texts), default=False)
    return check_answers(columns["solution"], texts, verifier, ordered)


def get_accuracy_reward(verifier: Verifier | None = None) -> RewardFunction:
    """The reward with a verifier of its own; by default that of the process."""

    def score(texts: list[str], columns: Columns) -> list[Outcome]:
        return [verdict.outcome for verdict in verdicts_of(texts, columns, verifier)]

    return RewardFunction("accuracy_reward", score, needs_columns=("solution",))


accuracy_reward = get_accuracy_reward()

REWARD = RewardSpec(
    name="accuracy",
    function_name="accuracy_reward",
    build=lambda settings: accuracy_reward,
    summary="1 if the answer equals the gold answer, 0 if not; unscored if the gold can't be read",
    formula=r"r = 1 if answer ≡ gold, else 0",
    source="DeepSeek-R1 (arXiv:2501.12948), section 2.2.2; equivalence by math-verify",
    needs_columns=("solution",),
)
