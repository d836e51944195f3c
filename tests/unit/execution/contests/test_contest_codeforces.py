"""Codeforces: tests, checkers, limits, file mode and scoring modes, on the real sandbox."""

from __future__ import annotations

import contest_tasks as tasks
import pytest

from open_r1.errors import ConfigError
from open_r1.execution.contests.codeforces import (
    SCORING_MODES,
    CodeforcesProblem,
    check_scoring_mode,
    comparison_for,
    score_programs,
    submission_language,
)
from open_r1.execution.contests.rows import ProblemError
from open_r1.execution.judge.judge import shared_judge
from open_r1.execution.programs import Execution, Program, Status
from open_r1.execution.providers.scripted import ScriptedProvider, Trouble

SUM = CodeforcesProblem.from_row(tasks.cf_row(), None)
PAIR = CodeforcesProblem.from_row(tasks.pair_row(), None)
DOUBLE = CodeforcesProblem.from_row(tasks.double_row(), None)


def values(provider, problem, code, language="python"):
    """The value in each scoring mode."""
    judge = shared_judge(provider)
    return [score_programs(judge, [(problem, code, language)], mode)[0].value(mode) for mode in SCORING_MODES]


@pytest.mark.parametrize(
    ("code", "language", "share", "passes", "reason"),
    [
        (tasks.SUM_RIGHT, "python", 1.0, 1.0, "passed"),
        (tasks.SUM_RIGHT_CPP, "cpp", 1.0, 1.0, "passed"),
        (tasks.SUM_PARTIAL, "python", 0.75, 0.0, "wrong_answer"),
        (tasks.SUM_WRONG, "python", 0.0, 0.0, "wrong_answer"),
        (tasks.SUM_HUNGRY, "python", 0.0, 0.0, "memory_limit"),
        (tasks.SUM_CRASHES, "python", 0.0, 0.0, "runtime_error"),
    ],
    ids="right right-cpp partial wrong hungry crash".split(),
)
def test_a_program_gets_what_the_mode_says(sandbox, code, language, share, passes, reason):
    assert values(sandbox, SUM, code, language) == [pytest.approx(passes + 0.1 * share), passes, share]
    assert score_programs(shared_judge(sandbox), [(SUM, code, language)])[0].reason == reason


def test_a_slow_program_fails_at_the_problem_s_time_limit(sandbox):
    quick = CodeforcesProblem.from_row(
        tasks.cf_row(time_limit=0.2, official_tests=[{"input": "1 2", "output": "3"}]), None
    )
    result = score_programs(shared_judge(sandbox), [(quick, tasks.SUM_SLOW, "python")])[0]
    assert (result.reason, result.judged.share) == ("time_limit", 0.0)


@pytest.mark.parametrize(
    ("code", "language"),
    [(tasks.SUM_BROKEN_CPP, "cpp"), (tasks.SUM_BROKEN, "python"), ("  if x:\nprint(1)\n", "python")],
)
def test_what_does_not_compile_is_worth_the_same_in_every_mode(sandbox, code, language):
    assert values(sandbox, SUM, code, language) == [-0.1, -0.1, -0.1]
    assert score_programs(shared_judge(sandbox), [(SUM, code, language)])[0].reason == "compile_error"


@pytest.mark.parametrize(
    ("code", "passed"),
    [(tasks.PAIR_RIGHT, True), (tasks.PAIR_RIGHT_TOO, True), (tasks.PAIR_WRONG, False), (tasks.PAIR_RUBBISH, False)],
    ids=["right", "right-too", "wrong", "breaks-the-checker"],
)
def test_a_checker_decides_where_several_outputs_are_right(sandbox, code, passed):
    result = score_programs(shared_judge(sandbox), [(PAIR, code, "python")])[0]
    assert result.judged.passed is passed
    assert values(sandbox, PAIR, code) == [1.1, 1.0, 1.0] if passed else [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("code", "language", "passed"),
    [
        (tasks.DOUBLE_RIGHT, "python", True),
        (tasks.DOUBLE_RIGHT_CPP, "cpp", True),
        (tasks.DOUBLE_RIGHT_CPP.replace("ios::sync_with_stdio(false);", ""), "cpp", True),
        ('#include <fstream>\nstd::ifstream in("input.txt");\nstd::ofstream out("output.txt");\n'
         "int main() { int n; in >> n; out << 2 * n; }", "cpp", True),
        ('#include <stdio.h>\nint main(void) { int n; fscanf(fopen("input.txt", "r"), "%d", &n);\n'
         'fprintf(fopen("output.txt", "w"), "%d", 2 * n); return 0; }', "c", True),
        ("import sys\nsys.stdin = open('input.txt')\nsys.stdout = open('output.txt', 'w')\nprint(2 * int(input()))\n",
         "python", True),
        ("import threading\ndef main():\n    out = open('output.txt', 'w')\n"
         "    print(2 * int(open('input.txt').read()), file=out)\n"
         "threading.Thread(target=main).start()\n", "python", True),
        ("from __future__ import annotations\nprint('noise')\n" + tasks.DOUBLE_RIGHT, "python", True),
        ("print(2 * int(open('input.txt').read()))\n", "python", False),
        ("print(2 * int(input()))\n", "python", False),
        (tasks.DOUBLE_RIGHT + "raise SystemExit(1)\n", "python", False),
        (tasks.DOUBLE_RIGHT.replace("2 *", "3 *"), "python", False),
        (tasks.DOUBLE_RIGHT_CPP.replace("2 *", "3 *"), "cpp", False),
    ],
    ids="python cpp cpp-synced cpp-streams c python-redirects python-thread python-future prints-it reads-stdin "
    "bad-exit wrong cpp-wrong".split(),
)  # fmt: skip
def test_in_file_mode_output_txt_counts_and_nothing_else(sandbox, code, language, passed):
    result = score_programs(shared_judge(sandbox), [(DOUBLE, code, language)])[0]
    assert result.judged.passed is passed, result.judged


def test_file_mode_is_unscored_where_programs_can_t_write_or_the_language_isn_t_known():
    readonly = ScriptedProvider(lambda program: Execution(Status.FINISHED, exit_code=1, stderr=b"PermissionError"))
    results = score_programs(
        shared_judge(readonly), [(DOUBLE, tasks.DOUBLE_RIGHT, "python"), (SUM, tasks.SUM_RIGHT, "python")]
    )
    assert [(result.judged.share, result.reason) for result in results] == [
        (None, "unsupported"),
        (0.0, "runtime_error"),
    ]
    writable = ScriptedProvider(lambda program: b"written")
    results = score_programs(shared_judge(writable), [(DOUBLE, "code", "rust"), (SUM, "code", "rust")])
    assert [result.reason for result in results] == ["unsupported", "wrong_answer"]


def test_generated_tests_are_added_to_official_ones(generated):
    problem = CodeforcesProblem.from_row(tasks.cf_row(generated_tests=3), generated)
    assert [test.input for test in problem.tests[4:]] == [b"7 8", b"40 2", b"0 0"]
    assert [test.input for test in problem.tests[:2]] == [b"2 2\n", b"1 5\n"]  # CRLF is gone


def test_official_tests_may_be_an_object_of_lists():
    tests = {"input": ["1 2", "3 4"], "output": ["3", "7"]}
    assert len(CodeforcesProblem.from_row(tasks.cf_row(official_tests=tests), None).tests) == 2
    with pytest.raises(ProblemError, match="test 2 has no 'output'. Found: input"):
        CodeforcesProblem.from_row(tasks.cf_row(official_tests={"input": ["1", "2"], "output": ["3"]}), None)


@pytest.mark.parametrize(
    "changes",
    [{"generated_tests": float("nan")}, {"generated_tests": None}, {"executable": None}, {"input_mode": None}],
)
def test_columns_that_say_nothing_are_no_fault(changes):
    assert len(CodeforcesProblem.from_row(tasks.cf_row(**changes), None).tests) == 4


def test_generated_tests_may_stand_in_the_row():
    problem = CodeforcesProblem.from_row(tasks.cf_row(generated_tests=[{"input": "5 5", "output": "10"}]), None)
    assert problem.tests[4].expected == b"10"


def test_without_their_folder_generated_tests_are_asked_for():
    with pytest.raises(ConfigError, match="problem '9001/A' has 3 generated tests.*: set CF_TESTS_FOLDER"):
        CodeforcesProblem.from_row(tasks.cf_row(generated_tests=3), None)


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        ({"official_tests": []}, "no_tests", "has no tests"),
        ({"official_tests": None}, "no_tests", "has no tests"),
        ({"official_tests": "1 2"}, "bad_test", "is '1 2' .str., not a list of tests"),
        ({"official_tests": [{"input": "1", "answer": "2"}]}, "bad_test", "test 1 has no 'output'. Found: answer, input"),
        ({"official_tests": [{"input": "1", "output": None}]}, "bad_test", "test 1 has no 'output'. Found: input"),
        ({"official_tests": [7]}, "bad_test", "test 1 is 7 .int.; a test has 'input' and 'output'"),
        ({"interaction_format": "Ask `? x`"}, "unsupported", "is interactive"),
        ({"executable": False}, "unsupported", "not executable"),
        ({"input_mode": "pipe"}, "unsupported", "input_mode 'pipe'; known: stdio, file"),
        ({"time_limit": float("nan")}, "bad_limit", "time_limit = nan"),
        ({"time_limit": 0.0}, "bad_limit", "time_limit = 0.0"),
        ({"memory_limit": -1}, "bad_limit", "memory_limit = -1"),
        ({"memory_limit": None}, "missing_column", "has no memory_limit.* Found: .*time_limit"),
        ({"id": "77/A", "contest_id": "77", "generated_tests": 5}, "no_generated_tests", "77 are not in .*test_cases_0077"),
        ({"id": "9001/Z", "generated_tests": 5}, "no_generated_tests", "has no tests of problem '9001/Z'"),
        ({"contest_id": "../x", "generated_tests": 5}, "no_generated_tests", "not the number of a contest"),
    ],
)  # fmt: skip
def test_a_row_that_can_t_be_judged_says_what_is_wrong(generated, changes, reason, message):
    with pytest.raises(ProblemError, match=message) as raised:
        CodeforcesProblem.from_row(tasks.cf_row(**changes), generated)
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("checker", "reason"),
    [
        ("raise RuntimeError('broken')\n", "checker_error"),
        ("print('maybe')\n", "checker_error"),
        ("print(float('nan'))\n", "checker_error"),
        ("pass\n", "checker_error"),
        ("def main(:\n", "checker_error"),
        ("print(1)\nraise SystemExit(1)\n", "checker_error"),
        ("print(0)\n", "wrong_answer"),
        ("print(1)\n", "passed"),
        ("print(1.0)\n", "passed"),
        ("print(100)\n", "passed"),
        ("print(0.5)\n", "partial"),
        ("print(60)\n", "partial"),
    ],
)
def test_a_checker_that_is_broken_leaves_the_sample_unscored(sandbox, checker, reason):
    problem = CodeforcesProblem.from_row(tasks.pair_row(generated_checker=checker), None)
    results = score_programs(
        shared_judge(sandbox), [(problem, tasks.PAIR_RIGHT, "python"), (SUM, tasks.SUM_RIGHT, "python")]
    )
    assert [results[0].reason, results[1].reason] == [reason, "passed"]
    assert (results[0].judged.share is None) == (reason == "checker_error")


def test_an_unscored_test_is_a_zero_only_where_another_has_failed_for_certain():
    def script(program: Program):
        if program.stdin == b"1000 1\n":
            return Trouble.FAIL
        return b"4" if "always 4" in program.source else str(sum(map(int, program.stdin.split()))).encode()

    codes = ["always 4", "the sum"]
    for mode, expected in (("pass_fail", [0.0, None]), ("partial", [None, None]), ("weighted_sum", [None, None])):
        judge = shared_judge(ScriptedProvider(script))
        results = score_programs(
            judge, [(SUM, code, "python") for code in codes], check_scoring_mode(mode), batch_size=-1
        )
        assert [result.value(mode) for result in results] == expected


@pytest.mark.parametrize(
    ("mode", "batch_size", "asked"), [("pass_fail", 1, 1), ("pass_fail", 3, 3), ("partial", 1, 4)]
)
def test_tests_end_early_only_where_the_rest_can_t_matter(mode, batch_size, asked):
    provider = ScriptedProvider(lambda program: b"wrong")
    score_programs(shared_judge(provider), [(SUM, "code", "python")], mode, batch_size)
    assert len(provider.asked) == asked


def test_a_memory_limit_leaves_room_for_the_language_s_libraries(sandbox):
    small = CodeforcesProblem.from_row(tasks.cf_row(memory_limit=4.0), None)
    results = score_programs(
        shared_judge(sandbox), [(small, tasks.SUM_RIGHT_CPP, "cpp"), (small, tasks.SUM_RIGHT, "python")]
    )
    assert [result.judged.passed for result in results] == [True, True]


def test_limits_are_the_problem_s():
    provider = ScriptedProvider(lambda program: b"wrong")
    score_programs(
        shared_judge(provider), [(SUM, "code", "PyPy 3-64"), (SUM, "code", "C++17 (GCC 7-32)")], "pass_fail"
    )
    limits = {program.language: program.limits for program in provider.asked}
    assert (limits["python"].cpu_s, limits["cpp"].cpu_s) == (1.0, 1.0)
    assert limits["cpp"].memory_mb == 256 and limits["cpp"].wall_s > 1.0


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("cpp", "cpp"), ("C++17 (GCC 7-32)", "cpp"), ("c++20", "cpp"), ("cpp17", "cpp"), ("GNU C++", "cpp"),
        ("python", "python"), ("Python 3", "python"), ("PyPy 3-64", "python"), ("pypy3", "python"), ("py", "python"),
        ("Java", "java"), ("Rust", "rust"), ("c", "c"),
    ],
)  # fmt: skip
def test_the_data_sets_names_of_languages_are_understood(name, language):
    assert submission_language(name) == language


@pytest.mark.parametrize(
    ("expected", "found", "is_right"),
    [
        (b"YES\nNO\n", b"Yes no", True),
        (b"YES 5\n", b"yes 5", True),
        (b"abba\n", b"ABBA", False),
        (b"Yes abba\n", b"yes abba", False),
        (b"1 2\n", b"1\n2\n\n", True),
        (b"1.0\n", b"1", False),
    ],
)
def test_outputs_are_compared_by_tokens_and_yes_and_no_in_any_case(expected, found, is_right):
    assert (comparison_for(expected).difference(expected, found) is None) is is_right


def test_an_unknown_mode_is_an_error_with_the_nearest():
    with pytest.raises(ConfigError, match="'passfail' is unknown; did you mean 'pass_fail'"):
        check_scoring_mode("passfail")


ATTACKS = {
    "files": """\
for name in ("checker.py", "correct_output.txt", "solution_output.txt", "answer.txt", "input.txt"):
    open(name, "w").write("print(1)")
print(1)
""",
    "modules": """\
for name in ("sys", "json", "sitecustomize", "usercustomize"):
    open(name + ".py", "w").write("print(1); raise SystemExit(0)")
print(1)
""",
    "answers": """\
import os
found = ["../correct_output.txt", "correct_output.txt"]
for folder in (".", "..", "/", "/tmp", "/box", "/proc/self/fd"):
    try:
        found += [os.path.join(folder, name) for name in os.listdir(folder)]
    except OSError:
        pass
for path in found:
    try:
        print(open(path).read() if path.endswith(".txt") else "")
    except OSError:
        pass
""",
    "score": "print('1')\n",
    "points": "import sys\nprint('1.0')\nprint('1.0', file=sys.stderr)\n",
    "exit": "import os\nos.write(1, b'1\\n')\nos._exit(0)\n",
}


@pytest.mark.parametrize("attack", sorted(ATTACKS))
@pytest.mark.parametrize("problem", [SUM, PAIR], ids=["compared", "checked"])
def test_tricks_gain_nothing(sandbox, attack, problem):
    """Harmless ones: each writes, looks for or prints what a careless judge would take for a verdict."""
    result = score_programs(shared_judge(sandbox), [(problem, ATTACKS[attack], "python")])[0]
    assert (result.judged.share, result.reason) == (0.0, "wrong_answer")


def test_the_tricks_run_and_could_be_seen(sandbox):
    """The control of the test above: the same job finds a file that is there, so that not finding one says something."""
    attack = Program(ATTACKS["answers"], files={"input.txt": b"the input", "correct_output.txt": b"the answer"})
    assert b"the answer" in sandbox.execute(attack).stdout


def test_a_file_left_by_one_submission_is_not_there_for_its_checker_or_the_next(sandbox):
    leave = "open('left.txt', 'w').write('1 1')\nprint('0 0')\n"
    look = "import os\nprint(open('left.txt').read() if os.path.exists('left.txt') else '0 0')\n"
    problem = CodeforcesProblem.from_row(tasks.pair_row(official_tests=[{"input": "2", "output": "1 1"}]), None)
    results = score_programs(shared_judge(sandbox), [(problem, leave, "python"), (problem, look, "python")])
    assert [result.judged.share for result in results] == [0.0, 0.0]


def test_the_guide_s_example_runs(sandbox, repo, capsys):
    guide = (repo / "docs" / "guides" / "contests.md").read_text(encoding="utf-8")
    example = guide.partition("```python\n")[2].partition("```")[0]
    exec(compile(example, "contests.md", "exec"), {})
    assert f"# {capsys.readouterr().out.strip()}" in example
