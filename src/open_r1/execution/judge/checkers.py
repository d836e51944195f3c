"""A checker that is a program: it reads a test and an output, and says whether the output is right, where several may be.

It runs in a job of its own after the submission's, so the expected output is in no job that a submission is in. By exit
status, as testlib has it, or by the points that it prints, as contests' own checkers do:

    checker input.txt output.txt answer.txt                       # 0 right, 1 or 2 wrong, else: the checker has failed
    checker input.txt correct_output.txt solution_output.txt      # prints 0 to 1, or 0 to 100 where so agreed

A Python checker that ends with a traceback has failed too, though its status is 1. The output is what the submission
wrote, or of a function call the result as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from open_r1.execution.judge.results import Reason, Test, TestResult
from open_r1.execution.programs import Execution, Limits, Program, Status

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
    """A checker in any language that the provider runs.

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
