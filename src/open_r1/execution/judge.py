"""What a submission's runs mean: many programs, each with its tests, on one provider.

    judge = Judge(provider)
    verdicts = judge.judge([Submission(Program("print(int(input()) + 1)"), (Test(b"1\n", b"2\n"),))])
    verdicts[0].share        # 1.0

Does: run tests in parallel, stop early where asked, run identical (program, test) pairs once, compare outputs, hand them
to a checker's own job. Does not: run programs itself (`base.Provider`) or say what a verdict is worth (`rewards`).

An expected output never enters a submission's job; it is compared here, or goes to the checker's job. A provider's
failure leaves a test `unavailable` and exactly its submission unscored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from open_r1.execution.base import Execution, Limits, Program, Provider
from open_r1.execution.comparison import Comparison


class Reason(StrEnum):
    """Why a test has the result it has."""

    PASSED = "passed"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    COMPILE_ERROR = "compile_error"
    PROGRAM_TOO_LARGE = "program_too_large"
    PARTIAL = "partial"
    """A checker gave some of the points."""
    SKIPPED = "skipped"
    """Not run, since enough tests had failed before it."""
    CHECKER_ERROR = "checker_error"
    """The checker failed, not the submission: unscored."""
    UNAVAILABLE = "unavailable"
    """The provider failed, not the submission: unscored."""


UNSCORED = frozenset({Reason.CHECKER_ERROR, Reason.UNAVAILABLE})
"""Reasons that tell nothing about a submission."""


class Kind(StrEnum):
    """How a test talks to a program."""

    STDIN_STDOUT = "stdin_stdout"
    FUNCTION_CALL = "function_call"


@dataclass(frozen=True)
class Ruling:
    """What a checker decided: PASSED, PARTIAL, WRONG_ANSWER or CHECKER_ERROR, and the points out of 1."""

    reason: Reason
    points: float
    detail: str = ""


class Checker(Protocol):
    """A program that decides whether an output is right, where several may be. It runs as a job of its own."""

    @property
    def digest(self) -> str:
        """The same for the same checker: what tells results in the cache apart."""
        ...

    def program(self, test: Test, output: bytes) -> Program:
        """The checker's job: it may be given the test's input, its expected output, and the submission's output."""
        ...

    def read(self, test: Test, execution: Execution) -> Ruling:
        """What the checker's run means; never called with an execution that is unavailable."""
        ...


@dataclass(frozen=True)
class Test:
    """One test of a program.

    Args:
        input: What the program gets on standard input; of a function call, its arguments as JSON (`function_call`).
        expected: What it should write; of a function call, the values that are right, as JSON. Stays with the judge.
        kind: How the test talks to the program.
        function: The function or the method of `class Solution` to call, of a function call.
        comparison: How output and expected output are compared, where no checker decides.
        checker: What decides instead.
        files: Further files in the program's folder for this test.
        limits: Of this test, in place of the program's.
    """

    __test__ = False  # not a test of pytest's

    input: bytes = b""
    expected: bytes = b""
    kind: Kind = Kind.STDIN_STDOUT
    function: str = ""
    comparison: Comparison = Comparison()
    checker: Checker | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    limits: Limits | None = None


@dataclass(frozen=True)
class Submission:
    """A program, whose `stdin` is not used, and the tests it is to pass.

    Args:
        max_failures: Tests that may fail before the rest is skipped; None runs them all.
        batch_size: How many tests run before their results are looked at for `max_failures`.
    """

    program: Program
    tests: Sequence[Test]
    max_failures: int | None = None
    batch_size: int = 1


@dataclass(frozen=True)
class TestResult:
    """What became of one test. `points` are out of 1; times are None where nothing ran or the provider doesn't tell."""

    __test__ = False

    reason: Reason
    points: float = 0.0
    detail: str = ""
    wall_s: float | None = None
    cpu_s: float | None = None
    memory_mb: float | None = None

    @property
    def has_failed(self) -> bool:
        """The submission failed this test, by its own doing."""
        return self.reason not in UNSCORED and self.reason not in (Reason.PASSED, Reason.SKIPPED)


@dataclass(frozen=True)
class Verdict:
    """What all tests together say about a submission; `results` stand in the order of its tests."""

    results: tuple[TestResult, ...]

    @property
    def share(self) -> float | None:
        """Tests passed of all tests; skipped ones count as not passed. None (unscored) when any is unknown."""
        raise NotImplementedError

    @property
    def passed(self) -> bool | None:
        """Whether every test passed. False as soon as one has failed; None when it depends on an unknown one."""
        raise NotImplementedError

    @property
    def reason(self) -> str:
        """ "passed", or why not: that of the first test that failed or is unknown."""
        raise NotImplementedError


class Judge:
    """Judges submissions on one provider, and remembers results. Safe to use from any thread.

    Args:
        provider: Where programs run; not closed by the judge.
        cache_size: How many results of (program, test) pairs to remember; unavailable ones never are.
    """

    def __init__(self, provider: Provider, cache_size: int = 100_000) -> None:
        raise NotImplementedError

    def judge(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """A verdict for each submission, in order. Never raises for what a submission or the provider does."""
        raise NotImplementedError
