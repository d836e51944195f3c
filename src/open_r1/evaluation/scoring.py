"""What makes an answer right in an evaluation: the same answer layer as in training. Programs are in `programs`."""

from __future__ import annotations

from collections.abc import Sequence

from open_r1.answers.check import check_answers, has_readable_gold
from open_r1.answers.choices import LETTERS, plain_text
from open_r1.answers.extraction import extract_answer, extract_choice
from open_r1.answers.latex import MAX_CHARS
from open_r1.records import Outcome, Problem

MARKS = ("", "{letter}", "({letter})", "{letter})", "{letter}.", "{letter}:")
"""The forms of a letter before an option that is written out."""


def score_answers(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    """Each completion's answer against its problem's gold; a list may be in any order unless the problem is `ordered`."""
    verdicts = check_answers(
        [problem.gold for problem in problems],
        completions,
        ordered=[bool(problem.metadata.get("ordered")) for problem in problems],
        problems=[problem.prompt for problem in problems],
    )
    return [Outcome(verdict.outcome.value, verdict.reason, {"answer": verdict.answer}) for verdict in verdicts]


def find_unreadable_gold(problem: Problem) -> str | None:
    """Why a problem's gold can't be compared with anything, None where it can."""
    return None if has_readable_gold(problem.gold) else f"no answer can be read in its gold {problem.gold[:80]!r}"


def score_choice(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    """The letter that is chosen, or whose option is written out, against the gold letter."""
    outcomes = []
    for completion, problem in zip(completions, problems, strict=True):
        letter = choose(completion, problem.metadata["options"])
        reason = "no_answer" if letter is None else "correct" if letter == problem.gold else "wrong"
        outcomes.append(Outcome(float(letter == problem.gold), reason, {"answer": letter}))
    return outcomes


def choose(completion: str, options: Sequence[str]) -> str | None:
    """The letter of the option that a completion names; None where it names none, several, or one that does not exist."""
    found = extract_answer(completion)
    text = found.text.strip() if found else ""
    letter = _option_written(text, options) or extract_choice(completion)
    said = squeezed(text)[1:].lstrip(".:,)-")
    if letter and any(
        said == squeezed(option) for other, option in zip(LETTERS, options, strict=False) if other != letter
    ):
        return None  # a letter beside the text of another option
    return letter if letter and letter in LETTERS[: len(options)] else None


def _option_written(text: str, options: Sequence[str]) -> str | None:
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
    """A text without the spaces, styles and full stop that do not tell options apart."""
    return plain_text(text).replace(" ", "").rstrip(".")
