"""IOI: graders, subtasks, statuses and points, on the real sandbox."""

from __future__ import annotations

import contest_tasks as tasks
import pytest

from open_r1.execution.contests.ioi import Subtask, memory_in_mb, prepare_code, score_subtasks
from open_r1.execution.contests.rows import ProblemError
from open_r1.execution.judge.judge import Judge, shared_judge
from open_r1.execution.programs import Execution, Program, Status
from open_r1.execution.providers.scripted import ScriptedProvider, Trouble


@pytest.fixture
def total(ioi_tests):
    return Subtask.from_row(tasks.ioi_row(), ioi_tests.load)


@pytest.fixture
def halves(ioi_tests):
    return Subtask.from_row(tasks.halves_row(), ioi_tests.load)


def score(provider, subtask, code, batch_size=1):
    return score_subtasks(shared_judge(provider), [(subtask, code)], batch_size)[0]


@pytest.mark.parametrize(
    ("code", "value", "points", "status", "statuses"),
    [
        (tasks.TOTAL_RIGHT, 1.0, 70.0, "AC", ["AC", "AC", "AC", "AC"]),
        (tasks.TOTAL_BARE, 1.0, 70.0, "AC", ["AC", "AC", "AC", "AC"]),
        (tasks.TOTAL_OVERFLOWS, 0.0, 0.0, "WA", ["AC", "AC", "WA", "SKIPPED"]),
        (tasks.TOTAL_WRONG, 0.0, 0.0, "WA", ["WA", "SKIPPED", "SKIPPED", "SKIPPED"]),
        (tasks.TOTAL_SLOW, 0.0, 0.0, "TLE", ["TLE", "SKIPPED", "SKIPPED", "SKIPPED"]),
        (tasks.TOTAL_HUNGRY, 0.0, 0.0, "MLE", ["MLE", "SKIPPED", "SKIPPED", "SKIPPED"]),
        (tasks.TOTAL_CRASHES, 0.0, 0.0, "RE", ["RE", "SKIPPED", "SKIPPED", "SKIPPED"]),
        (tasks.TOTAL_BROKEN, 0.0, 0.0, "CE", ["CE", "SKIPPED", "SKIPPED", "SKIPPED"]),
        ("int main() {}", 0.0, 0.0, "CE", ["CE", "SKIPPED", "SKIPPED", "SKIPPED"]),  # a second main, and no total
        (tasks.TOTAL_ANSWERS_ALONE, 0.0, 0.0, "WA", ["WA", "SKIPPED", "SKIPPED", "SKIPPED"]),
    ],
    ids="right bare overflow wrong slow hungry crash broken main answers-alone".split(),
)
def test_a_program_gets_the_least_of_its_tests(sandbox, total, code, value, points, status, statuses):
    result = score(sandbox, total, code)
    assert (result.score, result.points, result.status) == (value, points, status)
    assert list(result.statuses.values()) == statuses


@pytest.mark.parametrize(
    ("code", "value", "points", "status"),
    [
        (tasks.HALVES_RIGHT, 1.0, 100.0, "AC"),
        (tasks.HALVES_PARTIAL, 0.5, 50.0, "PA"),
        (tasks.HALVES_WRONG, 0.0, 0.0, "WA"),
    ],
    ids=["right", "partial", "wrong"],
)
def test_a_checker_decides_and_may_give_part_of_the_points(sandbox, halves, code, value, points, status):
    result = score(sandbox, halves, code)
    assert (result.score, result.points, result.status) == (value, points, status)


def test_a_test_with_part_of_the_points_does_not_end_a_subtask(sandbox, halves):
    result = score(sandbox, halves, tasks.HALVES_ZERO_LATER)
    assert list(result.statuses.values()) == ["PA", "WA", "SKIPPED"]
    assert result.score == 0.0


def test_a_test_in_several_subtasks_runs_once(ioi_tests):
    provider = ScriptedProvider(lambda program: b"beefcafe\nOK\n6\n")
    small = Subtask.from_row(tasks.ioi_row(subtask="01-small", score=30, test_names=["1-01"]), ioi_tests.load)
    full = Subtask.from_row(tasks.ioi_row(), ioi_tests.load)
    judge = Judge(provider)
    results = score_subtasks(judge, [(small, "code"), (full, "code")])
    again = score_subtasks(judge, [(full, "code")])
    assert [result.score for result in [*results, *again]] == [1.0, 0.0, 0.0]
    assert len(provider.asked) == 2  # 1-01, and 1-02 which fails


@pytest.mark.parametrize(("batch_size", "asked"), [(1, 1), (2, 2), (3, 3), (100, 4), (-1, 4), (0, 4)])
def test_a_batch_of_tests_runs_before_its_results_are_looked_at(total, batch_size, asked):
    provider = ScriptedProvider(lambda program: b"wrong")
    assert score(provider, total, "code", batch_size).score == 0.0
    assert len(provider.asked) == asked


def test_trouble_leaves_exactly_that_subtask_unscored_unless_a_zero_is_certain(total):
    def script(program: Program):
        if "broken service" in program.source and b"-7" in program.stdin:
            return Trouble.FAIL
        if "wrong anyway" in program.source and b"-7" not in program.stdin:
            return b"wrong"
        return {given.encode(): right.encode() for given, right in tasks.TOTAL_TESTS.values()}[program.stdin]

    codes = ["fine", "// broken service", "// broken service, but wrong anyway", "fine again"]
    results = score_subtasks(shared_judge(ScriptedProvider(script)), [(total, code) for code in codes], batch_size=-1)
    assert [(result.score, result.status) for result in results] == [
        (1.0, "AC"),
        (None, "UNSCORED"),
        (0.0, "WA"),
        (1.0, "AC"),
    ]
    assert [result.reason for result in results] == ["passed", "provider_error", "wrong_answer", "passed"]


def test_the_expected_output_and_the_checker_are_in_no_job_of_a_submission(halves):
    provider = ScriptedProvider(lambda program: b"1.0" if program.args else b"5 5\n")
    assert score(provider, halves, "the submission").score == 1.0
    submitted = [program for program in provider.asked if "the submission" in program.source]
    checked = [program for program in provider.asked if "the submission" not in program.source]
    assert (len(submitted), len(checked)) == (3, 3)
    for program in submitted:
        assert set(program.sources) == {"halves.h", "grader.cpp"} and program.files == {} and program.args == ()
    assert set(checked[0].files) == {"input.txt", "correct_output.txt", "solution_output.txt"}
    assert set(checked[0].sources) == {"help.h", "halves.h"}


def test_limits_are_the_problem_s(ioi_tests):
    subtask = Subtask.from_row(tasks.ioi_row(time_limit=2.5), ioi_tests.load)
    limits = subtask.tests["1-01"].limits
    assert limits is not None and (limits.cpu_s, limits.memory_mb) == (2.5, 256) and limits.wall_s > 2.5
    assert (memory_in_mb(2**31), memory_in_mb(512)) == (2048, 512)


def test_missing_headers_are_added_and_no_others():
    added = prepare_code("vector<int> v;", "total", {"total.h": b""})
    assert added.splitlines() == [
        "#define EVAL 1",
        "#include <bits/stdc++.h>",
        '#include "total.h"',
        "using namespace std;",
        '#line 1 "total.cpp"',
        "vector<int> v;",
    ]
    complete = prepare_code('#include "total.h"\nstd::vector<int> v;', "total", {"total.h": b""})
    assert "using namespace std;" not in complete and complete.count('"total.h"') == 1
    assert '"total.h"' not in prepare_code("int x;", "total", {})
    assert prepare_code("# include<total.h>\nint x;", "total", {"total.h": b""}).count("total.h") == 1


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        ({"task_type": "Communication"}, "unsupported", "of type Communication"),
        ({"time_limit": float("nan")}, "bad_limit", "time_limit = nan; it must be a number above 0"),
        ({"time_limit": 0}, "bad_limit", "time_limit = 0"),
        ({"memory_limit": "much"}, "bad_limit", "memory_limit = 'much'"),
        ({"memory_limit": float("inf")}, "bad_limit", "memory_limit = inf"),
        ({"grader_files": None}, "missing_column", "has no grader_files"),
        ({"grader_files": [["one"]]}, "bad_grader", "no pairs of a name and a text"),
        ({"grader_files": 5}, "bad_grader", "no pairs of a name and a text"),
        ({"test_names": []}, "no_tests", "has no test_names"),
        ({"test_names": ["1-01", "9-99"]}, "no_tests", r"1 of 2 tests of IOI 2031 'total' are not in .*such as 9-99"),
        ({"year": 2099}, "no_tests", "has no test files .* for IOI 2099"),
        ({"year": None}, "missing_column", "has no year"),
        ({"test_cases": [["in", "out"]]}, "no_tests", "no test_cases of its test '1-02'"),
        ({"test_cases": [["in"]] * 4}, "bad_test", "a test has 'input' and 'output'"),
        ({"test_cases": [{"input": "1", "ouput": "2"}] * 4}, "bad_test", "no 'output'; did you mean 'ouput'"),
    ],
)
def test_a_row_that_can_t_be_judged_says_what_is_wrong(ioi_tests, changes, reason, message):
    with pytest.raises(ProblemError, match=message) as raised:
        Subtask.from_row(tasks.ioi_row(**changes), ioi_tests.load)
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    "cases",
    [
        [["f00dcafe 1 4", "beefcafe OK 4"], ["f00dcafe 1 5", "beefcafe OK 5"]],
        [{"input": "f00dcafe 1 4", "output": "beefcafe OK 4"}, {"input": "f00dcafe 1 5", "output": "beefcafe OK 5"}],
        {"b": ("f00dcafe 1 5", "beefcafe OK 5"), "a": ("f00dcafe 1 4", "beefcafe OK 4")},
    ],
    ids=["pairs", "mappings", "by-name"],
)
def test_tests_may_stand_in_the_row(sandbox, cases):
    def load(year, problem, names):
        raise AssertionError("not asked for")

    subtask = Subtask.from_row(tasks.ioi_row(test_names=["a", "b"], test_cases=cases), load)
    assert subtask.tests["b"].input == b"f00dcafe 1 5"
    assert score(sandbox, subtask, tasks.TOTAL_RIGHT).score == 1.0


@pytest.mark.parametrize(
    ("said", "is_scored"),
    [
        (b"0.25\n", True),
        (b"", False),
        (b"fine\n", False),
        (b"nan", False),
        (b"7", False),
        (b"-1", False),
        (b"1 1", False),
    ],
)
def test_a_checker_that_prints_no_points_leaves_the_subtask_unscored(halves, said, is_scored):
    provider = ScriptedProvider(lambda program: said if program.args else b"5 5\n")
    result = score(provider, halves, "the submission")
    assert (result.score, result.status) == ((0.25, "PA") if is_scored else (None, "UNSCORED"))
    assert is_scored or result.reason == "checker_error"


def test_a_checker_that_fails_on_a_bad_output_alone_has_seen_a_wrong_answer(halves):
    def script(program: Program):
        if not program.args:
            return b"\xff\xfe nothing the checker can read"
        is_control = program.files["solution_output.txt"] == program.files["correct_output.txt"]
        return b"1.0" if is_control else Execution(Status.FINISHED, exit_code=1, stderr=b"ValueError: bad output")

    provider = ScriptedProvider(script)
    result = score(provider, halves, "the submission")
    assert (result.score, result.status, result.reason) == (0.0, "WA", "wrong_answer")
    assert "though it accepts the expected output" in result.results["1"].detail
