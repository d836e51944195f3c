"""Codeforces problems, as in `open-r1/codeforces`: official tests in the row, generated ones in files, maybe a checker.

    problem = CodeforcesProblem.from_row(row, GeneratedTests.from_environment())
    result = score_programs(shared_judge(provider), [(problem, code, "cpp")], "partial")[0]
    result.judged.passed, result.value("partial")

Interactive problems, and those that the card of `open-r1/codeforces` calls not executable, are `unsupported`. Programs that
are to read input.txt and write output.txt get a few lines around them that bring what is left there back as standard output,
on any provider. They run in the submission's own box and are as much at its mercy as the rest of its output.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from open_r1.errors import ConfigError, nearest
from open_r1.execution.contests import rows
from open_r1.execution.contests.case_files import CODEFORCES_FOLDER, GeneratedTests
from open_r1.execution.contests.rows import ProblemError, Row, TestData
from open_r1.execution.judge.comparison import Comparison
from open_r1.execution.judge.judge import Judge, Reason, Submission, SubmissionResult, Test, TestResult
from open_r1.execution.judge.results import ProgramChecker
from open_r1.execution.programs import Program
from open_r1.text.languages import canonical_language

INPUT_FILE, OUTPUT_FILE = "input.txt", "output.txt"
SUBMISSION_FILE = "submission.py"

_PYTHON = """\
import atexit, gc, io, os


def arrange():
    folder, kept = os.getcwd(), os.dup(1)
    away = os.open(os.path.join(folder, "stdout.txt"), os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(away, 1)

    def show():
        for thing in gc.get_objects():
            if isinstance(thing, (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):
                try:
                    thing.flush()
                except Exception:
                    pass
        try:
            with open(os.path.join(folder, "output.txt"), "rb") as file:
                data = memoryview(file.read())
        except OSError:
            return
        while data:
            data = data[os.write(kept, data) :]

    atexit.register(show)


arrange()
with open("submission.py", encoding="utf-8") as file:
    source = file.read()
exec(compile(source, "submission.py", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
"""

_C_HELPERS = """\
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
static int file_mode_kept = -1;
static void file_mode_arrange(void) {
    int away = open("stdout.txt", O_WRONLY | O_CREAT, 0600);
    file_mode_kept = dup(1);
    if (away >= 0) { dup2(away, 1); close(away); }
}
static void file_mode_show(void) {
    static char block[65536];
    ssize_t count, done;
    int file;
    fflush(NULL);
    file = open("output.txt", O_RDONLY);
    while (file >= 0 && (count = read(file, block, sizeof block)) > 0)
        for (ssize_t at = 0; at < count; at += done)
            if ((done = write(file_mode_kept, block + at, count - at)) <= 0) return;
}
"""

_CPP = (
    "#include <iostream>\n"
    + _C_HELPERS
    + """\
namespace { struct FileMode {
    FileMode() { file_mode_arrange(); }
    ~FileMode() { std::cout.flush(); file_mode_show(); }
} file_mode; }
#line 1 "main.cpp"
"""
)

_C = (
    _C_HELPERS
    + """\
__attribute__((constructor)) static void file_mode_start(void) { file_mode_arrange(); }
__attribute__((destructor)) static void file_mode_end(void) { file_mode_show(); }
#line 1 "main.c"
"""
)


_PROBE = 'open("probe.txt", "w").write("written"); print(open("probe.txt").read())'


def can_write_files(judge: Judge) -> bool | None:
    """Whether programs have a folder to write to, found by a harmless one; None when that is not known now.

    Asked of a program of ours, since a submission that says so may only want not to be judged.
    """
    return judge.judge([Submission(Program(_PROBE), [Test(expected=b"written")])])[0].passed


def in_file_mode(program: Program) -> Program:
    """The program, its output.txt as standard output. ProblemError for a language that this isn't known for."""
    if program.language == "python":
        source = program.source.encode("utf-8", "surrogatepass")
        return replace(program, source=_PYTHON, files={**program.files, SUBMISSION_FILE: source})
    if program.language in ("c", "cpp"):
        return replace(program, source=(_CPP if program.language == "cpp" else _C) + program.source)
    raise ProblemError(
        "unsupported",
        f"problems with input.txt and output.txt can be judged in Python, C and C++, not {program.language}.",
    )


ScoringMode = Literal["weighted_sum", "pass_fail", "partial"]
SCORING_MODES: tuple[ScoringMode, ...] = get_args(ScoringMode)

NO_CODE_VALUE, COMPILE_ERROR = -1.0, -0.1
SHARE_WEIGHT = 0.1

PYTHON_PATCH = (
    "import collections, collections.abc, fractions, math, sys; sys.set_int_max_str_digits(0); fractions.gcd = math.gcd; "
    "vars(collections).update((name, getattr(collections.abc, name)) for name in collections.abc.__all__)\n"
)
_JUDGE_DEFINES = '#define ONLINE_JUDGE 1\n#line 1 "main.cpp"\n'
_NO_PYTHON = re.compile(r"exit status 1: (?:SyntaxError|IndentationError|TabError)\b")
_YES_NO = frozenset({b"yes", b"no"})


@dataclass(frozen=True)
class CodeforcesProblem:
    """A problem such as "852/A" with all its tests; `has_files` where it reads input.txt and writes output.txt."""

    id: str
    time_s: float
    memory_mb: float
    has_files: bool
    checker: ProgramChecker | None
    tests: tuple[TestData, ...]

    @classmethod
    def from_row(cls, row: Row, generated: GeneratedTests | None) -> CodeforcesProblem:
        """A row of the published columns. ProblemError for one that can't be judged, `no_tests` among them."""
        problem = rows.text_of(row, "id") or "?"
        check_kind(row, problem)
        checker = rows.text_of(row, "generated_checker")
        tests = tuple(read_tests(row, problem, generated))
        if not tests:
            raise ProblemError("no_tests", f"problem '{problem}' has no tests.")
        return cls(
            id=problem,
            time_s=rows.positive_number(row, "time_limit", problem),
            memory_mb=rows.positive_number(row, "memory_limit", problem),
            has_files=rows.text_of(row, "input_mode") == "file",
            checker=ProgramChecker(checker, prints_points=True, may_be_out_of_100=True) if checker else None,
            tests=tests,
        )

    @property
    def size(self) -> int:
        """Bytes of its tests."""
        return sum(test.size for test in self.tests)

    def submission(self, code: str, language: str, mode: ScoringMode, batch_size: int) -> Submission:
        """What the judge is to run: all tests, or until one fails where only passing all of them counts."""
        language = submission_language(language)
        source = _JUDGE_DEFINES + code if language in ("c", "cpp") else code
        program = Program(source, language)
        tests = tuple(map(self._test, self.tests))
        return Submission(
            in_file_mode(program) if self.has_files else program,
            tests,
            max_failures=0 if mode == "pass_fail" else None,
            batch_size=batch_size if batch_size >= 1 else len(tests),
        )

    def _test(self, data: TestData) -> Test:
        test = Test(
            data.input,
            data.expected,
            comparison=comparison_for(data.expected),
            checker=self.checker,
            limits=rows.contest_limits(self.time_s, self.memory_mb, data),
        )
        return replace(test, input=b"", files={INPUT_FILE: data.input}) if self.has_files else test


@dataclass(frozen=True)
class CodeforcesResult:
    """What a submission has of a problem; `judged` has each test."""

    problem: CodeforcesProblem
    judged: SubmissionResult

    @property
    def is_compile_error(self) -> bool:
        """It doesn't compile; of Python, it isn't Python."""
        first = self.judged.results[0]
        is_no_python = first.reason is Reason.RUNTIME_ERROR and _NO_PYTHON.match(first.detail) is not None
        return is_no_python or any(result.reason is Reason.COMPILE_ERROR for result in self.judged.results)

    @property
    def reason(self) -> str:
        """Why, as the judge's code: of the first test that is unknown or failed."""
        return Reason.COMPILE_ERROR.value if self.is_compile_error else self.judged.reason

    def value(self, mode: ScoringMode) -> float | None:
        """The reward: -0.1 where it doesn't compile, else as the mode says; None (unscored) where it isn't known."""
        if self.is_compile_error:
            return COMPILE_ERROR
        if mode == "pass_fail":
            return None if self.judged.passed is None else float(self.judged.passed)
        share = self.judged.share
        if share is None or mode == "partial":
            return share
        return float(share == 1.0) + SHARE_WEIGHT * share


def score_programs(
    judge: Judge,
    entries: Sequence[tuple[CodeforcesProblem, str, str]],
    mode: ScoringMode = "weighted_sum",
    batch_size: int = 1,
) -> list[CodeforcesResult]:
    """A result for each (problem, code, language), in order. Never raises for what is wrong with one of them."""
    results: dict[int, SubmissionResult] = {}
    submissions: dict[int, Submission] = {}
    is_readonly = any(problem.has_files for problem, _, _ in entries) and can_write_files(judge) is False
    for place, (problem, code, language) in enumerate(entries):
        try:
            if problem.has_files and is_readonly:
                raise _no_files(problem)
            submissions[place] = problem.submission(code, language, mode, batch_size)
        except ProblemError as error:
            unknown = TestResult(Reason.UNAVAILABLE, detail=str(error), cause=error.reason)
            results[place] = SubmissionResult((unknown,) * len(problem.tests))
    judged = judge.judge(list(submissions.values()))
    results |= dict(zip(submissions, judged, strict=True))
    return [CodeforcesResult(problem, results[place]) for place, (problem, _, _) in enumerate(entries)]


def _no_files(problem: CodeforcesProblem) -> ProblemError:
    return ProblemError(
        "unsupported",
        f"problem '{problem.id}' is to be written to {OUTPUT_FILE}, but programs can't write files on this provider "
        "(for the local one, see `open-r1 executor check`); leave out rows whose input_mode is file.",
    )


def patch_code(code: str, language: str) -> str:
    """A submission with what models leave out: C++'s headers and `std`; for Python what its older versions had."""
    language = submission_language(language)
    if language == "cpp":
        std = "" if "using namespace std;" in code or "std::" in code else "using namespace std;\n"
        return f'#include <bits/stdc++.h>\n{std}#line 1 "main.cpp"\n{code}'
    if language != "python" or "from __future__" in code:
        return code
    return PYTHON_PATCH + code


def check_scoring_mode(mode: str) -> ScoringMode:
    """ConfigError for a mode that there isn't."""
    if mode not in SCORING_MODES:
        raise ConfigError(
            f"code_eval_scoring_mode = '{mode}' is unknown{nearest(mode, SCORING_MODES)} "
            f"Choose one of {', '.join(SCORING_MODES)}."
        )
    return mode


def check_kind(row: Row, problem: str) -> None:
    """ProblemError for a problem that can't be judged by running it on a test's input."""
    mode = rows.text_of(row, "input_mode") or "stdio"
    fault = ""
    if rows.text_of(row, "interaction_format"):
        fault = (
            "is interactive: its submission talks with another program while it runs, which a provider can't do; leave "
            "such rows out (those with an interaction_format)"
        )
    elif row.get("executable") is not None and not row["executable"]:
        fault = "is marked as not executable; leave such rows out"
    elif mode not in ("stdio", "file"):
        fault = f"has input_mode '{mode}'; known: stdio, file"
    if fault:
        raise ProblemError("unsupported", f"Codeforces problem '{problem}' {fault}.")


def read_tests(row: Row, problem: str, generated: GeneratedTests | None) -> list[TestData]:
    """Official tests, then generated ones where the row says that there are some. ConfigError without their folder."""
    tests = rows.parse_tests(row.get("official_tests"), f"official_tests of problem '{problem}'")
    if isinstance(row.get("generated_tests"), list | tuple):
        return tests + rows.parse_tests(row["generated_tests"], f"generated_tests of problem '{problem}'")
    count = rows.number_or(row, "generated_tests", 0)
    if count <= 0:
        return tests
    if generated is None:
        raise ConfigError(
            f"problem '{problem}' has {count:g} generated tests, which are in files of their own, and without which weak "
            f"programs pass: set {CODEFORCES_FOLDER} to the folder that contains them, or leave the column generated_tests "
            "out of the data to judge by official tests alone."
        )
    contest = rows.text_of(row, "contest_id") or problem.partition("/")[0]
    return tests + generated.load(problem, contest)


def comparison_for(expected: bytes) -> Comparison:
    """By tokens; where the only words are yes and no, in any case, as Codeforces has it."""
    words = {token.lower() for token in expected.split() if token[:1].isalpha()}
    return Comparison("tokens", ignores_case=bool(words) and words <= _YES_NO)


def submission_language(name: str) -> str:
    """The language of the data sets' names: "cpp", "C++17 (GCC 7-32)", "PyPy 3-64", "python3"."""
    lowered = name.strip().lower()
    if "pypy" in lowered or "python" in lowered:
        return "python"
    if "c++" in lowered or lowered.startswith(("cpp", "g++")):
        return "cpp"
    return canonical_language(lowered)
