"""A checker that is a program: it reads a test and an output, and its exit status says whether the output is right.

It runs in a job of its own after the submission's, so the expected output is in no job that a submission is in. Its
folder and arguments are those of testlib:

    checker input.txt output.txt answer.txt      # 0 right, 1 or 2 wrong, anything else: the checker has failed

A Python checker that ends with a traceback has failed too, though its status is 1.
`output.txt` is what the submission wrote, or of a function call the result as JSON; `answer.txt` is the test's output.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from open_r1.execution.judge.verdict import Reason, Ruling, Test
from open_r1.execution.programs import Execution, Limits, Program, Status

FILES: tuple[str, ...] = ("input.txt", "output.txt", "answer.txt")
WRONG = (1, 2)
TRACEBACK = b"Traceback (most recent call last)"
DETAIL_CHARS = 200


@dataclass(frozen=True)
class ProgramChecker:
    """A checker in any language that the provider runs."""

    source: str
    language: str = "python"
    limits: Limits = Limits()

    @property
    def digest(self) -> str:
        return hashlib.sha256(
            f"{self.language}\0{self.limits}\0{self.source}".encode("utf-8", "surrogatepass")
        ).hexdigest()

    def program(self, test: Test, output: bytes) -> Program:
        contents = dict(zip(FILES, (test.input, output, test.expected), strict=True))
        return Program(self.source, self.language, args=FILES, files=contents, limits=self.limits)

    def read(self, test: Test, execution: Execution) -> Ruling:
        said = (execution.stdout or execution.stderr).decode("utf-8", "replace").strip()[-DETAIL_CHARS:]
        if execution.status is not Status.FINISHED:
            return Ruling(Reason.CHECKER_ERROR, 0.0, f"the checker ended with {execution.status}: {said}")
        if execution.exit_code == 0:
            return Ruling(Reason.PASSED, 1.0, said)
        if execution.exit_code in WRONG and TRACEBACK not in execution.stderr:
            return Ruling(Reason.WRONG_ANSWER, 0.0, said)
        return Ruling(Reason.CHECKER_ERROR, 0.0, f"the checker's exit status is {execution.exit_code}: {said}")
