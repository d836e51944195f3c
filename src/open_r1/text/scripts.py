r"""Which scripts a text is written in, and how much of it is in another than it should be.

Counted are words of prose: runs of two or more letters of an alphabet are a word (a single letter is a variable), and so
are two ideographs, kana or Hangul syllables. Not counted are code (fenced and in backticks), LaTeX formulas and commands,
addresses and tags. Greek is mathematics where it is alone. Languages that share a script are not distinguished.

    >>> foreign_share("First we add. 然后我们把两边都除以三得到答案。", "latin") > 0.5
    True
"""

from __future__ import annotations

import re
from typing import Literal

Script = Literal["latin", "cjk", "cyrillic", "arabic", "hebrew", "devanagari", "thai", "greek"]

LEAST_WORDS = 20
"""In a shorter text the share says nothing."""

_LETTERS: dict[Script, str] = {
    "latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
    "cyrillic": "\u0400-\u052f",
    "arabic": "\u0600-\u06ff\u0750-\u077f",
    "hebrew": "\u0590-\u05ff",
    "devanagari": "\u0900-\u097f",
    "thai": "\u0e00-\u0e7f",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
}
_WORDS: dict[Script, re.Pattern[str]] = {
    **{script: re.compile(f"[{letters}]{{2,}}") for script, letters in _LETTERS.items()},
    "cjk": re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"),
}
_CJK_PER_WORD = 2
DELIMITED = r"|(?<!\\)\\\((?:(?!(?<!\\)\\\().)+?\\\)|(?<!\\)\\\[(?:(?!(?<!\\)\\\[).)+?\\\]"
"""Formulas between brackets. None begins within another, so that a text of opening ones alone is read in linear time."""
_NO_PROSE = re.compile(
    r"```.*?(?:```|\Z)"
    r"|`[^`\n]+`"
    r"|\$\$.+?\$\$|\$[^$\n]+\$" + DELIMITED + r"|\\(?:begin|end|text|operatorname|mathrm)\s*\{[^{}]*\}|\\[A-Za-z]+"
    r"|https?://\S+|</?[A-Za-z][^<>]{0,40}>",
    re.DOTALL,
)


def count_words(text: str) -> dict[Script, float]:
    """Words of prose a script; scripts without any are left out."""
    prose = _NO_PROSE.sub(" ", text)
    counts: dict[Script, float] = {}
    if latin := len(_WORDS["latin"].findall(prose)):
        counts["latin"] = latin
    if prose.isascii():
        return counts
    for script, pattern in _WORDS.items():
        if script != "latin" and (found := len(pattern.findall(prose))):
            counts[script] = found / _CJK_PER_WORD if script == "cjk" else found
    return counts


def main_script(text: str) -> Script | None:
    """The script of most words of a text, None where it has none."""
    counts = count_words(text)
    return max(counts, key=lambda script: counts[script]) if counts else None


def foreign_share(text: str, script: Script) -> float:
    """The share of a text's words that are in another script; 0 in a text of fewer than `LEAST_WORDS`."""
    counts = count_words(text)
    total = sum(counts.values())
    return 0.0 if total < LEAST_WORDS else 1.0 - counts.get(script, 0.0) / total
