"""Words, in any script: equal letter by letter, whatever their case, spaces and hyphens. Never by algebra."""

from __future__ import annotations

import re

from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError

_MARKUP = re.compile(r"[\\^_={}<>|]")
_FIGURE = re.compile(
    r"\\(?:triangle|angle|overline|overrightarrow|overleftrightarrow|vec|widehat|odot|parallel|perp|cong|sim|square)(?![a-z])|[{}]"
)
_LETTER = re.compile(r"[^\W\d_]")
_SOFT = re.compile(r"[\s.\-'’\"!,:()]")


def read(gold: str) -> str | None:
    """The words, folded to one spelling; None where there are none."""
    gold = _without_figures(gold)
    return _folded(gold) if _LETTER.search(gold) and not _MARKUP.search(gold) else None


def _without_figures(text: str) -> str:
    r"""`\triangle ABC` and `\overline{AB}` by their letters, in their order."""
    return _FIGURE.sub(" ", text) if "\\" in text else text


def _folded(text: str) -> str:
    folded = _SOFT.sub("", text)
    return folded.casefold() if len(folded) > 1 else folded


def are_equal(gold: str, answer: str, comparison: Comparison) -> bool:
    if not _LETTER.search(answer):
        raise NotOfTypeError
    return _folded(_without_figures(answer)) == gold


TYPE = AnswerType("text or word", read, are_equal)
