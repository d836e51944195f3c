r"""The answer layer: what a completion answers, and whether that is the gold answer.

Does: find the answer of a completion and of a gold text, bring both into one spelling, and decide whether they are
equivalent, each decision with a reason. Shared by rewards, trace verification, pass rates and evaluation. Does not:
import sympy; pairs that need algebra go to a `Verifier`.

    >>> check_answer("1/2", r"<think>\nhalf of it\n</think>\n<answer>\n\boxed{0.5}\n</answer>").reason
    'correct'

Where the answer of a completion is looked for, first found first taken:
1. only what stands after the last `</think>`; in thinking that never ended there is no answer;
2. in the last `<answer>` block: its last box, else an anchored answer in it, else the block itself if it is short;
3. the last box;
4. what follows an anchor: "the answer is", "Answer:", "####", "答案是";
5. the whole text when it is a single short line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from open_r1.answers.boxes import last_boxed
from open_r1.answers.choices import read_choice
from open_r1.answers.copied import is_copied
from open_r1.answers.equivalence import NeedsAlgebra, are_equivalent, needs_algebra
from open_r1.answers.latex import MAX_CHARS, canonical
from open_r1.answers.reasons import SCORES, Reason
from open_r1.answers.verifier import Pair, Verifier, default_verifier
from open_r1.records import Outcome
from open_r1.text.tags import last_answer_block
from open_r1.text.thinking import visible_part

Gold = str | int | float | None
"""A gold as data sets have it: a text, a bare number, or nothing."""

Source = Literal["boxed", "answer_block", "anchored", "bare"]

BARE_CHARS = 120
"""A longer text without box or anchor is prose, not an answer."""


@dataclass(frozen=True)
class Extraction:
    """An answer as it was written, and where it stood."""

    text: str
    source: Source


@dataclass(frozen=True)
class Verdict:
    """The decision on one completion; `answer` and `gold` are what was compared, None where nothing was found."""

    reason: Reason
    answer: str | None
    gold: str | None

    @property
    def is_correct(self) -> bool:
        return self.reason == "correct"

    @property
    def outcome(self) -> Outcome:
        """1.0 or 0.0, or unscored where the fault isn't the answer's."""
        return Outcome(SCORES[self.reason], self.reason)


_MATH = r"\$\$(?P<dd>[^$]+)\$\$|\$(?P<d>(?:\\.|[^$\n\\])*(?:\\.|[^$\s\\]))\$|\\\((?P<p>.+?)\\\)|\\\[(?P<b>.+?)\\\]"
_ANCHOR = re.compile(
    r"\b(?:answers?|correct\s+(?:option|choice))\b[^.\n]{0,60}?(?:\b(?:is|are)\b|[:：=])"
    r"(?!\s*(?:(?:in)?correct|verified|confirmed|consistent|reasonable|valid)\b)[\s*_:]*"
    r"|\bfinal\s+answer[\s*_]*\n\s*"
    r"|####(?!\s*[A-Z][a-z]+[^\n]*\n\s*\S)\s*"  # not a heading with text below it
    r"|答案[^。\n]{0,20}?(?:是|为|：|:)\s*",
    re.IGNORECASE,
)
_AFTER_ANCHOR = re.compile(rf"\s*(?:{_MATH}|(?P<line>[^\n]+))", re.DOTALL)
_ALTERNATIVE = re.compile(
    rf"\s*,?\s*(?P<joint>,|\bor\b|\band\b|或|和)\s*(?:{_MATH}|(?P<n>[-+]?\d[\d./]*(?<!\.)))", re.DOTALL | re.IGNORECASE
)
_STATEMENT_END = re.compile(r"[\s*_]*(?:$|[.。;；!！\n<])")
_SENTENCE_END = re.compile(r"[.。!！](?:\s|$)|\*\*|<|,\s+(?!and\b|or\b)[a-z]{2,}\s")
_PROSE_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}(?![A-Za-z])")
_ANY_MATH = re.compile(_MATH, re.DOTALL)

_CHOICE, _CHOICES = re.compile(r"[A-J]"), re.compile(r"[A-J]{2,10}")
_COMMA_NUMBERS = re.compile(r"-?\d+(?:,-?\d+)+")
_FORMULA_MARK = re.compile(r"[\\^_={(<>]|\d\D+\d")
_PHRASE = re.compile(r"[A-Za-z]+(?:\s+[A-Za-z]+)+")

BARE_WORDS = 3
"""A whole text of more words is a sentence, or the beginning of one, and not an answer."""

PROSE_WORDS = 5
"""A text with so many words is prose, and not itself an answer."""

MAX_ALTERNATIVES = 20
"""So many formulas after one anchor are read as a list."""

MAX_ANCHORS = 50
"""So many anchors from the end are looked at, whatever a completion repeats."""


def extract_answer(completion: str) -> Extraction | None:
    """The answer that `completion` gives, or None; see the module for where it is looked for."""
    visible = visible_part(completion)
    block = last_answer_block(visible)
    if block and (found := _extract_from_block(block)):
        return found
    if (boxed := last_boxed(visible)) is not None:
        return Extraction(boxed, "boxed")
    if (anchored := _extract_anchored(visible)) is not None:
        return Extraction(anchored, "anchored")
    bare = visible.strip()
    return Extraction(bare, "bare") if block is None and _is_bare(bare) else None


@lru_cache(maxsize=16384)
def extract_gold(gold: str) -> str | None:
    """The answer in a gold text: a published solution, `#### 72`, `$x$`, or the bare answer; None if there is none.

    A box wins, then an anchor; a short text is the answer itself; in longer prose a single formula is. A phrase after an
    anchor ("the answer is forty three") is no gold that could be checked.
    """
    visible = visible_part(gold)
    if (boxed := last_boxed(visible)) is not None:
        return boxed
    block = last_answer_block(visible)
    if block:
        return block
    if (anchored := _extract_anchored(visible)) is not None:
        return None if _is_phrase(anchored) else anchored
    text = visible.strip()
    return _only_formula(text) if _is_prose(text) else text or None


def check_answer(
    gold: Gold,
    completion: str,
    verifier: Verifier | None = None,
    ordered: bool = False,
    problem: str | None = None,
) -> Verdict:
    """The verdict on one completion; see `check_answers`."""
    return check_answers([gold], [completion], verifier, [ordered], [problem])[0]


def check_answers(
    golds: Sequence[Gold],
    completions: Sequence[str],
    verifier: Verifier | None = None,
    ordered: Sequence[bool] | None = None,
    problems: Sequence[str | None] | None = None,
) -> list[Verdict]:
    """A verdict for each completion against the gold text in the same place.

    Identical text, plain numbers, words, and lists of them are compared here, in microseconds. What needs algebra is
    sent to `verifier` (by default the shared one, started when first needed) in one batch, equal pairs once.

    Args:
        golds: Gold texts, as data sets have them; None or an unreadable one gives "unparsable_gold".
        ordered: True where the order of a bare list matters (`sort 3, 1, 2`); by default it doesn't.
        problems: The texts of the problems, where they are known. An answer that stands in its problem as a formula, and
            equals the gold by its value but not by its writing, gets the reason "copied": it is the task handed back.
    """
    flags = [False] * len(golds) if ordered is None else ordered
    drafts = [_draft(*case) for case in zip(golds, completions, flags, strict=True)]
    pairs = [draft for draft in drafts if isinstance(draft, Pair)]
    settled = iter((verifier or default_verifier()).check(pairs) if pairs else [])
    verdicts = [
        Verdict(next(settled), draft.answer, draft.gold) if isinstance(draft, Pair) else draft for draft in drafts
    ]
    return verdicts if problems is None else list(map(_without_copy, verdicts, problems))


def _without_copy(verdict: Verdict, problem: str | None) -> Verdict:
    """The verdict, "copied" in place of "correct" where the answer is the problem's own formula in other words."""
    answer = verdict.answer
    if problem is None or answer is None or not verdict.is_correct or answer == verdict.gold:
        return verdict
    return replace(verdict, reason="copied") if is_copied(answer, problem) else verdict


def _draft(gold_text: Gold, completion: str, ordered: bool) -> Verdict | Pair:
    """The verdict as far as plain comparison goes; a pair where algebra is needed."""
    gold = None if gold_text is None else _canonical_gold(str(gold_text))
    extraction = extract_answer(completion)
    if not gold:
        return Verdict("unparsable_gold", extraction and extraction.text[:MAX_CHARS], None)
    if extraction is None:
        return Verdict("no_answer", None, gold)
    return compare(gold, extraction.text, ordered)


def compare(gold: str, answer_text: str, ordered: bool) -> Verdict | Pair:
    """The verdict on an answer that has been extracted, or the pair to be settled by algebra."""
    if len(answer_text) > MAX_CHARS:
        return Verdict("unparsable_answer", answer_text[:MAX_CHARS], gold)
    answer = _as_choice(gold, answer_text) or _as_list(gold, answer_text) or canonical(answer_text)
    if not answer:
        return Verdict("no_answer", answer_text, gold)
    try:
        is_equivalent = are_equivalent(gold, answer, needs_algebra, ordered)
    except NeedsAlgebra:
        return Pair(gold, answer, ordered)
    return Verdict("correct" if is_equivalent else "wrong", answer, gold)


def _as_choice(gold: str, answer_text: str) -> str | None:
    """The letters that an answer chooses, where the gold is one letter or several; None where it can't be read so."""
    if _CHOICE.fullmatch(gold):
        return read_choice(answer_text)
    is_several = _CHOICES.fullmatch(gold) and list(gold) == sorted(set(gold))
    if not is_several or not (several := _CHOICES.fullmatch(re.sub(r"[\s,;、]|\band\b", "", answer_text))):
        return None
    return "".join(sorted(several[0]))


def _as_list(gold: str, answer_text: str) -> str | None:
    """`100,200,300` as three numbers and not one, where the gold is three numbers."""
    bare = answer_text.strip("$ ")
    is_list = _COMMA_NUMBERS.fullmatch(bare) and _COMMA_NUMBERS.fullmatch(gold) and bare.count(",") == gold.count(",")
    return bare if is_list else None


@lru_cache(maxsize=16384)
def _canonical_gold(gold_text: str) -> str | None:
    if gold_text.strip().lower() in {"", "nan"}:  # how tables write a gap
        return None
    gold = extract_gold(gold_text)
    return canonical(gold) if gold and len(gold) <= MAX_CHARS else None


def has_readable_gold(gold: Gold) -> bool:
    """Whether a gold holds an answer that completions can be compared with."""
    return gold is not None and bool(_canonical_gold(str(gold)))


def _extract_from_block(block: str) -> Extraction | None:
    if (boxed := last_boxed(block)) is not None:
        return Extraction(boxed, "boxed")
    if (anchored := _extract_anchored(block)) is not None:
        return Extraction(anchored, "anchored")
    if (formula := _only_formula(block)) is not None:
        return Extraction(formula, "answer_block")
    return None if _is_prose(block) else Extraction(block, "answer_block")


def _is_bare(text: str) -> bool:
    """Whether a whole text can be an answer: one short line, in which words and formulas are not mixed."""
    if not 0 < len(text) <= BARE_CHARS or "\n" in text or "\\boxed" in text or _is_prose(text):
        return False
    words = len(_PROSE_WORD.findall(canonical(text)))
    return words == 0 or (words <= BARE_WORDS and not _FORMULA_MARK.search(text))


def _is_prose(text: str) -> bool:
    return len(text) > MAX_CHARS or len(_PROSE_WORD.findall(text)) >= PROSE_WORDS


def _is_phrase(text: str) -> bool:
    """Words of running text, as in "the answer is forty three": a gold that nothing but itself could be equal to."""
    return _PHRASE.fullmatch(text) is not None


def _only_formula(text: str) -> str | None:
    """The one formula of a text, however often it stands there; None when there are several or none."""
    formulas = {_math_of(match) for match in _ANY_MATH.finditer(text)}
    return formulas.pop() if len(formulas) == 1 else None


def _extract_anchored(text: str) -> str | None:
    """What follows the last anchor that something readable follows."""
    anchors = list(_ANCHOR.finditer(text))[-MAX_ANCHORS:]
    for anchor in reversed(anchors):
        following = _AFTER_ANCHOR.match(text, anchor.end(), anchor.end() + MAX_CHARS)
        if following and (answer := _answer_of(text, following)):
            return answer
    return None


def _answer_of(text: str, match: re.Match[str]) -> str:
    if match["line"] is None:
        return _with_alternatives(text, match)
    line = match["line"]
    end = _SENTENCE_END.search(line.lstrip("*"))
    return (line.lstrip("*")[: end.start()] if end else line).strip()[:BARE_CHARS]


def _with_alternatives(text: str, first: re.Match[str]) -> str:
    """`$2$ or $3$` as `2, 3`: guesses, or the several answers that were asked for."""
    formulas, end, is_list = [_math_of(first)], first.end(), False
    while len(formulas) < MAX_ALTERNATIVES and (more := _ALTERNATIVE.match(text, end, end + MAX_CHARS)):
        formulas.append(more["n"] or _math_of(more))
        is_list |= more["joint"].lower() in {"or", "或"}
        end = more.end()
    return ", ".join(formulas) if is_list or _STATEMENT_END.match(text, end) else formulas[0]


def _math_of(match: re.Match[str]) -> str:
    return next(text for text in (match["dd"], match["d"], match["p"], match["b"]) if text is not None).strip()
