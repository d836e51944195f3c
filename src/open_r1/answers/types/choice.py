"""Choice letters: `B`, `(B)`, `A, C`. An answer is read as `choices` reads it; a text or a formula chooses nothing."""

from __future__ import annotations

import re

from open_r1.answers.choices import read_choice
from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError

_ONE = re.compile(r"([A-J])[).:]?|\(([A-Ja-j])\)")
_SEVERAL = re.compile(r"\(?[A-J]\)?(?:\s*(?:,|;|&|/|\band\b|和|\s)?\s*\(?[A-J]\)?){1,9}")
_JOINTS = re.compile(r"[\s,;&()]|\band\b|和|\\&")


def read(gold: str) -> str | None:
    """The letters, in order."""
    if match := _ONE.fullmatch(gold):
        return (match[1] or match[2]).upper()
    letters = _letters(gold) if _SEVERAL.fullmatch(gold) else None
    is_word = gold.isalpha() and gold != letters  # BCAD is an order, and not a choice of four
    return None if is_word else letters


def _letters(text: str) -> str | None:
    joined = _JOINTS.sub("", text)
    if not joined.isalpha() or not joined.isascii() or not joined.isupper() or max(joined) > "J":
        return None
    return "".join(sorted(joined)) if len(set(joined)) == len(joined) > 1 else None


def are_equal(gold: str, answer: str, comparison: Comparison) -> bool:
    found = read_choice(answer) if len(gold) == 1 else _letters(answer)
    if found is None:
        raise NotOfTypeError
    return found == "".join(sorted(gold))


TYPE = AnswerType("choice letter", read, are_equal)
