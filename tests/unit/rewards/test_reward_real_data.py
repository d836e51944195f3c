"""The answer layer on published data: every gold equals itself, whatever it is wrapped in, and no other.

The data are not part of the project: they are looked for in `../shared/data` beside the checkout, or in the folder that
OPEN_R1_TEST_DATA names.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from open_r1.rewards import check_answers

DATA = Path(os.environ.get("OPEN_R1_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"NO REAL DATA at {DATA}: set OPEN_R1_TEST_DATA to a folder with math500.jsonl and so on"
)

EQUAL_NEIGHBOURS = {("x=5", "5"), ("7", "7"), ("3", "3")}
"""Neighbouring problems of MATH-500 that have the same answer."""

MATH_TRAIN_WITHOUT_GOLD = 4
"""Rows of MATH-train whose `answer` is null (2) or empty (2)."""


def read(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def math_500() -> list[dict[str, str]]:
    return read("math500.jsonl")


GOLD_FORMS = {
    "raw": lambda row: row["answer"],
    "dollars": lambda row: f"${row['answer']}$",
    "boxed": lambda row: rf"\boxed{{{row['answer']}}}",
    "solution": lambda row: row["solution"],
}


@pytest.mark.parametrize("form", GOLD_FORMS)
def test_every_solution_of_math_500_is_right_whatever_form_the_gold_has(math_500, verifier, form):
    golds = [GOLD_FORMS[form](row) for row in math_500]
    verdicts = check_answers(golds, [row["solution"] for row in math_500], verifier)
    assert Counter(verdict.reason for verdict in verdicts) == {"correct": 500}


@pytest.mark.parametrize("name", ["gsm8k_train.jsonl", "gsm8k_test.jsonl"])
def test_every_gold_of_gsm8k_equals_its_number_boxed(verifier, name):
    golds = [row["answer"] for row in read(name)]
    completions = [rf"So it is \boxed{{{gold.rpartition('#### ')[2]}}}." for gold in golds]
    assert Counter(v.reason for v in check_answers(golds, completions, verifier)) == {"correct": len(golds)}


@pytest.mark.parametrize("dress", [r"\boxed{%s}", "<answer>%s</answer>", r"<answer>\boxed{ %s }</answer>"])
def test_every_answer_of_math_train_equals_itself(verifier, dress):
    golds = [row["answer"] for row in read("math_train.jsonl")]
    verdicts = check_answers(golds, [dress.replace("%s", str(gold)) for gold in golds], verifier)
    assert Counter(verdict.reason for verdict in verdicts) == {
        "correct": len(golds) - MATH_TRAIN_WITHOUT_GOLD,
        "unparsable_gold": MATH_TRAIN_WITHOUT_GOLD,
    }


def test_no_solution_of_math_500_is_right_for_the_next_problem(math_500, verifier):
    golds = [row["answer"] for row in math_500]
    verdicts = check_answers(golds[1:] + golds[:1], [row["solution"] for row in math_500], verifier)
    accepted = {(verdict.gold, verdict.answer) for verdict in verdicts if verdict.is_correct}
    assert accepted == EQUAL_NEIGHBOURS
    assert Counter(verdict.reason for verdict in verdicts) == {"wrong": 497, "correct": 3}


def test_aime_solutions_that_box_an_answer_are_right(verifier):
    rows = read("aime24.jsonl")
    verdicts = check_answers([row["answer"] for row in rows], [row["solution"] for row in rows], verifier)
    assert Counter(verdict.reason for verdict in verdicts) == {"correct": 26, "no_answer": 4}
