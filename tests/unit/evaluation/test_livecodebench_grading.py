"""LiveCodeBench's own rules: lines, exact numbers, imports, exits, and packed tests that can't be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from open_r1.errors import DataError
from open_r1.evaluation import EvaluationSettings, plan_evaluation
from open_r1.evaluation.benchmarks import get_benchmark
from open_r1.evaluation.benchmarks.lcb import LineByLine, find_trouble, score
from open_r1.evaluation.programs import code_in
from open_r1.records import Problem

CASES = [
    # expected, printed, whether it is right
    (b"3 4\n5", b"3 4 5", False),
    (b"3 4\n5", b"3 4\n5\n", True),
    (b"3 4\n5", b"\n 3 4 \r\n5\n\n", True),
    (b"3 4\n5", b"3  4\n5", True),
    (b"3 4\n5", b"3 4\n\n5", False),
    (b"0.5", b"0.50", True),
    (b"0.5", b"0.5000000001", False),
    (b"1e3", b"1000", True),
    (b"Yes", b"yes", False),
    (b"a b", b"a  b", False),
    (b"snan", b"1", False),
    (b"1 2", b"1", False),
    (b"", b"\n", True),
    (b"", b"0", False),
    (b"1", b"\xff", False),
]


@pytest.mark.parametrize(("expected", "printed", "is_right"), CASES)
def test_output_is_compared_line_by_line(expected: bytes, printed: bytes, is_right: bool) -> None:
    assert (LineByLine().difference(expected, printed) is None) == is_right


def question(output: str, private: object = None) -> Problem:
    case = {"input": "7\n", "output": output, "testtype": "stdin"}
    columns = {"public_test_cases": json.dumps([case]), "private_test_cases": private or "", "metadata": "{}"}
    return Problem("", "", name="q", metadata=columns)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("print(sys.stdin.readline().strip(), floor(2.5))", 1.0),  # both imported for it
        ("import sys\nprint(7, 2)\nsys.exit(1)", 1.0),
        ("print(7, 2)\nraise SystemExit('done')", 1.0),
        ("from __future__ import annotations\nif __name__ == '__main__':\n    print(input(), 2.0)", 1.0),
        ("print(7)\nprint(2)", 0.0),
        ("print(7, 2)\n1 / 0", 0.0),
        ("print(7, 2", 0.0),
    ],
)
def test_a_program_is_run_as_livecodebench_runs_it(code: str, value: float, need_sandbox: Callable[[], None]) -> None:
    need_sandbox()
    (outcome,) = score([f"```\n{code}\n```"], [question("7 2\n")])
    assert outcome.value == value
    assert outcome.details["answer"].strip() == code


def test_a_block_that_names_no_language_is_code_where_none_says_python() -> None:
    assert code_in("<think>\n```\nno\n```\n</think>\n```\nold\n```\n```\nprint(1)\n```").strip() == "print(1)"
    assert code_in("```python\nprint(1)\n```\nIt prints:\n```\n1\n```").strip() == "print(1)"
    assert code_in("```cpp\nint main() {}\n```") == ""


@pytest.mark.parametrize("private", ["not base64!", "[1]", '[{"input": "1"}]'])
def test_tests_that_cannot_be_unpacked_are_trouble(private: str) -> None:
    assert "tests" in (find_trouble(question("7", private)) or "")
    assert find_trouble(question("7")) is None


def test_they_are_listed_before_anything_is_sampled(tmp_path: Path, need_sandbox: Callable[[], None]) -> None:
    need_sandbox()
    rows = [
        {"question_id": name, "question_content": "Add.", **dict(question("7", private).metadata)}
        for name, private in (("good", ""), ("bad", "not base64!"))
    ]
    path = tmp_path / "broken_lcb.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(DataError, match=r"1 of 2 problems of lcb can't be scored: bad: its tests can't be unpacked"):
        plan_evaluation(get_benchmark("lcb"), EvaluationSettings(), str(path))
    plan = plan_evaluation(get_benchmark("lcb"), EvaluationSettings(skip_unusable=True), str(path))
    assert [kept.id for kept in plan.problems] == ["good"]
