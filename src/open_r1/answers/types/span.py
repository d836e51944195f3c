"""Numerals joined by hyphens: ranges, scores, phone numbers. They are compared part by part and never subtracted."""

from __future__ import annotations

import re

from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError

_SPAN = re.compile(r"\d+(?:\.\d+)?(?:\s*-{1,3}\s*\d+(?:\.\d+)?)+")
_SAID = re.compile(r"(?:from\s+)?(\d+(?:\.\d+)?)\s*(?:to|through|~|\\sim)\s*(\d+(?:\.\d+)?)")
_HYPHENS = re.compile(r"\s*-{1,3}\s*")


def read(gold: str) -> tuple[str, ...] | None:
    """The parts as they are written."""
    return tuple(_HYPHENS.split(gold)) if _SPAN.fullmatch(gold) else None


def are_equal(gold: tuple[str, ...], answer: str, comparison: Comparison) -> bool:
    said = _SAID.fullmatch(answer)
    parts = said.groups() if said else read(answer)
    if parts is None:
        raise NotOfTypeError
    return parts == gold


TYPE = AnswerType("range or score", read, are_equal)
