"""Ratios: `2:4:6` is `1:2:3`, and `1:2` may be written `1/2`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.evaluation import TooLargeError, UndefinedError
from open_r1.answers.formula import Node, read_formula
from open_r1.answers.structure import split_top
from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError

_CLOCK = re.compile(r"\d{1,2}:[0-5]\d")
_LEADING_ZERO = re.compile(r"(?:^|:)0\d")


def read(gold: str) -> tuple[str, list[Node]] | None:
    """The ratio as it is written, and its parts."""
    parts = _parts(gold)
    return None if parts is None else (gold, parts)


def _parts(text: str) -> list[Node] | None:
    if ":" not in text or _LEADING_ZERO.search(text):
        return None
    nodes = [read_formula(part) for part in split_top(text, ":")]
    return None if len(nodes) < 2 or None in nodes else [node for node in nodes if node is not None]


def are_equal(gold: tuple[str, list[Node]], answer: str, comparison: Comparison) -> bool:
    text, parts = gold
    found = _parts(re.sub(r"(?<=[\d})])\s*to\s*(?=[\d\\(])", ":", answer))
    if found is None and len(parts) == 2 and (fraction := read_formula(answer)) and fraction.kind == "div":
        found = list(fraction.args)
    if found is None:
        raise NotOfTypeError
    if _CLOCK.fullmatch(text) and _CLOCK.fullmatch(answer):
        return found == parts  # they may be times of day
    return len(found) == len(parts) and _are_proportional(parts, found)


def _are_proportional(gold: Sequence[Node], answer: Sequence[Node]) -> bool:
    try:
        return all(
            are_values_equal(Node("mul", (gold[0], other)), Node("mul", (first, answer[0])))
            for first, other in zip(gold[1:], answer[1:], strict=True)
        )
    except (TooLargeError, UndefinedError):
        raise NotOfTypeError from None


TYPE = AnswerType("ratio", read, are_equal)
