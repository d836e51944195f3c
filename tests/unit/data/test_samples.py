"""The samples that ship with the package are correct, varied, and named like any data set."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from open_r1.data.sources import open_rows
from open_r1.data.sources.samples import FOLDER
from open_r1.errors import ConfigError, DataError
from open_r1.execution.sandbox.local import LocalProvider
from open_r1.rewards import get_code_reward

SAMPLES = {"word_problems": "question", "code": "problem"}


@pytest.mark.parametrize(("name", "column"), SAMPLES.items())
def test_a_hundred_different_rows_are_read_by_name(name: str, column: str) -> None:
    rows = list(open_rows(f"samples:{name}").read())
    assert len({row[column] for row in rows}) == len(rows) == 100


def test_samples_that_are_not_there_are_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no samples 'codes'; did you mean 'code'. Known: code, word_problems"):
        open_rows("samples:codes")
    with pytest.raises(ConfigError, match="unknown option 'n'"):
        open_rows("samples:code?n=3")


def test_the_files_are_those_that_the_script_writes(repo: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, repo / "scripts" / "make_samples.py", "--folder", tmp_path], check=True, timeout=60
    )
    for name in SAMPLES:
        assert (tmp_path / f"{name}.jsonl").read_text() == (FOLDER / f"{name}.jsonl").read_text()


def test_every_calculation_of_a_word_problem_is_right_and_the_last_is_the_answer() -> None:
    for row in open_rows("samples:word_problems").read():
        calculations = re.findall(r"<<([\d+*/-]+)=(\d+)>>", row["answer"])
        assert calculations and all(eval(formula) == int(result) for formula, result in calculations)
        assert row["answer"].endswith(f"\n#### {calculations[-1][1]}")


def test_every_program_passes_its_tests_and_another_does_not(local: LocalProvider) -> None:
    rows = list(open_rows("samples:code").read())
    tests = [row["verification_info"] for row in rows]
    code = get_code_reward(provider=local)
    right = [[{"role": "assistant", "content": row["solution"]}] for row in rows]
    wrong = [[{"role": "assistant", "content": "```python\nprint(input())\n```"}]] * len(rows)
    assert code(right, verification_info=tests) == [1.0] * 100
    assert max(code(wrong, verification_info=tests)) < 1.0
