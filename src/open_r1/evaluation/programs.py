"""Scoring of programs: what a completion wrote is run against its problem's tests, in the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from open_r1.errors import DataError
from open_r1.execution.judge.judge import Judge, Submission, shared_judge
from open_r1.execution.programs import Limits, Program
from open_r1.records import Outcome, Problem
from open_r1.text.fences import extract_code, fenced_blocks
from open_r1.text.thinking import visible_part

BATCH_BYTES = 64 << 20
TESTS_AT_ONCE = 8

Tests = tuple[Any, ...]

Written = tuple[str, Submission]  # the code of a completion, and what is submitted to the judge for it


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

    Completions of one problem should follow each other, so that its tests are read once; `source_of` makes the program.
    """
    judge = shared_judge(provider())
    outcomes: list[Outcome] = []
    batch: list[Outcome | Written] = []
    size = 0
    for _, group in groupby(zip(completions, problems, strict=True), key=lambda pair: pair[1].id):
        found = list(group)
        problem, codes = found[0][1], [code_in(completion) for completion, _ in found]
        tests, trouble = (), "no_tests"
        try:
            tests = tests_of(problem) if any(code.strip() for code in codes) else ()
        except DataError as error:
            trouble = getattr(error, "reason", "malformed_tests")
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
            outcomes += _judge_batch(judge, batch)
            batch, size = [], 0
    return outcomes + _judge_batch(judge, batch)


def _judge_batch(judge: Judge, batch: Sequence[Outcome | Written]) -> list[Outcome]:
    results = iter(judge.judge([entry[1] for entry in batch if not isinstance(entry, Outcome)]))
    outcomes = []
    for entry in batch:
        if not isinstance(entry, Outcome):
            judged, code = next(results), entry[0]
            value, reason = (1.0, "correct") if judged.passed else (0.0, judged.reason)
            entry = Outcome(None if judged.passed is None else value, reason, {"answer": code})
        outcomes.append(entry)
    return outcomes


def code_in(completion: str) -> str:
    """The last block of Python after the thinking; where no block is marked as Python, the last unmarked one."""
    visible = visible_part(completion)
    unnamed = [code for language, code in fenced_blocks(visible) if not language]
    return extract_code(visible, "python") or (unnamed[-1] if unnamed else "")


def score_contest(
    reward: Any, completions: Sequence[str], problems: Sequence[Problem], columns: Sequence[str]
) -> list[Outcome]:
    """The outcomes of a contest's reward, which reads those columns, each with its program, none below 0."""
    provider()
    read: dict[str, Any] = {
        name: [problem.metadata.get(name) for problem in problems] for name in (*columns, "language")
    }
    outcomes = []
    for text, language, outcome in zip(
        completions, read["language"], reward.score(list(completions), **read), strict=True
    ):
        value = None if outcome.value is None else max(0.0, outcome.value)
        reason = "no_answer" if outcome.reason == "no_code" else outcome.reason
        outcomes.append(Outcome(value, reason, {"answer": extract_code(visible_part(text), language) or None}))
    return outcomes
