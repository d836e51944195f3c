r"""The answer layer: whether what a completion answers is the gold answer.

The answer of a completion (`extraction`) and the gold are taken to one spelling (`latex`) and compared as the gold's type
says (`types`). Nothing here imports sympy: the few pairs that need it go to a `Verifier`.

    >>> check_answer("1/2", r"<think>\nhalf of it\n</think>\n<answer>\n\boxed{0.5}\n</answer>").reason
    'correct'
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from open_r1.answers.choices import plain_text
from open_r1.answers.extraction import extract_answer, extract_choice, extract_gold
from open_r1.answers.latex import MAX_CHARS, canonical
from open_r1.answers.reasons import SCORES, NeedsAlgebraError, Reason
from open_r1.answers.types import compare, type_of
from open_r1.answers.types.written import CHOICE
from open_r1.answers.verifier import Pair, Verifier, default_verifier
from open_r1.records import Outcome

Gold = str | int | float | None
"""A gold as data sets have it: a text, a bare number, or nothing."""

_log = logging.getLogger(__name__)

MAX_ONE_CHOICE = 5
"""A gold of several letters is longer: `(B).` has four characters."""

_PREFIX = re.compile(r"(?:the\s+)?(?:final\s+|correct\s+)?answer\s*(?:is\s*:?|[:=])\s*(?=\S)", re.IGNORECASE)
_COMMA_NUMBERS = re.compile(r"-?\d+(?:,-?\d+)+")


@dataclass(frozen=True)
class Verdict:
    """The decision on one completion; `answer` and `gold` are what was compared, None where nothing was found."""

    reason: Reason
    answer: str | None
    gold: str | None

    @property
    def is_correct(self) -> bool:
        """Whether the answer was found to equal the gold."""
        return self.reason == "correct"

    @property
    def outcome(self) -> Outcome:
        """1.0 or 0.0, or unscored where the fault isn't the answer's."""
        return Outcome(SCORES[self.reason], self.reason)


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

    What needs algebra is sent to `verifier` (by default the shared one, started when first needed) in one batch.

    Args:
        golds: Gold texts, as data sets have them; None or an unreadable one gives "unparsable_gold".
        ordered: True where the order of a bare list matters (`sort 3, 1, 2`); by default it doesn't.
        problems: The texts of the problems, where they are known. An answer that is a formula of its problem, and
            equals the gold by its value but not by its writing, gets the reason "copied": it is the task handed back.
    """
    flags = [False] * len(golds) if ordered is None else ordered
    drafts = [_draft(*case) for case in zip(golds, completions, flags, strict=True)]
    pairs = [draft for draft in drafts if isinstance(draft, Pair)]
    settled = iter(settle_pairs(pairs, verifier or default_verifier()) if pairs else [])
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


def settle_pairs(pairs: Sequence[Pair], verifier: Verifier) -> list[Reason]:
    """The verdicts of the algebra system. The gold against itself shows whose fault a failure is.

    Where that is settled in time, a time-out or a crash on the pair is the answer's doing, and its reason is worth 0; where
    it isn't, the gold is at fault.
    """
    reasons = verifier.check(pairs)
    failed = {pair.gold for pair, reason in zip(pairs, reasons, strict=True) if reason in {"timeout", "error"}}
    controls = [Pair(gold, gold) for gold in failed]
    is_sound = dict(zip(failed, (reason == "correct" for reason in verifier.check(controls)), strict=True))
    return [
        _blamed(reason, is_sound[pair.gold]) if reason in {"timeout", "error"} else reason
        for pair, reason in zip(pairs, reasons, strict=True)
    ]


def _blamed(reason: Reason, is_gold_sound: bool) -> Reason:
    if is_gold_sound:
        return "timeout" if reason == "timeout" else "unparsable_answer"
    return "gold_timeout" if reason == "timeout" else "error"


def _draft(gold_text: Gold, completion: str, ordered: bool) -> Verdict | Pair:
    gold = None if gold_text is None else _canonical_gold(str(gold_text))
    extraction = extract_answer(completion)
    if not gold:
        return Verdict("unparsable_gold", extraction and extraction.text[:MAX_CHARS], None)
    if type_of(gold) is CHOICE and len(gold) < MAX_ONE_CHOICE and (letter := extract_choice(completion)):
        return Verdict(_compared(gold, letter, ordered), letter, gold)
    if extraction is None:
        return Verdict("no_answer", None, gold)
    return _compare_text(gold, extraction.text, ordered)


def _compare_text(gold: str, answer_text: str, ordered: bool) -> Verdict | Pair:
    if len(answer_text) > MAX_CHARS:
        return Verdict("unparsable_answer", answer_text[:MAX_CHARS], gold)
    if type_of(gold) is CHOICE:
        answer = plain_text(answer_text)  # where spaces tell `E. coli` from `E.`
    else:
        answer = _as_list(gold, answer_text) or _canonical_answer(answer_text)
    if not answer:
        return Verdict("no_answer", answer_text, gold)
    try:
        return Verdict(_compared(gold, answer, ordered), answer, gold)
    except NeedsAlgebraError:
        return Pair(gold, answer, ordered)
    except RecursionError:  # nested deeper than any answer is
        return Verdict("unparsable_answer", answer, gold)
    except Exception:  # noqa: BLE001  a fault of ours must neither end a training run nor be worth more than a wrong answer
        _log.exception("the answer %r could not be compared with the gold %r", answer, gold)
        return Verdict("unparsable_answer", answer, gold)


_compared = lru_cache(maxsize=16384)(compare)


@lru_cache(maxsize=16384)
def _canonical_answer(text: str) -> str:
    answer = canonical(text)
    prefix = _PREFIX.match(answer)
    return canonical(answer[prefix.end() :]) if prefix else answer


def _as_list(gold: str, answer_text: str) -> str | None:
    """`100,200,300` as three numbers and not one, where the gold is three numbers."""
    if "," not in gold:
        return None
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
    """Whether a gold contains an answer that completions can be compared with."""
    return gold is not None and bool(_canonical_gold(str(gold)))


MAX_PROBLEM_CHARS = 100_000
"""Characters of a problem that are searched, from its end, where the question is."""

_FORMULA = re.compile(
    r"\$\$([^$]+)\$\$|\$((?:\\.|[^$\\])+)\$|\\\(((?:(?!\\\)).){1,4000})\\\)|\\\[((?:(?!\\\]).){1,4000})\\\]", re.DOTALL
)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{(?:align|equation|gather|eqnarray|split|multline)(?:ed)?\*?\}")
_NUMERAL = re.compile(r"[-+]?(?:\d+(?:[.,]\d+)*|\.\d+)(?:\\?%)?")
_FRACTION = re.compile(r"-?(?:\\frac\{-?(\d+)\}\{(\d+)\}|(\d+)/(\d+))")
_WORD_OR_LETTER = re.compile(r"[^\W\d_]+(?:[\s'’.-]+[^\W\d_]+)*")
_GLUE = re.compile(r"[A-Za-z0-9.]")
_POINTLESS = re.compile(r"\\left|\\right|[\s{}&]|\\cdot(?![A-Za-z])")


def is_copied(answer: str, problem: str) -> bool:
    """Whether `answer` is in `problem` as a formula, whole or as a part of one.

    Never for a bare numeral, a fraction in lowest terms, a word or a letter: they are answers wherever they stand.
    """
    spelled = canonical(answer[:MAX_CHARS])
    if not spelled or is_bare(spelled):
        return False
    sought = _squeezed(spelled)
    return any(_stands_in(sought, formula) for formula in _formulas(problem[-MAX_PROBLEM_CHARS:]))


def is_bare(answer: str) -> bool:
    """Whether a canonical answer is a numeral, a fraction in lowest terms, a word or a letter."""
    if _NUMERAL.fullmatch(answer) or _WORD_OR_LETTER.fullmatch(answer):
        return True
    if not (match := _FRACTION.fullmatch(answer)):
        return False
    top, bottom = (int(digits) for digits in match.groups() if digits)
    return bottom > 1 and math.gcd(top, bottom) == 1


@lru_cache(maxsize=1024)
def _formulas(problem: str) -> tuple[str, ...]:
    r"""The formulas of a problem, squeezed: what is between `$`, `\(` and `\[`; the whole text where none does."""
    found = ["".join(filter(None, match.groups())) for match in _FORMULA.finditer(problem)] or [problem]
    pieces = [piece[:MAX_CHARS] for formula in found for piece in _ENVIRONMENT.split(formula)]
    return tuple(dict.fromkeys(_squeezed(canonical(piece)) for piece in pieces if piece.strip()))


def _squeezed(spelled: str) -> str:
    """A spelling without what people leave out or put in: braces, spaces, the sign of a product."""
    return _POINTLESS.sub("", spelled)


def _stands_in(sought: str, formula: str) -> bool:
    start = formula.find(sought)
    while start >= 0:
        before, after = formula[start - 1 : start], formula[start + len(sought) : start + len(sought) + 1]
        if not (_is_glued(before, sought[0]) or _is_glued(sought[-1], after)):
            return True
        start = formula.find(sought, start + 1)
    return False


def _is_glued(left: str, right: str) -> bool:
    return bool(_GLUE.fullmatch(left) and _GLUE.fullmatch(right) and left.isalpha() == right.isalpha())
