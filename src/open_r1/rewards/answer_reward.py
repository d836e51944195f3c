"""Rewards that follow from the answer layer's verdicts on completions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from open_r1.answers.check import Verdict, check_answers
from open_r1.answers.verifier import Verifier
from open_r1.records import Outcome
from open_r1.rewards.base import Columns, RewardFunction, content_text, optional_column

Value = Callable[[list[str], Columns, list[Verdict]], list[Outcome]]
"""The completions' texts, all columns, a verdict for each -> an outcome for each."""


class AnswerReward(RewardFunction):
    """A reward that reads the verdict on each completion's answer against its `solution`.

    A column `ordered` says where the order of a list matters. Where the problem is known, from a trainer's `prompts` or from
    a column `problem` or `prompt`, its own formula handed back is not an answer.

    Args:
        name: Its `__name__`.
        value: What the verdicts are worth.
        verifier: Settles what needs algebra; by default the one that the process shares.
    """

    def __init__(self, name: str, value: Value, verifier: Verifier | None = None) -> None:
        super().__init__(name, self._score, needs_columns=("solution",))
        self._value, self._verifier = value, verifier

    def judge(self, **columns: Any) -> list[tuple[Outcome, Verdict]]:
        """Each completion's outcome, with the verdict that it follows from."""
        return self._judge(self.texts_of(columns), columns)

    def _score(self, texts: list[str], columns: Columns) -> list[Outcome]:
        return [outcome for outcome, _ in self._judge(texts, columns)]

    def _judge(self, texts: list[str], columns: Columns) -> list[tuple[Outcome, Verdict]]:
        ordered = optional_column(columns, "ordered", len(texts), default=False)
        verdicts = check_answers(columns["solution"], texts, self._verifier, ordered, problems_of(columns))
        return list(zip(self._value(texts, columns, verdicts), verdicts, strict=True))


def problems_of(columns: Columns) -> list[str | None] | None:
    """The text of each completion's problem: the last user's turn of its prompt; None where no column has one."""
    for name in ("prompts", "problem", "prompt"):
        column = columns.get(name)
        if column is not None and len(column) > 0:
            return [_last_question(prompt) for prompt in column]
    return None


def _last_question(prompt: Any) -> str | None:
    if prompt is None or isinstance(prompt, str):
        return prompt
    turns = [message for message in prompt if message.get("role") == "user"]
    return content_text(turns[-1].get("content")) if turns else None
