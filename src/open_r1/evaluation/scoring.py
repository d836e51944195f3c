"""What makes an answer right in an evaluation: the same checker as in training. Programs are in `programs`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from open_r1.records import Outcome, Problem
from open_r1.rewards import accuracy_reward
from open_r1.rewards.answers import check_answers, extract_answer

if TYPE_CHECKING:
    from open_r1.evaluation.benchmarks.base import Question

LETTERS = "ABCDEFGHIJ"

_WRAPPER = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boxed)\s*\{([^{}]*)\}")
_LETTER = re.compile(
    r"\(?(?:(?:option|choice|answer)\s*)?\(?([A-J])\)?(?:[).:,]\s.*|[).:]|)", re.IGNORECASE | re.DOTALL
)


def score_answers(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    """Each completion's answer against its problem's gold; a list counts in any order unless the problem says `ordered`."""
    return accuracy_reward.score(
        list(completions),
        solution=[problem.gold for problem in problems],
        ordered=[bool(problem.metadata.get("ordered")) for problem in problems],
    )


def score_math(completions: Sequence[str], questions: Sequence[Question]) -> list[Outcome]:
    """By the answer layer: equal as a text, a number, a list, or by algebra."""
    verdicts = check_answers(
        [question.gold for question in questions],
        completions,
        ordered=[bool(question.columns.get("ordered")) for question in questions],
    )
    return [Outcome(verdict.outcome.value, verdict.reason, {"answer": verdict.answer}) for verdict in verdicts]


def score_choice(completions: Sequence[str], questions: Sequence[Question]) -> list[Outcome]:
    """The letter chosen, or the option written out, against the gold letter."""
    chosen = [
        choose(completion, question.columns.get("options", ()))
        for completion, question in zip(completions, questions, strict=True)
    ]
    return [
        Outcome(0.0, "no_answer", {"answer": None})
        if letter is None
        else Outcome(
            float(letter == question.gold), "correct" if letter == question.gold else "wrong", {"answer": letter}
        )
        for letter, question in zip(chosen, questions, strict=True)
    ]


def choose(completion: str, options: Sequence[str]) -> str | None:
    """The letter of the option that a completion names; None where it names none, or one that there isn't."""
    found = extract_answer(completion)
    if found is None:
        return None
    text = found.text.strip().strip("$*").strip()
    for letter, option in zip(LETTERS, options, strict=False):
        if text == option:
            return letter
    text = _WRAPPER.sub(r"\1", text).strip().strip("*").strip()
    match = _LETTER.fullmatch(text)
    letter = match[1].upper() if match else ""
    return letter if letter and letter in LETTERS[: len(options)] else None


def score_reasoning_gym(completions: Sequence[str], questions: Sequence[Question]) -> list[Outcome]:
    """By reasoning-gym's own scorers, in the sandbox."""
    from open_r1.rewards.functions.reasoning_gym import REWARD, answer_in

    outcomes = REWARD.build(None).score(
        list(completions), reasoning_gym=[question.columns["reasoning_gym"] for question in questions]
    )
    answers = [answer_in(completion) or None for completion in completions]
    return [
        Outcome(outcome.value, outcome.reason, {"answer": answer})
        for outcome, answer in zip(outcomes, answers, strict=True)
    ]
