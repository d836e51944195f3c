"""HumanEval's 164 problems: each reference passes its tests, and none passes with its body replaced by `return None`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from open_r1.errors import RunError
from open_r1.execution.judge.humaneval import (
    RULES,
    Row,
    complete_program,
    record_tests,
)
from open_r1.execution.providers.scripted import ScriptedProvider
from open_r1.execution.sandbox.local import LocalProvider
from open_r1.records import Outcome
from open_r1.rewards import get_binary_code_reward, get_code_reward
from open_r1.rundir import read_jsonl


@pytest.fixture(scope="module")
def problems(real_data: Path) -> list[Row]:
    return read_jsonl(real_data / "humaneval.jsonl")


@pytest.fixture(scope="module")
def infos(problems: list[Row], local: LocalProvider) -> list[dict]:
    return record_tests(problems, local)


Score = Callable[[Callable[[Row], str]], list[Outcome]]


@pytest.fixture
def score(problems: list[Row], infos: list[dict], local: LocalProvider) -> Score:
    """The code reward of a body for each problem, and the seconds it took, on standard output."""

    def run(body_of: Callable[[Row], str]) -> list[Outcome]:
        completions = [f"```python\n{complete_program(problem, body_of(problem))}\n```" for problem in problems]
        started = time.monotonic()
        outcomes = get_code_reward(local).score(completions, verification_info=infos)
        print(f"{len(outcomes)} problems in {time.monotonic() - started:.1f} s")
        return outcomes

    return run


def test_every_reference_solution_passes(score: Score) -> None:
    outcomes = score(lambda problem: problem["canonical_solution"])
    assert [outcome.reason for outcome in outcomes] == ["passed"] * 164
    assert [outcome.value for outcome in outcomes] == [1.0] * 164


def test_no_solution_passes_that_returns_none(
    score: Score, problems: list[Row], infos: list[dict], local: LocalProvider
) -> None:
    outcomes = score(lambda problem: "    return None\n")
    assert len(outcomes) == 164
    assert all(outcome.value is not None and outcome.value < 1.0 for outcome in outcomes)
    completions = [f"```python\n{complete_program(problem, '    return None')}\n```" for problem in problems]
    assert get_binary_code_reward(local)(completions, verification_info=infos) == [0.0] * 164


def test_a_test_that_accepts_several_answers_still_does(
    problems: list[Row], infos: list[dict], local: LocalProvider
) -> None:
    """HumanEval/32 takes any root: here the one that Newton's method finds, which is often another."""
    body = """    x = 5.0
    for _ in range(3000):
        slope = sum(i * c * x ** (i - 1) for i, c in enumerate(xs) if i)
        x = x - poly(xs, x) / slope if slope else x + 0.37
        if abs(x) > 1e6: x = -1.7
    return x
"""
    number = next(index for index, problem in enumerate(problems) if problem["task_id"] == "HumanEval/32")
    programs = [complete_program(problems[number], text) for text in (body, body.replace("return x", "return x + 1"))]
    found, off = get_code_reward(local).score(
        [f"```python\n{program}\n```" for program in programs], verification_info=[infos[number]] * 2
    )
    assert found.value is not None and found.value > 0.9  # Newton's method does not always arrive
    assert off.value is not None and off.value < 0.1


def test_only_the_problems_with_rules_of_their_own_ask_for_anything_but_a_value(
    problems: list[Row],
) -> None:
    loose = [
        problem["task_id"] for problem in problems if "abs(" in problem["test"] or "tuple(candidate" in problem["test"]
    ]
    assert sorted(loose) == sorted(RULES)


def test_a_completion_may_be_the_body_or_the_whole_function(problems: list[Row]) -> None:
    problem = problems[0]
    body, whole = "    return True\n", f"def {problem['entry_point']}(numbers, threshold):\n    return True\n"
    for completion in (body, whole, f"import math\n\n{whole}"):
        program = complete_program(problem, completion)
        compile(program, "program", "exec")
        assert program.startswith(problem["prompt"])
        assert "return True" in program


def test_a_reference_that_fails_its_own_check_is_named(problems: list[Row], local: LocalProvider) -> None:
    broken = {**problems[0], "canonical_solution": "    return None\n"}
    with pytest.raises(
        RunError, match=r"(?s)the reference solution of HumanEval/0 could not be recorded.*AssertionError"
    ):
        record_tests([broken], local)
    with pytest.raises(RunError, match="HumanEval/0"), ScriptedProvider() as nothing:
        record_tests(problems[:1], nothing)
