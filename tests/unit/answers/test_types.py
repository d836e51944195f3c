"""The table of types in the docs, row by row: each gold has the type of its row, and each answer the verdict."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from open_r1.answers.check import check_answer
from open_r1.answers.latex import canonical
from open_r1.answers.reasons import SCORES
from open_r1.answers.types import TYPES, type_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "concepts" / "answers.md"
ROW = re.compile(r"\| (?P<type>[a-z ,]+) \| `(?P<gold>[^`]+)` \| (?P<right>.*`) \| (?P<wrong>`.*) \|")
REASON = re.compile(r"\| `(?P<reason>\w+)` \| (?P<score>0|1|unscored) \|")


def rows() -> list[tuple[str, str, list[str], list[str]]]:
    text = PAGE.read_text(encoding="utf-8")
    return [
        (match["type"], match["gold"], *(re.findall(r"`([^`]+)`", match[side]) for side in ("right", "wrong")))
        for match in map(ROW.fullmatch, text.splitlines())
        if match
    ]


def pairs(side: int) -> list[tuple[str, str]]:
    return [(row[1], answer) for row in rows() for answer in row[side]]


def test_the_page_lists_every_type_in_the_order_of_the_registry():
    assert list(dict.fromkeys(row[0] for row in rows())) == [answer_type.name for answer_type in TYPES]


def test_the_page_lists_every_reason_with_its_score():
    listed = {match["reason"]: match["score"] for match in REASON.finditer(PAGE.read_text(encoding="utf-8"))}
    assert listed == {reason: "unscored" if score is None else f"{score:.0f}" for reason, score in SCORES.items()}


@pytest.mark.parametrize(("name", "gold"), [row[:2] for row in rows()])
def test_a_gold_has_the_type_of_its_row(name, gold):
    assert type_of(canonical(gold)).name == name


@pytest.mark.parametrize(("gold", "answer"), pairs(2))
def test_the_same_value_in_another_writing_is_right(verifier, gold, answer):
    assert check_answer(gold, rf"\boxed{{{answer}}}", verifier).reason == "correct"


@pytest.mark.parametrize(("gold", "answer"), pairs(3))
def test_another_value_or_another_type_is_wrong(verifier, gold, answer):
    assert check_answer(gold, rf"\boxed{{{answer}}}", verifier).outcome.value == 0.0
