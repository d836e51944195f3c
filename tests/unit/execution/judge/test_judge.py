"""The judge on a provider that follows a script: what is run, how often, and what the results mean."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import pytest

from open_r1.execution.judge import judge as judge_module
from open_r1.execution.judge.judge import (
    MAX_SOURCE_BYTES,
    Judge,
    Reason,
    Submission,
    SubmissionResult,
    Test,
    TestResult,
    shared_judge,
)
from open_r1.execution.judge.results import ProgramChecker
from open_r1.execution.programs import Execution, Limits, Program, Provider, Status
from open_r1.execution.providers.scripted import ScriptedProvider, Trouble


def echo(program: Program) -> Execution:
    """A machine on which every program prints its input."""
    return finished(program.stdin)


def finished(stdout: bytes, exit_code: int = 0, stderr: bytes = b"") -> Execution:
    return Execution(Status.FINISHED, stdout=stdout, stderr=stderr, exit_code=exit_code, wall_s=0.01)


def same(*inputs: str) -> tuple[Test, ...]:
    """Tests that `echo` passes."""
    return tuple(Test(text.encode(), text.encode()) for text in inputs)


WRONG = Test(b"1", b"2")


def judge_one(
    answer: Callable[[Program], Execution | bytes | Trouble], *tests: Test, **options: int
) -> SubmissionResult:
    with ScriptedProvider(answer) as provider:
        return Judge(provider).judge([Submission(Program("p"), tests, **options)])[0]


def reasons(judged: SubmissionResult) -> list[str]:
    return [result.reason.value for result in judged.results]


ENDS = [
    (finished(b"1"), Reason.PASSED, ""),
    (finished(b"2"), Reason.WRONG_ANSWER, "token 1: expected '1', got '2'"),
    (finished(b""), Reason.WRONG_ANSWER, "token 1: expected '1', got nothing"),
    (finished(b"1", 1, b"Traceback\nValueError: no"), Reason.RUNTIME_ERROR, "exit status 1: ValueError: no"),
    (finished(b"1", -11), Reason.RUNTIME_ERROR, "exit status -11"),
    (Execution(Status.FINISHED, stdout=b"1"), Reason.RUNTIME_ERROR, "exit status None"),
    (Execution(Status.TIME_LIMIT, stdout=b"1"), Reason.TIME_LIMIT, ""),
    (Execution(Status.MEMORY_LIMIT, stdout=b"1"), Reason.MEMORY_LIMIT, ""),
    (Execution(Status.OUTPUT_LIMIT, stdout=b"1"), Reason.OUTPUT_LIMIT, ""),
    (Execution(Status.COMPILE_ERROR, stderr=b"x.cpp:1: error"), Reason.COMPILE_ERROR, "x.cpp:1: error"),
    (Execution.unavailable("rate_limited", "429"), Reason.UNAVAILABLE, "429"),
]


@pytest.mark.parametrize(("execution", "reason", "detail"), ENDS, ids=[str(reason) for _, reason, _ in ENDS])
def test_every_end_of_a_run_has_its_reason(execution: Execution, reason: Reason, detail: str) -> None:
    judged = judge_one(lambda program: execution, Test(b"", b"1"))
    assert judged.results[0].reason is reason
    assert detail in judged.results[0].detail
    assert judged.share == {Reason.PASSED: 1.0, Reason.UNAVAILABLE: None}.get(reason, 0.0)
    assert judged.passed == {Reason.PASSED: True, Reason.UNAVAILABLE: None}.get(reason, False)
    assert judged.reason == ("rate_limited" if reason is Reason.UNAVAILABLE else reason.value)


def test_a_share_is_of_all_tests_and_unknown_when_one_is() -> None:
    assert judge_one(echo, *same("1", "2"), WRONG, *same("4")).share == 0.75
    judged = judge_one(
        lambda program: Trouble.FAIL if program.stdin == b"2" else program.stdin, *same("1", "2"), WRONG
    )
    assert (judged.share, judged.passed, judged.reason) == (None, False, "provider_error")
    assert judged.first_failed is judged.results[2]
    assert SubmissionResult(()).share is SubmissionResult(()).passed is None
    assert SubmissionResult(()).reason == "no_tests"


@pytest.mark.parametrize("trouble", list(Trouble))
def test_trouble_leaves_exactly_the_affected_submission_unscored(trouble: Trouble) -> None:
    def answer(program: Program) -> bytes | Trouble:
        return trouble if program.source == "bad" and program.stdin == b"3" else program.stdin

    tests = same(*"12345")
    with ScriptedProvider(answer, hang_s=0.05) as provider:
        programs = ["good", "bad", "fine"]
        results = Judge(provider).judge([Submission(Program(source), tests) for source in programs])
    assert [judged.share for judged in results] == [1.0, None, 1.0]
    assert results[1].reason == trouble.value


class Raising(Provider):
    """A provider that breaks its promise never to raise."""

    name = "raising"

    def __init__(self, at_submit: bool) -> None:
        super().__init__()
        self.at_submit = at_submit

    def execute(self, program: Program) -> Execution:
        raise OSError("the cable is out")

    def submit(self, program: Program) -> Future[Execution]:
        if self.at_submit:
            raise RuntimeError("cannot schedule new futures after shutdown")
        return super().submit(program)


@pytest.mark.parametrize("at_submit", [True, False])
def test_a_provider_that_raises_is_unavailable(at_submit: bool) -> None:
    with Raising(at_submit) as provider:
        judged = Judge(provider).judge([Submission(Program("p"), same("1", "2"))])[0]
    assert (judged.share, judged.reason) == (None, "provider_error")
    assert "after shutdown" in judged.results[0].detail or "cable is out" in judged.results[0].detail


def test_a_provider_that_answers_no_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_module, "STALL_LIMIT_S", 0.3)
    released = threading.Event()

    def answer(program: Program) -> bytes:
        if program.stdin != b"1":
            released.wait(60)
        return program.stdin

    started = time.monotonic()
    with ScriptedProvider(answer, concurrency=2) as provider:
        judge = Judge(provider)
        results = judge.judge([Submission(Program("a"), same("1")), Submission(Program("b"), same(*"23456789"))])
        assert time.monotonic() - started < 30
        assert results[0].share == 1.0
        assert {result.cause for result in results[1].results} == {"provider_stalled"}
        released.set()
        assert judge.judge([Submission(Program("b"), same("2"))])[0].share == 1.0


def test_tests_run_at_the_same_time_as_many_as_the_provider_takes() -> None:
    meeting = threading.Barrier(4, timeout=30)

    def answer(program: Program) -> bytes:
        meeting.wait()  # none gets past it before four have come
        return program.stdin

    with ScriptedProvider(answer, concurrency=4) as provider:
        submissions = [Submission(Program(source), same("1", "2")) for source in "ab"]
        assert [judged.share for judged in Judge(provider).judge(submissions)] == [1.0, 1.0]


def test_only_a_few_tests_are_on_their_way_at_once() -> None:
    class Counting(ScriptedProvider):
        open_now = most = 0

        def submit(self, program: Program) -> Future[Execution]:
            self.open_now += 1
            self.most = max(self.most, self.open_now)
            future = super().submit(program)
            future.add_done_callback(lambda done: setattr(self, "open_now", self.open_now - 1))
            return future

    with Counting(echo, concurrency=3) as provider:
        Judge(provider).judge([Submission(Program(str(n)), same(*map(str, range(50)))) for n in range(10)])
        assert len(provider.asked) == 500
        assert provider.most <= 6 + 3


def test_identical_pairs_run_once_in_a_batch_and_over_batches() -> None:
    tests = same("1", "2", "1")
    with ScriptedProvider(echo) as provider:
        judge = Judge(provider)
        for _ in range(2):
            results = judge.judge([Submission(Program("a"), tests), Submission(Program("a"), tests[1:])])
            assert [judged.share for judged in results] == [1.0, 1.0]
        assert sorted(program.stdin for program in provider.asked) == [b"1", b"2"]


DIFFERENT = [
    (Submission(Program("b"), same("1"))),
    (Submission(Program("a", "cpp"), same("1"))),
    (Submission(Program("a", args=("x",)), same("1"))),
    (Submission(Program("a", files={"f": b""}), same("1"))),
    (Submission(Program("a", sources={"f": b""}), same("1"))),
    (Submission(Program("a", limits=Limits(wall_s=1)), same("1"))),
    (Submission(Program("a"), (Test(b"1", b"2"),))),
    (Submission(Program("a"), (replace(same("1")[0], files={"f": b""}),))),
    (Submission(Program("a"), (replace(same("1")[0], limits=Limits()),))),
    (Submission(Program("a"), (replace(same("1")[0], checker=ProgramChecker("c")),))),
]


@pytest.mark.parametrize("other", DIFFERENT, ids=range(len(DIFFERENT)))
def test_pairs_that_differ_in_anything_run_each(other: Submission) -> None:
    with ScriptedProvider(echo) as provider:
        Judge(provider).judge([Submission(Program("a"), same("1")), other])
        assert len(provider.asked) >= 2


def test_what_is_unavailable_is_tried_again_and_the_cache_is_bounded() -> None:
    asked: Counter[bytes] = Counter()

    def answer(program: Program) -> bytes | Trouble:
        asked[program.stdin] += 1
        return Trouble.FAIL if asked[program.stdin] == 1 else program.stdin

    with ScriptedProvider(answer, concurrency=1) as provider:
        judge = Judge(provider, cache_size=2)
        submission = Submission(Program("a"), same("1", "2", "3"))
        assert [judge.judge([submission])[0].share for _ in range(3)] == [None, 1.0, 1.0]
        assert len(judge._cache) == 2
        assert asked[b"3"] == 2  # remembered; the oldest of the three was not
        assert asked.total() > 6


def test_pairs_that_two_threads_judge_at_once_run_once() -> None:
    may_end = threading.Event()

    def answer(program: Program) -> bytes:
        may_end.wait(30)
        return program.stdin

    shares: list[float | None] = []
    with ScriptedProvider(answer) as provider:
        judge = Judge(provider)

        def run() -> None:
            shares.append(judge.judge([Submission(Program("a"), same("1", "2"))])[0].share)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        may_end.set()
        for thread in threads:
            thread.join(30)
        assert (shares, len(provider.asked)) == ([1.0] * 4, 2)


def test_one_provider_has_one_shared_judge() -> None:
    with ScriptedProvider() as first, ScriptedProvider() as second:
        kept = shared_judge(first)
        assert shared_judge(first) is kept
        assert shared_judge(second) is not kept


@pytest.mark.parametrize(
    ("max_failures", "batch_size", "expected"),
    [
        (None, 1, "passed wrong_answer passed wrong_answer passed"),
        (0, 1, "passed wrong_answer skipped skipped skipped"),
        (0, 3, "passed wrong_answer passed skipped skipped"),
        (1, 1, "passed wrong_answer passed wrong_answer skipped"),
        (2, 1, "passed wrong_answer passed wrong_answer passed"),
        (0, 99, "passed wrong_answer passed wrong_answer passed"),
        (0, 0, "passed wrong_answer skipped skipped skipped"),
    ],
)
def test_tests_stop_early_at_the_end_of_a_batch(max_failures: int | None, batch_size: int, expected: str) -> None:
    tests = [*same("1"), WRONG, *same("3"), Test(b"4", b"5"), *same("6")]
    judged = judge_one(echo, *tests, max_failures=max_failures, batch_size=batch_size)
    assert " ".join(reasons(judged)) == expected
    assert judged.passed is False
    assert judged.share == expected.count("passed") / 5


def test_an_unknown_result_is_no_failure_and_stops_nothing() -> None:
    judged = judge_one(
        lambda program: Trouble.FAIL if program.stdin == b"1" else program.stdin, *same("1", "2"), max_failures=0
    )
    assert reasons(judged) == ["unavailable", "passed"]
    assert judged.passed is None


def test_a_program_that_does_not_compile_is_not_tried_on_every_test() -> None:
    with ScriptedProvider(lambda program: Execution(Status.COMPILE_ERROR, stderr=b"error"), concurrency=1) as provider:
        judged = Judge(provider).judge([Submission(Program("p", "cpp"), same(*map(str, range(50))))])[0]
        assert reasons(judged) == ["compile_error"] * 50
        assert len(provider.asked) <= 3


def test_a_program_that_is_too_large_fails_unseen_and_touches_no_other() -> None:
    sources = ["x" * (10 << 20), "é" * (MAX_SOURCE_BYTES // 2 + 1), "fine", "x" * MAX_SOURCE_BYTES]
    with ScriptedProvider(echo) as provider:
        results = Judge(provider).judge([Submission(Program(source), same("1", "2")) for source in sources])
        assert [judged.share for judged in results] == [0.0, 0.0, 1.0, 1.0]
        assert [judged.reason for judged in results[:2]] == ["program_too_large"] * 2
        assert "1024 KiB" in results[0].results[0].detail
        assert len(provider.asked) == 4


def test_a_test_s_files_and_limits_come_before_the_programs() -> None:
    test = Test(b"1", b"1", files={"a": b"test", "b": b"test"}, limits=Limits(wall_s=3))
    with ScriptedProvider(echo) as provider:
        program = Program("p", stdin=b"not this", files={"a": b"program", "c": b"program"}, limits=Limits(wall_s=9))
        assert Judge(provider).judge([Submission(program, [test])])[0].share == 1.0
        asked = provider.asked[0]
    assert asked.files == {"a": b"test", "b": b"test", "c": b"program"}
    assert (asked.limits.wall_s, asked.stdin) == (3, b"1")


# checkers


class Lenient:
    """A checker that takes what its program prints as the points."""

    digest = "lenient"

    def program(self, test: Test, output: bytes) -> Program:
        return Program("checker", stdin=output, files={"answer": test.expected})

    def read(self, test: Test, execution: Execution) -> TestResult:
        points = float(execution.stdout)
        return TestResult(Reason.PASSED if points == 1 else Reason.PARTIAL, points, "checked")


def with_checker(
    checker_says: Callable[[Program], Execution | bytes | Trouble], *tests: Test
) -> tuple[SubmissionResult, list[Program]]:
    def answer(program: Program) -> Execution | bytes | Trouble:
        return checker_says(program) if program.source == "checker" else b"out of " + program.stdin

    with ScriptedProvider(answer) as provider:
        tests = tests or (Test(b"1", b"SECRET", checker=Lenient()),)
        return Judge(provider).judge([Submission(Program("p"), tests)])[0], provider.asked


def test_the_expected_output_is_in_the_checker_s_job_and_in_no_other() -> None:
    call = Test(b'{"function": "f", "readings": [[1]]}', b"SECRET", "f")
    judged, asked = with_checker(
        lambda program: b"1", Test(b"1", b"SECRET", checker=Lenient()), Test(b"2", b"SECRET"), call
    )
    assert judged.results[0].reason is Reason.PASSED
    checks = [program for program in asked if program.source == "checker"]
    assert [check.stdin for check in checks] == [b"out of 1"]
    assert "SECRET" in repr(checks)
    assert len(asked) == 4
    assert "SECRET" not in repr([program for program in asked if program.source != "checker"])


def test_a_checker_may_give_part_of_the_points() -> None:
    judged, _ = with_checker(lambda program: b"0.25")
    result = judged.results[0]
    assert (result.reason, result.points, result.detail) == (Reason.PARTIAL, 0.25, "checked")
    assert (judged.share, judged.passed) == (0.0, False)


def test_a_checker_that_can_t_run_leaves_the_submission_unscored() -> None:
    judged, _ = with_checker(lambda program: Execution.unavailable("rate_limited"))
    assert (judged.share, judged.reason) == (None, "rate_limited")


def test_a_checker_whose_answer_makes_no_sense_leaves_the_submission_unscored() -> None:
    judged, _ = with_checker(lambda program: b"certainly")
    assert (judged.share, judged.reason) == (None, "checker_error")
    assert "ValueError" in judged.results[0].detail


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_checker_that_fails_on_an_output_but_not_on_the_expected_one_makes_it_wrong(is_broken: bool) -> None:
    def check(program: Program) -> Execution:
        took_it = program.files["output.txt"] == b"SECRET" and not is_broken
        return finished(b"fine") if took_it else finished(b"", -11)

    test = Test(b"1", b"SECRET", checker=ProgramChecker("checker"))
    judged, asked = with_checker(check, test, test)
    assert (judged.share, judged.reason) == ((None, "checker_error") if is_broken else (0.0, "wrong_answer"))
    assert "expected output" in judged.results[0].detail
    assert len([program for program in asked if program.files.get("output.txt") == b"SECRET"]) == 1


def test_a_checker_of_a_test_without_an_expected_output_is_tried_on_a_harmless_one() -> None:
    def check(program: Program) -> Execution:
        return finished(b"", 1) if program.files["output.txt"] == b"0\n" else finished(b"", -11)

    judged, _ = with_checker(check, Test(b"1", b"", checker=ProgramChecker("checker")))
    assert (judged.share, judged.reason) == (0.0, "wrong_answer")


def test_a_control_that_can_t_run_now_is_tried_again_later() -> None:
    ends = iter([finished(b"", -11), Execution.unavailable("rate_limited"), finished(b"", -11), finished(b"")])
    with ScriptedProvider(lambda program: next(ends) if program.source == "checker" else b"out") as provider:
        judge = Judge(provider)
        submission = Submission(Program("p"), [Test(b"1", b"2", checker=ProgramChecker("checker"))])
        assert [judge.judge([submission])[0].share for _ in range(2)] == [None, 0.0]


def test_a_program_may_write_as_much_as_is_expected_and_as_much_again() -> None:
    with ScriptedProvider(lambda program: b"x" * (3 << 20)) as provider:
        judged = Judge(provider).judge([Submission(Program("p"), [Test(b"", b"x" * (3 << 20))])])[0]
        assert (judged.passed, provider.asked[0].limits.output_kb) == (True, 6 * 1024 + 1)
        assert (
            Judge(provider).judge([Submission(Program("p"), [Test(b"", b"x" * (1 << 20))])])[0].reason
            == "output_limit"
        )


def test_half_a_surrogate_pair_in_a_program_reaches_no_provider() -> None:
    with ScriptedProvider(lambda program: b"1") as provider:
        Judge(provider).judge([Submission(Program("print('\ud800')"), [Test(b"", b"1")])])
        assert provider.asked[0].source == "print('?')"


def test_a_checker_is_not_asked_about_a_run_that_failed() -> None:
    with ScriptedProvider(lambda program: finished(b"1", 1)) as provider:
        judged = Judge(provider).judge([Submission(Program("p"), [Test(b"", b"1", checker=Lenient())])])[0]
        assert (judged.reason, len(provider.asked)) == ("runtime_error", 1)


PROGRAM_CHECKS = [
    (finished(b"fine"), "passed"),
    (finished(b"no", 1), "wrong_answer"),
    (finished(b"no", 2), "wrong_answer"),
    (finished(b"oh", 3), "checker_error"),
    (finished(b"", 1, b"Traceback (most recent call last):\nKeyError"), "checker_error"),
    (finished(b"", -9), "checker_error"),
    (Execution(Status.TIME_LIMIT), "checker_error"),
    (Execution(Status.COMPILE_ERROR), "checker_error"),
]


@pytest.mark.parametrize(("execution", "reason"), PROGRAM_CHECKS, ids=range(len(PROGRAM_CHECKS)))
def test_a_checker_program_s_exit_status_decides(execution: Execution, reason: str) -> None:
    judged, asked = with_checker(lambda program: execution, Test(b"1", b"2", checker=ProgramChecker("checker")))
    assert judged.reason == reason
    assert (judged.share is None) == (reason == "checker_error")
    assert asked[1].files == {"input.txt": b"1", "output.txt": b"out of 1", "answer.txt": b"2"}
    assert asked[1].args == ("input.txt", "output.txt", "answer.txt")
