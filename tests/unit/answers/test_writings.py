"""The table of attacks: golds by kind, each with answers as language models write them, right and wrong.

None of the rows is taken from another table: they were written to find what the answer layer gets wrong.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from open_r1.answers.check import check_answers

ROWS = [
    json.loads(line) for line in Path(__file__).with_name("writings.jsonl").read_text(encoding="utf-8").splitlines()
]
SENTENCE = r"The work is done. So \boxed{{{answer}}}"


@pytest.mark.parametrize("kind", list(dict.fromkeys(row["kind"] for row in ROWS)))
def test_every_writing_of_a_kind_gets_its_verdict(verifier, kind):
    rows = [row for row in ROWS if row["kind"] == kind]
    pairs = [(row["gold"], answer, side) for row in rows for side in ("right", "wrong") for answer in row[side]]
    completions = [SENTENCE.format(answer=answer) for _, answer, _ in pairs]
    verdicts = check_answers([gold for gold, _, _ in pairs], completions, verifier)
    found = zip(pairs, verdicts, strict=True)
    assert [pair for pair, verdict in found if verdict.outcome.value != float(pair[2] == "right")] == []
