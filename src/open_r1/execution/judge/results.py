"""What is judged, a submission, its tests and their checkers; and what comes of each test and of all together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from open_r1.errors import DataError
from open_r1.execution.judge.comparison import Comparison
from open_r1.execution.programs import Execution, Limits, Program, Status


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


INPUT, OUTPUT, ANSWER = "input.txt", "output.txt", "answer.txt"
CORRECT_OUTPUT, SOLUTION_OUTPUT = "correct_output.txt", "solution_output.txt"
LIMITS = Limits(wall_s=30.0, cpu_s=15.0, memory_mb=1024, output_kb=64)
WRONG = (1, 2)
TRACEBACK = b"Traceback (most recent call last)"
DETAIL_CHARS = 200

HARMLESS_OUTPUT = b"0\n"
"""What a checker is given where the test has no expected output: whatever it says of it, it works if it says something."""


@dataclass(frozen=True)
class ProgramChecker:
    """A checker that is a program: it reads a test and an output, and says whether that is right, where several may be.

    It runs in a job of its own after the submission's, so the expected output is in no job that a submission is in. By exit
    status, as testlib has it, or by the points that it prints, as contests' own checkers do:

        checker input.txt output.txt answer.txt                       # 0 right, 1 or 2 wrong, else: the checker has failed
        checker input.txt correct_output.txt solution_output.txt      # prints 0 to 1, or 0 to 100 where so agreed

    A Python checker that ends with a traceback has failed too, though its status is 1. The output is what the submission
    wrote, or of a function call the result as JSON.

    Args:
        source: Its text.
        language: Of the source.
        sources: Headers that it includes, by name.
        prints_points: Whether it prints points; else its exit status decides.
        may_be_out_of_100: Whether more than 1 printed means points out of 100.
    """

    source: str
    language: str = "python"
    sources: Mapping[str, bytes] = field(default_factory=dict)
    prints_points: bool = False
    may_be_out_of_100: bool = False

    def program(self, test: Test, output: bytes) -> Program:
        """The checker's job on a submission's output."""
        given = test.files.get(INPUT, test.input)
        files = {INPUT: given, OUTPUT: output, ANSWER: test.expected}
        if self.prints_points:
            files = {INPUT: given, CORRECT_OUTPUT: test.expected, SOLUTION_OUTPUT: output}
        megabytes = sum(map(len, files.values())) >> 20
        limits = replace(LIMITS, disk_mb=LIMITS.disk_mb + megabytes, memory_mb=LIMITS.memory_mb + 8 * megabytes)
        return Program(self.source, self.language, args=tuple(files), sources=self.sources, files=files, limits=limits)

    def read(self, test: Test, execution: Execution) -> TestResult:
        """What the checker's run means; never called with an execution that is unavailable."""
        said = _shown(execution.stdout or execution.stderr)
        if execution.status is not Status.FINISHED:
            return TestResult(Reason.CHECKER_ERROR, detail=f"the checker ended with {execution.status}: {said}")
        if self.prints_points and execution.exit_code == 0:
            return self._read_points(execution)
        if execution.exit_code == 0:
            return TestResult(Reason.PASSED, 1.0, said)
        if execution.exit_code in WRONG and TRACEBACK not in execution.stderr and not self.prints_points:
            return TestResult(Reason.WRONG_ANSWER, detail=said)
        said = _shown(execution.stderr or execution.stdout)
        return TestResult(
            Reason.CHECKER_ERROR, detail=f"the checker ended with exit status {execution.exit_code}: {said}"
        )

    def _read_points(self, execution: Execution) -> TestResult:
        words = execution.stdout.split()
        try:
            points = float(words[0]) if len(words) == 1 else math.nan
        except ValueError:
            points = math.nan
        if self.may_be_out_of_100 and 1 < points <= 100:
            points /= 100
        if not 0 <= points <= 1:
            printed = _shown(execution.stdout) or "nothing"
            return TestResult(Reason.CHECKER_ERROR, detail=f"the checker printed {printed}, not points")
        reason = Reason.PASSED if points == 1 else Reason.WRONG_ANSWER if points == 0 else Reason.PARTIAL
        return TestResult(reason, points, _shown(execution.stderr))


def control_outputs(test: Test) -> list[bytes]:
    """The outputs of which a checker that works takes one: the expected one, or for a call each right value."""
    if not test.function:
        return [test.expected or HARMLESS_OUTPUT]
    values = [value for value in json.loads(test.expected) if value is not None]
    return [json.dumps(value).encode("ascii") for value in values] or [HARMLESS_OUTPUT]


def read_control(test: Test, failed: TestResult, control: Reason) -> TestResult:
    """What a checker's failure on a submission's output means, where `control` came of giving it what is right.

    A checker that accepts the expected output failed because of a bad output, which is a wrong answer: were it unscored, a
    policy could hide failures behind outputs that break checkers. One that fails on the expected output too says nothing
    about the submission.
    """
    accepted = (Reason.PASSED, Reason.PARTIAL)
    if control_outputs(test) == [HARMLESS_OUTPUT]:
        accepted = (*accepted, Reason.WRONG_ANSWER)
    if control in accepted:
        return TestResult(Reason.WRONG_ANSWER, detail=f"{failed.detail}, though it accepts the expected output")
    return replace(failed, detail=f"{failed.detail}, and on the expected output: {control}")


def _shown(output: bytes) -> str:
    return " ".join(output[-4 * DETAIL_CHARS :].decode("utf-8", "replace").split())[-DETAIL_CHARS:]
