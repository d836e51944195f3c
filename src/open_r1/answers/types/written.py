"""Types that are compared as they are written, never by algebra: letters, dates, ranges, numerals in a base, words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from open_r1.answers.choices import read_choice
from open_r1.answers.reasons import NotOfTypeError
from open_r1.answers.types.base import AnswerType, Comparison
from open_r1.answers.words import read_number_words

_ONE_CHOICE = re.compile(r"([A-J])[).:]?|\(([A-Ja-j])\)")
_SEVERAL_CHOICES = re.compile(r"\(?[A-J]\)?(?:\s*(?:,|;|&|/|\band\b|和|\s)?\s*\(?[A-J]\)?){1,9}")
_JOINTS = re.compile(r"[\s,;&()]|\band\b|和|\\&|\.$")


def read_choices(gold: str) -> str | None:
    """The letters, in order."""
    if match := _ONE_CHOICE.fullmatch(gold):
        return (match[1] or match[2]).upper()
    return _choice_letters(gold) if _SEVERAL_CHOICES.fullmatch(gold) else None


def _choice_letters(text: str) -> str | None:
    joined = _JOINTS.sub("", text)
    if not joined.isalpha() or not joined.isascii() or not joined.isupper() or max(joined) > "J":
        return None
    letters = "".join(sorted(joined))
    is_word = text.isalpha() and text != letters  # BCAD is an order, and not a choice of four
    return letters if len(set(joined)) == len(joined) > 1 and not is_word else None


def are_choices_equal(gold: str, answer: str, comparison: Comparison) -> bool:
    """Whether an answer names the same letters; in any order where something separates them."""
    found = read_choice(answer) if len(gold) == 1 else _choice_letters(answer)
    if found is None:
        raise NotOfTypeError
    return found == "".join(sorted(gold))


CHOICE = AnswerType("choice letter", read_choices, are_choices_equal)
"""`B`, `(B)`, `A, C`; a text or a formula chooses nothing."""

_MONTHS = (
    "january february march april may june july august september october november december".split()
)  # fmt: skip
_MONTH = "|".join([*_MONTHS, *(f"{name[:3]}\\.?" for name in _MONTHS), "sept\\.?"])
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:[a-z]+day,?\s*)?(?P<month>{_MONTH})\s*{_DAY}(?:,?\s*(?P<year>\d{{4}}))?",
        rf"(?:the\s+)?{_DAY}\s*(?:of\s+)?(?P<month>{_MONTH})(?:,?\s*(?P<year>\d{{4}}))?",
        rf"(?P<month>{_MONTH}),?\s*(?P<year>\d{{4}})",
    )
]
_ISO = re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})")
_SLASHED = re.compile(r"\d{1,2}/\d{1,2}/\d{4}|\d{4}/\d{1,2}/\d{1,2}")
_TIME = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?)?\s*(?P<half>[ap]m|noon|midnight)?",
    re.IGNORECASE,
)
_PLAIN_CLOCK = re.compile(r"0\d:\d\d|\d{1,2}:0\d|\d{1,2}:\d\d:\d\d")


@dataclass(frozen=True)
class Moment:
    """A date or a time, as far as it is given."""

    kind: str
    parts: tuple[int | str, ...]


def read_moment(gold: str) -> Moment | None:
    """The time of day if it says am or pm or has a clock's form, or else the date."""
    time = _read_time(gold)
    if time and (time.parts[3] or _PLAIN_CLOCK.fullmatch(gold)):
        return time
    return _read_date(gold)


def _read_date(text: str) -> Moment | None:
    for pattern in _DATES:
        if match := pattern.fullmatch(text):
            groups = match.groupdict()
            month = 1 + next(i for i, name in enumerate(_MONTHS) if name.startswith(groups["month"][:3].lower()))
            return Moment("date", (int(groups.get("year") or 0), month, int(groups.get("day") or 0)))
    if match := _ISO.fullmatch(text):
        return Moment("date", tuple(int(part) for part in match.groups()))
    return Moment("slashed", tuple(int(part) for part in text.split("/"))) if _SLASHED.fullmatch(text) else None


def _read_time(text: str) -> Moment | None:
    match = _TIME.fullmatch(text)
    if match is None or not (match["minute"] or match["half"]) or int(match["hour"]) > 24:
        return None
    half = (match["half"] or "").lower()
    return Moment("time", (int(match["hour"]), int(match["minute"] or 0), int(match["second"] or 0), half))


def are_moments_equal(gold: Moment, answer: str, comparison: Comparison) -> bool:
    """Whether an answer is the same date, or the same time on a clock of 24 hours."""
    found = _read_time(answer) if gold.kind == "time" else _read_date(answer)
    if found is None:
        raise NotOfTypeError
    if gold.kind != "time":
        return found == gold
    return _hours(gold) == _hours(found) if gold.parts[3] or found.parts[3] else gold == found


def _hours(moment: Moment) -> tuple[int | str, ...]:
    hour, minute, second, half = moment.parts
    assert isinstance(hour, int)
    if half in {"am", "pm"}:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return (hour, minute, second)


MOMENT = AnswerType("date or time", read_moment, are_moments_equal)
"""`3:30 PM` is `15:30`, `March 5, 2020` is `2020-03-05`, `3/4/2020` is nothing but itself."""

_SPAN = re.compile(r"\d+(?:\.\d+)?(?:\s*-{1,3}\s*\d+(?:\.\d+)?)+")
_SAID_SPAN = re.compile(r"(?:from\s+)?(\d+(?:\.\d+)?)\s*(?:to|through|~|\\sim)\s*(\d+(?:\.\d+)?)")
_REMAINDER = re.compile(r"(\d+)\s*,?\s*(?:remainder(?: of)?|[Rr])\s*(\d+)")
_HYPHENS = re.compile(r"\s*-{1,3}\s*")


def read_span(gold: str) -> tuple[str, ...] | None:
    """The parts as they are written; of `7 R 2` the quotient and the remainder."""
    if match := _REMAINDER.fullmatch(gold):
        return (match[1], "remainder", match[2])
    return tuple(_HYPHENS.split(gold)) if _SPAN.fullmatch(gold) else None


def are_spans_equal(gold: tuple[str, ...], answer: str, comparison: Comparison) -> bool:
    """Whether an answer has the same parts as written; `3 to 5` is `3-5`."""
    said = _SAID_SPAN.fullmatch(answer)
    parts = said.groups() if said else read_span(answer)
    if parts is None:
        raise NotOfTypeError
    return parts == gold


SPAN = AnswerType("range or score", read_span, are_spans_equal)
"""Numerals joined by hyphens: ranges, scores, phone numbers; compared part by part and never subtracted."""

_INDEXED = re.compile(
    r"\(?(?P<digits>-?[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)\)?_\{?\(?\s*(?P<base>\d{1,2}|[a-z]{3,9})\s*\)?\}?"
)
_SAID_BASE = re.compile(r"(?P<digits>-?[0-9A-Fa-f]+)\s*\(?(?:in\s+)?base\s*(?P<base>\d{1,2}|[a-z-]{3,9})\)?")
_PREFIXED = re.compile(r"0(?P<mark>[xXbBoO])(?P<digits>[0-9A-Fa-f]+)")
_BARE_DIGITS = re.compile(r"\(?(-?[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)\)?")
_PREFIX_BASES = {"x": 16, "b": 2, "o": 8}
_NAMED_BASES = {"binary": 2, "octal": 8, "decimal": 10, "hex": 16}


@dataclass(frozen=True)
class Based:
    """Digits in a base; `is_literal` for `0b101`, which nothing without a base means."""

    digits: str
    base: int
    is_literal: bool = False


def read_based(text: str) -> Based | None:
    """The numeral with its base; None where a digit does not belong to the base."""
    if match := _PREFIXED.fullmatch(text):
        return _checked(match["digits"], _PREFIX_BASES[match["mark"].lower()], is_literal=True)
    match = _INDEXED.fullmatch(text) or _SAID_BASE.fullmatch(text)
    if match is None or (len(match["digits"]) == 1 and not match["digits"].isdigit()):
        return None
    return _checked(match["digits"], _read_base(match["base"]))


def _read_base(text: str) -> int:
    named = read_number_words(text)
    return int(text) if text.isdigit() else _NAMED_BASES.get(text, int(named) if named else 0)


def _checked(digits: str, base: int, is_literal: bool = False) -> Based | None:
    """The numeral, when its digits are digits of its base."""
    if not 2 <= base <= 36:
        return None
    plain = digits.upper().lstrip("-").replace(".", "")
    return Based(_trimmed(digits), base, is_literal) if all(int(digit, 36) < base for digit in plain) else None


def _trimmed(digits: str) -> str:
    sign = "-" if digits.startswith("-") else ""
    return sign + (digits.upper().lstrip("-").lstrip("0") or "0")


def are_based_equal(gold: Based, answer: str, comparison: Comparison) -> bool:
    """Whether an answer has the same digits, in the same base or without one."""
    found = read_based(answer)
    if found is not None:
        return (found.digits, found.base) == (gold.digits, gold.base)
    match = _BARE_DIGITS.fullmatch(answer)
    if match is None:
        raise NotOfTypeError
    return not gold.is_literal and _trimmed(match[1]) == gold.digits


BASED = AnswerType("numeral in a base", read_based, are_based_equal)
"""`101_2`, `(2021)_9`, `FF_{16}`, `101 base two`. The base may be left out and never be changed."""

_MARKUP = re.compile(r"[\\^_={}<>|]")
_FIGURE = re.compile(
    r"\\(?:triangle|angle|overline|overrightarrow|overleftrightarrow|vec|widehat|odot|parallel|perp|cong|sim|square)(?![a-z])|[{}]"
)
_LETTER = re.compile(r"[^\W\d_]")
_ARTICLE = re.compile(r"^(?:the|an?)\s+(?=\S)", re.IGNORECASE)
_SOFT = re.compile(r"[\s.\-'’\"!,:()]")


def read_words(gold: str) -> str | None:
    """The words, folded to one spelling; None where there are none."""
    gold = _without_figures(gold)
    return _folded(gold) if _LETTER.search(gold) and not _MARKUP.search(gold) else None


def _without_figures(text: str) -> str:
    r"""`\triangle ABC` and `\overline{AB}` by their letters, in their order."""
    return _FIGURE.sub(" ", text) if "\\" in text else text


def _folded(text: str) -> str:
    folded = _SOFT.sub("", _ARTICLE.sub("", text))
    return folded.casefold() if len(folded) > 1 else folded


def are_words_equal(gold: str, answer: str, comparison: Comparison) -> bool:
    """Whether an answer has the same words, without figures and case."""
    if not _LETTER.search(answer):
        raise NotOfTypeError
    return _folded(_without_figures(answer)) == gold


WORDS = AnswerType("text or word", read_words, are_words_equal)
"""Words, in any script: equal letter by letter, whatever their case, spaces and hyphens."""
