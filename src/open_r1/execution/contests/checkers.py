"""A contest's own checker: a program that decides whether an output is right, where several may be.

    checker input.txt correct_output.txt solution_output.txt     -> prints points: 0 to 1, or 0 to 100 where so agreed

Does: make the checker's job and read what it printed. Does not: run anything itself, or let a submission near a checker:
they are jobs of their own, and the submission's output is the only thing that passes from one to the other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from open_r1.execution.contests.rows import BYTES_PER_MB
from open_r1.execution.judge.verdict import Reason, Ruling, Test
from open_r1.execution.programs import Execution, Limits, Program, Status

INPUT, EXPECTED, OUTPUT = "input.txt", "correct_output.txt", "solution_output.txt"
LIMITS = Limits(wall_s=30.0, cpu_s=15.0, memory_mb=1024, output_kb=64)
SHOWN_CHARS = 200


@dataclass(frozen=True)
class ContestChecker:
    """A checker in one file.

    Args:
        source: Its text.
        language: Of the source.
        sources: Headers that it includes, by name.
        may_be_out_of_100: Whether more than 1 printed means points out of 100.
    """

    source: str
    language: str
    sources: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    may_be_out_of_100: bool = False

    @property
    def digest(self) -> str:
        """The same for the same checker."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        parts = [self.language.encode(), self.source.encode("utf-8", "surrogatepass"), bytes([self.may_be_out_of_100])]
        for name in sorted(self.sources):
            parts += [name.encode(), self.sources[name]]
        return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def program(self, test: Test, output: bytes) -> Program:
        """The checker's job on a submission's output."""
        files = {INPUT: input_of(test), EXPECTED: test.expected, OUTPUT: output}
        megabytes = sum(map(len, files.values())) // BYTES_PER_MB
        return Program(
            self.source,
            self.language,
            args=(INPUT, EXPECTED, OUTPUT),
            sources=self.sources,
            files=files,
            limits=replace(LIMITS, disk_mb=LIMITS.disk_mb + megabytes, memory_mb=LIMITS.memory_mb + 8 * megabytes),
        )

    def read(self, test: Test, execution: Execution) -> Ruling:
        """What the checker's run means; CHECKER_ERROR when it didn't end well or printed no points."""
        if not execution.succeeded:
            return Ruling(Reason.CHECKER_ERROR, 0.0, f"the checker {_ending(execution)}")
        points = self._points(execution.stdout)
        if points is None:
            return Ruling(Reason.CHECKER_ERROR, 0.0, f"the checker printed {_shown(execution.stdout)}, not points")
        reason = Reason.PASSED if points == 1 else Reason.WRONG_ANSWER if points == 0 else Reason.PARTIAL
        return Ruling(reason, points, _shown(execution.stderr) if execution.stderr.strip() else "")

    def _points(self, printed: bytes) -> float | None:
        words = printed.split()
        try:
            points = float(words[0]) if len(words) == 1 else math.nan
        except ValueError:
            return None
        if self.may_be_out_of_100 and 1 < points <= 100:
            points /= 100
        return points if 0 <= points <= 1 else None


def input_of(test: Test) -> bytes:
    """What the submission was given: on standard input, or in input.txt."""
    return test.files.get(INPUT, test.input)


def _ending(execution: Execution) -> str:
    if execution.status is not Status.FINISHED:
        return f"ended with {execution.status}"
    return f"ended with exit status {execution.exit_code}: {_shown(execution.stderr)}"


def _shown(output: bytes) -> str:
    text = " ".join(output[-4 * SHOWN_CHARS :].decode("utf-8", "replace").split())
    return f"'{text[-SHOWN_CHARS:]}'" if text else "nothing"
