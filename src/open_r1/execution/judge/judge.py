"""What a submission's runs mean: many programs, each with its tests, on one provider.

    judge = Judge(provider)
    verdicts = judge.judge([Submission(Program("print(int(input()) + 1)"), (Test(b"1\n", b"2\n"),))])
    verdicts[0].share        # 1.0

Does: run tests in parallel, stop early where asked, run identical (program, test) pairs once, compare outputs, hand them
to a checker's own job. Does not: run programs itself (`base.Provider`) or say what a verdict is worth (`rewards`).

An expected output never enters a submission's job; it is compared here, or goes to the checker's job. A provider's
failure leaves a test `unavailable` and exactly its submission unscored.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

from open_r1.execution.judge.controls import Controls
from open_r1.execution.judge.function_call import (
    UnreadableResultError,
    call_program,
    result_difference,
    result_in,
)
from open_r1.execution.judge.verdict import (
    UNSCORED,
    Checker,
    Kind,
    Reason,
    Ruling,
    Submission,
    Test,
    TestResult,
    Verdict,
    digest_of,
    flat,
)
from open_r1.execution.programs import Execution, Limits, Program, Provider, Status

__all__ = [
    "UNSCORED",
    "Checker",
    "Judge",
    "Kind",
    "Reason",
    "Ruling",
    "Submission",
    "Test",
    "TestResult",
    "Verdict",
    "read_execution",
    "shared_judge",
]

MAX_SOURCE_BYTES = 1 << 20
"""A larger program fails its tests unseen: nothing that a model writes as an answer is so long."""

CACHE_SIZE = 50_000

OUTPUT_FACTOR = 2
"""How many times as much as the expected output a program may write, where its limit is lower."""

DETAIL_CHARS = 300

STALL_LIMIT_S = 900.0
"""A provider that finishes nothing for so long, though each run has limits of its own, is taken for lost."""

STALLED = "provider_stalled"


class Judge:
    """Judges submissions on one provider, and remembers results. Safe to use from any thread.

    Args:
        provider: Where programs run; not closed by the judge.
        cache_size: How many results of (program, test) pairs to remember; unavailable ones never are.
    """

    def __init__(self, provider: Provider, cache_size: int = CACHE_SIZE) -> None:
        self.provider = provider
        self.cache_size = cache_size
        self._cache: OrderedDict[bytes, TestResult] = OrderedDict()
        self._running: dict[bytes, Future[TestResult]] = {}
        self._controls = Controls(provider.submit)
        self._lock = threading.Lock()

    def judge(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """A verdict for each submission, in order. Never raises for what a submission or the provider does.

        Only a few more tests than the provider runs at once are on their way at any time, so memory stays bounded
        whatever tests and outputs add up to.
        """
        trials = [_Trial(submission) for submission in submissions]
        waiting = deque(task for trial in trials for task in trial.start())
        running: dict[Future[TestResult], list[tuple[_Trial, int]]] = {}
        window = 2 * max(1, self.provider.concurrency)
        while waiting or running:
            while waiting and len(running) < window:
                trial, index = waiting.popleft()
                result = trial.foreseen(index) or self._recall_or_run(trial, index)
                if isinstance(result, TestResult):
                    waiting.extend(trial.settle(index, result))
                else:
                    running.setdefault(result, []).append((trial, index))
            done, stuck = wait(running, STALL_LIMIT_S, FIRST_COMPLETED)
            if stuck and not done:
                _give_up(stuck)
                return [trial.verdict(rest=Reason.UNAVAILABLE, cause=STALLED) for trial in trials]
            for future in done:
                for trial, index in running.pop(future):
                    waiting.extend(trial.settle(index, future.result()))
        return [trial.verdict() for trial in trials]

    def _recall_or_run(self, trial: _Trial, index: int) -> TestResult | Future[TestResult]:
        """The result of a test where it is known; else the future of its run, which others may be waiting for too."""
        test = trial.tests[index]
        key = digest_of([trial.digest, test.digest])
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
            if key in self._running:
                return self._running[key]
            future = self._running[key] = Future()
        _Run(self.provider, self._controls, trial.program, test, future).start()
        future.add_done_callback(lambda done: self._remember(key, done))
        return future

    def _remember(self, key: bytes, done: Future[TestResult]) -> None:
        with self._lock:
            self._running.pop(key, None)
            result = done.result()
            if result.reason not in UNSCORED:
                self._cache[key] = result
                while len(self._cache) > self.cache_size:
                    self._cache.popitem(last=False)


_judges: weakref.WeakValueDictionary[int, Judge] = weakref.WeakValueDictionary()
_judges_lock = threading.Lock()


def shared_judge(provider: Provider) -> Judge:
    """The judge that all who hold one of this provider share, so that what one has run the others needn't."""
    with _judges_lock:
        return _judges.setdefault(id(provider), Judge(provider))


class _Trial:
    """A submission while it is judged: its tests in batches, until enough have failed."""

    def __init__(self, submission: Submission) -> None:
        self.program = submission.program
        self.tests = submission.tests
        self.max_failures = submission.max_failures
        self.batch_size = max(1, submission.batch_size) if submission.max_failures is not None else len(self.tests)
        self.results: list[TestResult | None] = [None] * len(self.tests)
        self.num_started = 0
        self.num_open = 0

    @cached_property
    def digest(self) -> bytes:
        program = self.program
        words = (program.source, program.language, *program.args, repr(program.limits))
        return digest_of([*words, *flat(program.sources), "", *flat(program.files)])

    @cached_property
    def is_too_large(self) -> bool:
        source = self.program.source
        return len(source) > MAX_SOURCE_BYTES or len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE_BYTES

    def start(self) -> list[tuple[_Trial, int]]:
        """The next batch of tests, each as (self, index); none when all are done or enough have failed."""
        first = self.num_started
        failures = sum(
            result is not None and result.has_failed and not result.points for result in self.results[:first]
        )
        if self.max_failures is not None and failures > self.max_failures:
            return []
        self.num_started = min(first + self.batch_size, len(self.tests))
        self.num_open = self.num_started - first
        return [(self, index) for index in range(first, self.num_started)]

    def foreseen(self, index: int) -> TestResult | None:
        """The result of a test that needs no run: the program is too large, or is known not to compile."""
        if self.is_too_large:
            detail = f"the program is larger than {MAX_SOURCE_BYTES >> 10} KiB"
            return TestResult(Reason.PROGRAM_TOO_LARGE, detail=detail)
        known = self.results[0]
        return known if known is not None and known.reason is Reason.COMPILE_ERROR else None

    def settle(self, index: int, result: TestResult) -> list[tuple[_Trial, int]]:
        """Take in a result; the tests to start now."""
        self.results[index] = result
        self.num_open -= 1
        return [] if self.num_open else self.start()

    def verdict(self, rest: Reason = Reason.SKIPPED, cause: str = "") -> Verdict:
        """The verdict, where `rest` is what became of the tests that have no result."""
        return Verdict(tuple(result or TestResult(rest, cause=cause) for result in self.results))


class _Run:
    """One test of one program: the submission's job, and the checker's where there is one. Ends in `future`."""

    def __init__(
        self, provider: Provider, controls: Controls, program: Program, test: Test, future: Future[TestResult]
    ) -> None:
        self.provider = provider
        self.controls = controls
        self.program = program
        self.test = test
        self.future = future

    def start(self) -> None:
        limits = room_for_output(self.test.limits or self.program.limits, len(self.test.expected))
        source = self.program.source.encode("utf-8", "replace").decode()  # half a surrogate pair can't travel
        program = replace(self.program, source=source, limits=limits, files={**self.program.files, **self.test.files})
        if self.test.kind is Kind.FUNCTION_CALL:
            program = call_program(program, self.test.input)
        else:
            program = replace(program, stdin=self.test.input)
        self._submit(program, self._take_execution)

    def _submit(self, program: Program, take: Callable[[Execution], TestResult | None]) -> None:
        """Have a job run, and its execution taken; the run ends with the result that `take` makes of it, if any."""

        def finish(job: Future[Execution]) -> None:
            try:
                result = take(_execution_of(job))
            except Exception as error:  # noqa: BLE001  recorded as data: this sample can't be judged, others can
                result = TestResult(Reason.UNAVAILABLE, detail=_in_words(error), cause="judge_error")
            if result is not None:
                _end(self.future, result)

        try:
            job = self.provider.submit(program)
        except Exception as error:  # noqa: BLE001  recorded as data: the provider can't take the job
            job = Future[Execution]()
            job.set_exception(error)
        job.add_done_callback(finish)

    def _take_execution(self, execution: Execution) -> TestResult | None:
        result = read_execution(execution)
        if result is not None:
            return result
        try:
            if self.test.checker is None:
                return self._compare(execution)
            check = self._check_of(self.test.checker, self._output_of(execution))
        except UnreadableResultError as error:
            return _measured(Reason.WRONG_ANSWER, execution, detail=str(error))
        measured = replace(execution, stdout=b"", stderr=b"")
        self._submit(check, lambda checked: self._take_check(measured, checked))
        return None

    def _check_of(self, checker: Checker, output: bytes) -> Program:
        """The checker's job; UnreadableResultError where it can be made for the expected output only."""
        try:
            return checker.program(self.test, output)
        except Exception as error:
            checker.program(self.test, self.test.expected)
            raise UnreadableResultError(f"the checker can't be given the output ({_in_words(error)})") from error

    def _take_check(self, execution: Execution, checked: Execution) -> TestResult | None:
        result = _read_check(self.test, execution, checked)
        if result.reason is not Reason.CHECKER_ERROR:
            return result
        self.controls.settle(self.test, result).add_done_callback(lambda done: _end(self.future, done.result()))
        return None

    def _output_of(self, execution: Execution) -> bytes:
        """What a checker is given: all that was written, or the result of the call as JSON."""
        if self.test.kind is Kind.FUNCTION_CALL:
            return result_in(execution.stdout).encode("utf-8", "surrogatepass")
        return execution.stdout

    def _compare(self, execution: Execution) -> TestResult:
        test = self.test
        try:
            if test.kind is Kind.FUNCTION_CALL:
                difference = result_difference(test.expected, execution.stdout, test.comparison)
            else:
                difference = test.comparison.difference(test.expected, execution.stdout)
        except (UnreadableResultError, MemoryError):
            raise
        except Exception as error:  # the output did this: what is right is compared every day
            raise UnreadableResultError(f"the output can't be compared ({_in_words(error)})") from error
        if difference is None:
            return _measured(Reason.PASSED, execution, points=1.0)
        return _measured(Reason.WRONG_ANSWER, execution, detail=difference)


def room_for_output(limits: Limits, expected_bytes: int) -> Limits:
    """The limits with an output limit that the expected output fits in twice."""
    needed_kb = OUTPUT_FACTOR * expected_bytes // 1024 + 1
    return replace(limits, output_kb=needed_kb) if needed_kb > limits.output_kb else limits


_REASON_OF = {
    Status.COMPILE_ERROR: Reason.COMPILE_ERROR,
    Status.TIME_LIMIT: Reason.TIME_LIMIT,
    Status.MEMORY_LIMIT: Reason.MEMORY_LIMIT,
    Status.OUTPUT_LIMIT: Reason.OUTPUT_LIMIT,
    Status.UNAVAILABLE: Reason.UNAVAILABLE,
}


def read_execution(execution: Execution) -> TestResult | None:
    """What a run means by itself; None where it ended well and its output decides."""
    if execution.succeeded:
        return None
    reason = _REASON_OF.get(execution.status, Reason.RUNTIME_ERROR)
    detail = execution.detail or _last_line(execution.stderr)
    if reason is Reason.RUNTIME_ERROR:
        detail = f"exit status {execution.exit_code}: {detail}" if detail else f"exit status {execution.exit_code}"
    return _measured(reason, execution, detail=detail)


def _read_check(test: Test, execution: Execution, checked: Execution) -> TestResult:
    """The result of a test whose output a checker has looked at."""
    if checked.status is Status.UNAVAILABLE:
        return _measured(Reason.UNAVAILABLE, execution, detail=checked.detail, cause=checked.reason)
    assert test.checker is not None
    try:
        ruling = test.checker.read(test, checked)
    except Exception as error:  # noqa: BLE001  a checker of the user's own may raise anything; the control will show
        ruling = Ruling(Reason.CHECKER_ERROR, 0.0, f"the checker's answer can't be read ({_in_words(error)})")
    return _measured(ruling.reason, execution, points=ruling.points, detail=ruling.detail)


def _measured(
    reason: Reason, execution: Execution, points: float = 0.0, detail: str = "", cause: str | None = None
) -> TestResult:
    cause = execution.reason if cause is None else cause
    used = (execution.wall_s, execution.cpu_s, execution.memory_mb)
    return TestResult(reason, points, detail[:DETAIL_CHARS], cause, *used)


def _execution_of(job: Future[Execution]) -> Execution:
    """A job's execution; a provider that raises, though it must not, has failed at this one."""
    if job.cancelled():
        return Execution.unavailable("provider_closed")
    error = job.exception()
    if error is not None:
        return Execution.unavailable("provider_error", _in_words(error))
    return job.result()


def _give_up(stuck: Iterable[Future[TestResult]]) -> None:
    for future in stuck:
        _end(future, TestResult(Reason.UNAVAILABLE, cause=STALLED))


def _end(future: Future[TestResult], result: TestResult) -> None:
    """Give a run its result, unless it was given up before."""
    with suppress(InvalidStateError):
        future.set_result(result)


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _last_line(stderr: bytes) -> str:
    lines = stderr[-4 * DETAIL_CHARS :].decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""
