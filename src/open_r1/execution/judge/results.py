"""What is judged, a submission and its tests, and what comes of each test and of all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from open_r1.errors import DataError
from open_r1.execution.judge.comparison import Comparison
from open_r1.execution.programs import Limits, Program

if TYPE_CHECKING:
    from open_r1.execution.judge.checkers import ProgramChecker


class ProblemError(DataError):
    """A problem that can't be judged: its row or its tests are at fault, or its kind isn't supported.

    `reason` is a code in snake_case, for metrics.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


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


@dataclass(frozen=True)
class Test:
    """One test of a program.

    Args:
        input: What the program gets on standard input; of a function call, its arguments as JSON (`function_call`).
        expected: What it should write; of a function call, the values that are right, as JSON. Stays with the judge.
        function: The function or the method of `class Solution` to call; "" where the test is of standard input and output.
        comparison: How output and expected output are compared, where no checker decides.
        checker: What decides instead.
        files: Further files in the program's folder for this test.
        limits: Of this test, in place of the program's.
    """

    __test__ = False  # not a test of pytest's

    input: bytes = b""
    expected: bytes = b""
    function: str = ""
    comparison: Comparison = Comparison()
    checker: ProgramChecker | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    limits: Limits | None = None


@dataclass(frozen=True)
class Submission:
    """A program, whose `stdin` is not used, and the tests it is to pass.

    Args:
        max_failures: Tests that may end without any points before the rest is skipped; None runs them all.
        batch_size: How many tests run before their results are looked at for `max_failures`.
    """

    program: Program
    tests: Sequence[Test]
    max_failures: int | None = None
    batch_size: int = 1


@dataclass(frozen=True)
class TestResult:
    """What became of one test, or what a checker decided.

    Args:
        points: Out of 1.
        detail: A few words for people: the first difference, the last line of the error.
        cause: With `UNAVAILABLE`, the provider's own code, such as "rate_limited".
        wall_s, cpu_s, memory_mb: None where nothing ran or the provider doesn't tell.
    """

    __test__ = False

    reason: Reason
    points: float = 0.0
    detail: str = ""
    cause: str = ""
    wall_s: float | None = None
    cpu_s: float | None = None
    memory_mb: float | None = None

    @property
    def code(self) -> str:
        """The reason as metrics count it: the provider's own code where it failed."""
        return self.cause or self.reason.value

    @property
    def has_failed(self) -> bool:
        """The submission failed this test, by its own doing."""
        return self.reason not in UNSCORED and self.reason not in (Reason.PASSED, Reason.SKIPPED)


@dataclass(frozen=True)
class SubmissionResult:
    """What all tests together say about a submission; `results` are in the order of its tests."""

    results: tuple[TestResult, ...]

    @property
    def num_passed(self) -> int:
        """Tests that passed."""
        return sum(result.reason is Reason.PASSED for result in self.results)

    @property
    def num_failed(self) -> int:
        """Tests that failed; those without a verdict don't count."""
        return sum(result.has_failed for result in self.results)

    @property
    def share(self) -> float | None:
        """Tests passed of all tests; skipped ones count as not passed. None (unscored) when any is unknown."""
        if not self.results or any(result.reason in UNSCORED for result in self.results):
            return None
        return self.num_passed / len(self.results)

    @property
    def passed(self) -> bool | None:
        """Whether every test passed. False as soon as one has failed; None when that depends on an unknown one."""
        if self.num_failed:
            return False
        return None if self.share is None else True

    @property
    def first_failed(self) -> TestResult | None:
        """The first test that failed, or None."""
        return next((result for result in self.results if result.has_failed), None)

    @property
    def first_unknown(self) -> TestResult | None:
        """The first test without a verdict, or None."""
        return next((result for result in self.results if result.reason in UNSCORED), None)

    @property
    def reason(self) -> str:
        """Why the share is what it is: "passed", or the code of the first unknown test, or else of the first that failed."""
        first = self.first_unknown or self.first_failed
        if first is None:
            return Reason.PASSED.value if self.results else "no_tests"
        return first.code
