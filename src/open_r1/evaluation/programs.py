"""Scoring of programs: what a completion wrote is run against its problem's tests, in the sandbox.

A program is right when it passes every test; a problem whose tests can't be run leaves it unscored. Each benchmark reads
its own tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from open_r1.errors import DataError
from open_r1.execution.judge.judge import Judge, Submission, SubmissionResult, shared_judge
from open_r1.execution.judge.test_cases import UnusableTestsError
from open_r1.execution.programs import Limits, Program
from open_r1.records import Outcome, Problem
from open_r1.text.fences import extract_code, fenced_blocks
from open_r1.text.thinking import visible_part

BATCH_BYTES = 64 << 20
TESTS_AT_ONCE = 8

Tests = tuple[Any, ...]

Written = tuple[str, Submission]
"""The code of a completion, and what is submitted to the judge for it."""


def provider() -> Any:
    """The sandbox, checked; ConfigError where programs can't be isolated here."""
    from open_r1.execution.providers import get_provider

    local = get_provider("local")
    local.check()
    return local


def score_programs(
    completions: Sequence[str],
    problems: Sequence[Problem],
    tests_of: Callable[[Problem], Tests],
    source_of: Callable[[Problem, str, Tests], str] = lambda problem, code, tests: code,
    limits: Limits | None = None,
) -> list[Outcome]:
    """1 where every test is passed, 0 where one fails or there is no program, unscored where the tests can't be run.

    Args:
        completions: Those of one problem should follow each other, so that its tests are read once.
        problems: The problem of each completion.
        tests_of: Reads a problem's tests; DataError or UnusableTestsError where they can't be read.
        source_of: The program to run for what a completion wrote; the code itself by default.
        limits: Time and memory of each test.
    """
    judge = shared_judge(provider())
    outcomes: list[Outcome] = []
    batch: list[Outcome | Written] = []
    size = 0
    for _, group in groupby(zip(completions, problems, strict=True), key=lambda pair: pair[1].id):
        found = list(group)
        problem, codes = found[0][1], [code_in(completion) for completion, _ in found]
        tests, trouble = read_tests(problem, tests_of) if any(code.strip() for code in codes) else ((), "")
        for code in codes:
            if not code.strip():
                batch.append(Outcome(0.0, "no_answer", {"answer": None}))
            elif not tests:
                batch.append(Outcome(None, trouble, {"answer": code}))
            else:
                program = Program(source_of(problem, code, tests), "python", limits=limits or Limits())
                submission = Submission(program, tests, max_failures=0, batch_size=TESTS_AT_ONCE)
                batch.append((code, submission))
        size += sum(len(test.input) + len(test.expected) for test in tests)
        if size > BATCH_BYTES:
            outcomes += judge_batch(judge, batch)
            batch, size = [], 0
    return outcomes + judge_batch(judge, batch)


def read_tests(problem: Problem, tests_of: Callable[[Problem], Tests]) -> tuple[Tests, str]:
    """A problem's tests, and why there are none where there are none."""
    try:
        return tests_of(problem), "no_tests"
    except UnusableTestsError as error:
        return (), error.reason
    except DataError:
        return (), "malformed_tests"


def judge_batch(judge: Judge, batch: Sequence[Outcome | Written]) -> list[Outcome]:
    """The outcomes of a batch, those of its programs by running them together."""
    results = iter(judge.judge([entry[1] for entry in batch if not isinstance(entry, Outcome)]))
    return [entry if isinstance(entry, Outcome) else outcome_of(next(results), entry[0]) for entry in batch]


def code_in(completion: str) -> str:
    """The last block of Python after the thinking; where no block is marked as Python, the last unmarked one."""
    visible = visible_part(completion)
    unnamed = [code for language, code in fenced_blocks(visible) if not language]
    return extract_code(visible, "python") or (unnamed[-1] if unnamed else "")


def outcome_of(judged: SubmissionResult, code: str) -> Outcome:
    """A result of the judge as an outcome."""
    passed = judged.passed
    reason = "correct" if passed else judged.reason
    return Outcome(None if passed is None else float(passed), reason, {"answer": code})


def columns_of(problems: Sequence[Problem], names: Sequence[str]) -> dict[str, list[Any]]:
    """The columns that a contest's reward reads, from the problems' metadata."""
    return {name: [problem.metadata.get(name) for problem in problems] for name in names}


def with_answers(outcomes: Sequence[Outcome], completions: Sequence[str], languages: Sequence[str]) -> list[Outcome]:
    """The outcomes of a contest's reward, each with the program that it is about, none below 0."""
    codes = [extract_code(visible_part(text), name) for text, name in zip(completions, languages, strict=True)]
    return [
        Outcome(
            None if outcome.value is None else max(0.0, outcome.value),
            "no_answer" if outcome.reason == "no_code" else outcome.reason,
            {"answer": code or None},
        )
        for outcome, code in zip(outcomes, codes, strict=True)
    ]
