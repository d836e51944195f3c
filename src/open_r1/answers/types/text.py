"""Words, in any script: equal letter by letter, whatever their case, spaces and hyphens. Never by algebra."""

from __future__ import annotations

import re

from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError

_MARKUP = re.compile(r"[\\^_={}<>|]")
_LETTER = re.compile(r"[^\W\d_]")
_SOFT = re.compile(r"[\s.\-'’\"!,:()]")


def read(gold: str) -> str | None:
    """The words, folded to one spelling; None where there are none."""
    return _folded(gold) if _LETTER.search(gold) and not _MARKUP.search(gold) else None


def _folded(text: str) -> str:
    folded = _SOFT.sub("", text)
    return folded.casefold() if len(folded) > 1 else folded


def are_equal(gold: str, answer: str, comparison: Comparison) -> bool:
    if not _LETTER.search(answer):
        raise NotOfTypeError
    return _folded(answer) == gold


TYPE = AnswerType("text or word", read, are_equal)
