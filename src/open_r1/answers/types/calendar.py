"""Dates and times of day: `3:30 PM` is `15:30`, `March 5, 2020` is `2020-03-05`, `3/4/2020` is nothing but itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError

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
_PLAIN_CLOCK = re.compile(r"0\d:\d\d|\d{1,2}:\d\d:\d\d")


@dataclass(frozen=True)
class Moment:
    """A date or a time, as far as it is given; `is_open` where only the text shows whether it is a time or a ratio."""

    kind: str
    parts: tuple[int | str, ...]


def read(gold: str) -> Moment | None:
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


def are_equal(gold: Moment, answer: str, comparison: Comparison) -> bool:
    found = _read_time(answer) if gold.kind == "time" else _read_date(answer)
    if found is None:
        raise NotOfTypeError
    if gold.kind != "time":
        return found == gold
    return _hours(gold) == _hours(found) if gold.parts[3] or found.parts[3] else gold == found


def _hours(moment: Moment) -> tuple[int | str, ...]:
    """The time on a clock of 24 hours."""
    hour, minute, second, half = moment.parts
    assert isinstance(hour, int)
    if half in {"am", "pm"}:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return (hour, minute, second)


TYPE = AnswerType("date or time", read, are_equal)
