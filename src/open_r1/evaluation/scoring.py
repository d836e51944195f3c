"""What makes an answer right in an evaluation: the same checker as in training. Programs are in `programs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from open_r1.answers.check import check_answers, extract_answer
from open_r1.answers.choices import LETTERS, find_choice, plain_text, read_choice
from open_r1.answers.latex import MAX_CHARS
from open_r1.records import Outcome, Problem
from open_r1.rewards import accuracy_reward
from open_r1.text.thinking import visible_part

if TYPE_CHECKING:
    from open_r1.evaluation.benchmarks.base import Question

MARKS = ("", "{letter}", "({letter})", "{letter})", "{letter}.", "{letter}:")
"""What may stand before an option that is written out."""


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
    """The letter of the option that a completion names; None where it names none, several, or one that there isn't."""
    found = extract_answer(completion)
    text = found.text.strip() if found else ""
    letter = option_written(text, options) or read_choice(text)
    if letter is None and (found is None or found.source != "boxed"):
        letter = find_choice(visible_part(completion))
    return letter if letter and letter in LETTERS[: len(options)] else None


def option_written(text: str, options: Sequence[str]) -> str | None:
    """The letter of the one option that `text` is, alone or after its letter, however it is spaced and styled."""
    for letter, option in zip(LETTERS, options, strict=False):
        if text.strip("$* ") == option:
            return letter
    if len(text) > MAX_CHARS:
        return None
    said = squeezed(text)
    letters = [
        letter
        for letter, option in zip(LETTERS, options, strict=False)
        if said in {mark.format(letter=letter) + squeezed(option) for mark in MARKS}
    ]
    return letters[0] if said and len(letters) == 1 else None


def squeezed(text: str) -> str:
    return plain_text(text).replace(" ", "").rstrip(".")


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
