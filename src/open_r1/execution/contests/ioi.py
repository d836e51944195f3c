"""IOI subtasks, as in `open-r1/ioi`: one row a subtask, the graders with it, the tests in a set of their own.

    subtask = Subtask.from_row(row, tests)
    result = score_subtasks(shared_judge(provider), [(subtask, code)])[0]
    result.score, result.points, result.status       # 0.4, 7.2, "PA"

Statuses are the field's: AC, WA, PA (some points), TLE, MLE, RE, CE; SKIPPED, and UNSCORED where the judge knows nothing.
Tasks whose submission talks with a manager while it runs ("Communication") are `unsupported`.

Sources: ioinformatics.org on tasks and subtasks; the `open-r1/ioi` card and its published judge (huggingface/ioi).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from open_r1.execution.contests import rows
from open_r1.execution.contests.rows import ProblemError, Row, TestData
from open_r1.execution.judge.judge import Judge, Reason, Submission, Test, TestResult
from open_r1.execution.judge.results import ProgramChecker
from open_r1.execution.programs import Program

LANGUAGE = "cpp"
BATCH = "Batch"
Status = Literal["CE", "RE", "WA", "MLE", "TLE", "PA", "AC", "SKIPPED", "UNSCORED"]
"""Of a test, or of a subtask: the worst of its tests', which stand first here."""

_STATUSES: dict[Reason, Status] = {
    Reason.PASSED: "AC",
    Reason.PARTIAL: "PA",
    Reason.WRONG_ANSWER: "WA",
    Reason.RUNTIME_ERROR: "RE",
    Reason.OUTPUT_LIMIT: "RE",
    Reason.TIME_LIMIT: "TLE",
    Reason.MEMORY_LIMIT: "MLE",
    Reason.COMPILE_ERROR: "CE",
    Reason.PROGRAM_TOO_LARGE: "CE",
    Reason.SKIPPED: "SKIPPED",
    Reason.CHECKER_ERROR: "UNSCORED",
    Reason.UNAVAILABLE: "UNSCORED",
}

TestLoader = Callable[[int, str, Sequence[str]], Mapping[str, TestData]]
"""Year, problem and test names -> the tests; as `IoiTests.load`."""


@dataclass(frozen=True)
class Subtask:
    """One subtask of a problem: `full_points` with `precision` decimal places; `graders` are compiled with a submission."""

    problem: str
    name: str
    full_points: float
    precision: int
    graders: Mapping[str, bytes]
    tests: Mapping[str, Test]

    @classmethod
    def from_row(cls, row: Row, load: TestLoader) -> Subtask:
        """A row of the published columns. ProblemError for one that can't be judged."""
        problem = rows.text_of(row, "id") or "?"
        check_kind(row, problem)
        files = read_files(rows.value_of(row, "grader_files", problem), problem)
        time_s = rows.positive_number(row, "time_limit", problem)
        memory_mb = memory_in_mb(rows.positive_number(row, "memory_limit", problem))
        checker = find_checker(files)
        return cls(
            problem=problem,
            name=rows.text_of(row, "subtask"),
            full_points=rows.number_or(row, "score", 0.0),
            precision=int(rows.number_or(row, "score_precision", 2)),
            graders=select_graders(files),
            tests={
                name: Test(
                    data.input, data.expected, checker=checker, limits=rows.contest_limits(time_s, memory_mb, data)
                )
                for name, data in read_tests(row, problem, load).items()
            },
        )

    @property
    def size(self) -> int:
        """Bytes of its tests."""
        return sum(len(test.input) + len(test.expected) for test in self.tests.values())

    def submission(self, code: str, batch_size: int) -> Submission:
        """What the judge is to run: all tests, until one has no points; `batch_size` below 1 runs them all at once."""
        program = Program(prepare_code(code, self.problem, self.graders), LANGUAGE, sources=self.graders)
        tests = tuple(self.tests.values())
        return Submission(program, tests, max_failures=0, batch_size=batch_size if batch_size >= 1 else len(tests))


@dataclass(frozen=True)
class SubtaskResult:
    """What a submission has of a subtask; `results` by test name."""

    subtask: Subtask
    results: Mapping[str, TestResult]

    @property
    def statuses(self) -> dict[str, Status]:
        """Of each test."""
        return {name: _STATUSES[result.reason] for name, result in self.results.items()}

    @property
    def score(self) -> float | None:
        """The least points of its tests, 0 to 1; None (unscored) when that depends on a test the judge knows nothing of.

        Tests are skipped only after one without points, so that they don't change the least.
        """
        statuses = self.statuses
        known = [
            self.results[name].points for name, status in statuses.items() if status not in ("SKIPPED", "UNSCORED")
        ]
        least = min(known, default=None)
        return least if least == 0 or "UNSCORED" not in statuses.values() else None

    @property
    def points(self) -> float | None:
        """The score in the subtask's points, rounded as the task says."""
        return None if self.score is None else round(self.score * self.subtask.full_points, self.subtask.precision)

    @property
    def status(self) -> Status:
        """The worst of its tests'."""
        if self.score is None:
            return "UNSCORED"
        return min(self.statuses.values(), key=get_args(Status).index)

    @property
    def reason(self) -> str:
        """Why it has this score, as the judge's code: that of the first test with the least points."""
        return next(self.results[name].code for name, status in self.statuses.items() if status == self.status)


def score_subtasks(judge: Judge, entries: Sequence[tuple[Subtask, str]], batch_size: int = 1) -> list[SubtaskResult]:
    """A result for each (subtask, code), in order. A test of several subtasks runs once for the same submission."""
    results = judge.judge([subtask.submission(code, batch_size) for subtask, code in entries])
    return [
        SubtaskResult(subtask, dict(zip(subtask.tests, judged.results, strict=True)))
        for (subtask, _), judged in zip(entries, results, strict=True)
    ]


def check_kind(row: Row, problem: str) -> None:
    """ProblemError for a task that isn't a batch task."""
    kind = rows.text_of(row, "task_type") or BATCH
    if kind != BATCH:
        raise ProblemError(
            "unsupported",
            f"IOI task '{problem}' is of type {kind}: its submission talks with another program while it runs, which a "
            "provider can't do; leave such rows out (task_type other than Batch).",
        )


def read_files(records: Any, problem: str) -> dict[str, bytes]:
    """`grader_files`, pairs of path and text or mappings of `name` and `content`, by path; empty files are left out."""
    files: dict[str, bytes] = {}
    try:
        for record in records:
            name, content = (record["name"], record["content"]) if isinstance(record, Mapping) else record
            if content:
                files[str(PurePosixPath(name))] = rows.encode(content)
    except (TypeError, ValueError, KeyError):
        raise ProblemError(
            "bad_grader",
            f"problem '{problem}' has grader_files that are no pairs of a name and a text: {records!r:.80}.",
        ) from None
    return files


def select_graders(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What is compiled along with a submission: the folder graders' headers, grader.cpp and stub.cpp."""
    return {
        PurePosixPath(path).name: content
        for path, content in files.items()
        if PurePosixPath(path).parent.name == "graders"
        and (path.endswith((".h", ".hpp")) or PurePosixPath(path).name in ("grader.cpp", "stub.cpp"))
    }


def find_checker(files: Mapping[str, bytes]) -> ProgramChecker | None:
    """The task's checker, if it has one, with the headers it may include."""
    source = files.get("checker/checker.cpp")
    if source is None:
        return None
    headers = {path: content for path, content in files.items() if path.endswith((".h", ".hpp"))}
    by_name = {PurePosixPath(path).name: content for path, content in sorted(headers.items(), reverse=True)}
    return ProgramChecker(source.decode("utf-8", "surrogatepass"), LANGUAGE, by_name, prints_points=True)


def read_tests(row: Row, problem: str, load: TestLoader) -> dict[str, TestData]:
    """The subtask's tests by name: from the column `test_cases` where the row has it, else from the set of tests."""
    names = [str(name) for name in rows.value_of(row, "test_names", problem)]
    if not names:
        raise ProblemError(
            "no_tests", f"subtask '{rows.text_of(row, 'subtask')}' of problem '{problem}' has no test_names."
        )
    cases = row.get("test_cases")
    if cases is None:
        tests = load(int(rows.positive_number(row, "year", problem)), problem, names)
        return {name: tests[name] for name in names}
    by_name = cases if isinstance(cases, Mapping) else dict(zip(names, cases, strict=False))
    if missing := [name for name in names if by_name.get(name) is None]:
        raise ProblemError("no_tests", f"problem '{problem}' has no test_cases of its test '{missing[0]}'.")
    return {name: rows.parse_test(by_name[name], f"problem '{problem}', test {name}") for name in names}


def memory_in_mb(limit: float) -> float:
    """The published column is in bytes; a number too small to be bytes is taken for megabytes."""
    return limit / rows.BYTES_PER_MB if limit >= rows.BYTES_PER_MB else limit


def prepare_code(code: str, problem: str, graders: Mapping[str, bytes]) -> str:
    """The code with the lines that the published judge puts before it.

    Standard headers, the task's own header and `using namespace std`, each where it is missing; and `EVAL`, which IOI's
    build defines.
    """
    header = f"{problem}.h"
    has_header = re.search(rf'#\s*include\s*["<]{re.escape(header)}[">]', code)
    lines = ["#define EVAL 1", "#include <bits/stdc++.h>"]
    if header in graders and not has_header:
        lines.append(f'#include "{header}"')
    if "using namespace std;" not in code and "std::" not in code:
        lines.append("using namespace std;")
    return "\n".join([*lines, f'#line 1 "{problem}.cpp"', code])
