"""Whether a checker works at all: shown by giving it what is right.

A checker that fails on a submission's output but accepts the expected one has stumbled over a bad output, which is a wrong
answer; were it unscored instead, a policy could hide failures behind outputs that break checkers. One that fails on the
expected output too says nothing about the submission.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from open_r1.execution.judge.verdict import Kind, Reason, Test, TestResult, digest_of
from open_r1.execution.programs import Execution, Program, Status

CONTROLS_KEPT = 100_000

HARMLESS_OUTPUT = b"0\n"
"""What a checker is given where the test has no expected output: whatever it says of it, it works if it says something."""

Submit = Callable[[Program], Future[Execution]]


class Controls:
    """Runs and remembers controls. Safe to use from any thread.

    Args:
        submit: Has a program run.
    """

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self._known: OrderedDict[bytes, Future[Reason]] = OrderedDict()
        self._lock = threading.Lock()

    def settle(self, test: Test, failed: TestResult) -> Future[TestResult]:
        """What a checker's failure on a submission's output means: a wrong answer, or nothing where the control fails."""
        settled: Future[TestResult] = Future()
        self._reason_of(test).add_done_callback(lambda done: settled.set_result(_settled(test, failed, done.result())))
        return settled

    def _reason_of(self, test: Test) -> Future[Reason]:
        assert test.checker is not None
        key = digest_of([test.checker.digest, test.input, test.expected])
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            reason = self._known[key] = Future()
            while len(self._known) > CONTROLS_KEPT:
                self._known.popitem(last=False)
        self._run(test, reason)
        reason.add_done_callback(lambda done: self._forget_unavailable(key, done.result()))
        return reason

    def _run(self, test: Test, reason: Future[Reason], place: int = 0) -> None:
        """Give the checker one right output after another until it takes one."""
        outputs = control_outputs(test)

        def finish(job: Future[Execution]) -> None:
            try:
                found = _read(test, job.result())
            except Exception:  # noqa: BLE001  a checker of the user's own may raise anything
                found = Reason.CHECKER_ERROR
            if found in (Reason.PASSED, Reason.PARTIAL, Reason.UNAVAILABLE) or place + 1 == len(outputs):
                reason.set_result(found)
            else:
                self._run(test, reason, place + 1)

        assert test.checker is not None
        try:
            job = self._submit(test.checker.program(test, outputs[place]))
        except Exception:  # noqa: BLE001
            reason.set_result(Reason.CHECKER_ERROR)
        else:
            job.add_done_callback(finish)

    def _forget_unavailable(self, key: bytes, reason: Reason) -> None:
        if reason is Reason.UNAVAILABLE:
            with self._lock:
                self._known.pop(key, None)


def control_outputs(test: Test) -> list[bytes]:
    """The outputs of which the checker should take one: the expected one, or for a call each right value."""
    if test.kind is not Kind.FUNCTION_CALL:
        return [test.expected or HARMLESS_OUTPUT]
    values = [value for value in json.loads(test.expected) if value is not None]
    return [json.dumps(value).encode("ascii") for value in values] or [HARMLESS_OUTPUT]


def _read(test: Test, execution: Execution) -> Reason:
    if execution.status is Status.UNAVAILABLE:
        return Reason.UNAVAILABLE
    assert test.checker is not None
    return test.checker.read(test, execution).reason


def _settled(test: Test, failed: TestResult, control: Reason) -> TestResult:
    accepted = (Reason.PASSED, Reason.PARTIAL)
    if control_outputs(test) == [HARMLESS_OUTPUT]:
        accepted = (*accepted, Reason.WRONG_ANSWER)
    if control in accepted:
        detail = f"{failed.detail}, though it accepts the expected output"
        return replace(failed, reason=Reason.WRONG_ANSWER, points=0.0, detail=detail)
    return replace(failed, detail=f"{failed.detail}, and on the expected output: {control}")
