"""The answer layer on labelled pairs made from public reports about other verifiers, and on formulas copied from problems.

The data are not part of the project: they are looked for in `../shared/data` beside the checkout, or in the folder that
OPEN_R1_TEST_DATA names.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from open_r1.answers.check import check_answers
from open_r1.answers.latex import canonical

DATA = Path(os.environ.get("OPEN_R1_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))

pytestmark = pytest.mark.skipif(
    not (DATA / "answers" / "cases.jsonl").is_file(),
    reason=f"NO LABELLED PAIRS at {DATA}/answers: set OPEN_R1_TEST_DATA to a folder with answers/cases.jsonl",
)

FORMULA = re.compile(r"\$\$([^$]+)\$\$|\$((?:\\.|[^$\\])+)\$|\\\[(.+?)\\\]", re.DOTALL)
SAMPLE = 10
"""Every tenth problem of MATH is looked at here, and all of them in `benchmarks/answers.py`."""


def read(name: str) -> list[dict]:
    with (DATA / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_labelled_pairs_get_their_verdict(verifier):
    rows = read("answers/cases.jsonl")
    verdicts = check_answers([row["gold"] for row in rows], [row["completion"] for row in rows], verifier)
    values = [verdict.outcome.value for verdict in verdicts]
    right = [value for row, value in zip(rows, values, strict=True) if row["right"]]
    wrong = [value for row, value in zip(rows, values, strict=True) if not row["right"]]
    assert wrong.count(1.0) <= 0.01 * len(wrong)
    assert right.count(1.0) >= 0.93 * len(right)
    assert values.count(None) <= 0.005 * len(values)


def test_a_formula_of_the_problem_is_not_its_answer(verifier):
    rows = [row for name in ("math500.jsonl", "math_train.jsonl") for row in read(name)][::SAMPLE]
    cases = [
        (row["answer"], next(filter(None, match.groups())), row["problem"])
        for row in rows
        if row["answer"]
        for match in FORMULA.finditer(row["problem"])
    ]
    golds, formulas, problems = map(list, zip(*cases, strict=True))
    verdicts = check_answers(golds, [rf"\boxed{{{formula}}}" for formula in formulas], verifier, None, problems)
    accepted = [
        case
        for case, verdict in zip(cases, verdicts, strict=True)
        if verdict.is_correct and not is_numeral_or_word(case[1]) and canonical(case[1]) != verdict.gold
    ]
    assert len(accepted) <= 1, accepted
    assert sum(verdict.reason == "copied" for verdict in verdicts) >= 20


def is_numeral_or_word(formula: str) -> bool:
    return re.fullmatch(r"[\s\d.,%]+|\W*[A-Za-z]\W*|\s*\\[dt]?frac\s*\{?\d+\}?\s*\{?\d+\}?\s*", formula) is not None


def test_no_solution_of_math_500_is_lost_where_its_problem_is_known(verifier):
    rows = read("math500.jsonl")
    columns = ([row[name] for row in rows] for name in ("answer", "solution", "problem"))
    golds, solutions, problems = columns
    verdicts = check_answers(golds, solutions, verifier, None, problems)
    assert all(verdict.is_correct for verdict in verdicts)
