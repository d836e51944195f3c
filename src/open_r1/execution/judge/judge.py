"""What a submission's runs mean: many programs, each with its tests, on one provider.

    judge = Judge(provider)
    results = judge.judge([Submission(Program("print(int(input()) + 1)"), (Test(b"1\n", b"2\n"),))])
    results[0].share        # 1.0

An expected output never enters a submission's job; it is compared here, or goes to the checker's job. A provider's
failure leaves a test `unavailable` and exactly its submission unscored.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from open_r1.execution.background import background_loop
from open_r1.execution.judge.function_call import UnreadableResultError, call_program, result_difference, result_in
from open_r1.execution.judge.results import (
    UNSCORED,
    Reason,
    Submission,
    SubmissionResult,
    Test,
    TestResult,
    control_outputs,
    read_control,
)
from open_r1.execution.programs import Execution, Limits, Program, Provider, Status

MAX_SOURCE_BYTES = 1 << 20
"""A larger program fails its tests unseen: nothing that a model writes as an answer is so long."""

CACHE_SIZE = 50_000

OUTPUT_FACTOR = 2
"""How many times as much as the expected output a program may write, where its limit is lower."""

DETAIL_CHARS = 300

STALL_LIMIT_S = 900.0
"""A provider that finishes nothing for so long, though each run has limits of its own, is taken for lost."""


class Judge:
    """Judges submissions on one provider, and remembers results. Safe to use from any thread.

    Args:
        provider: Where programs run; not closed by the judge.
        cache_size: How many results of (program, test) pairs to remember; unavailable ones never are.
    """

    def __init__(self, provider: Provider, cache_size: int = CACHE_SIZE) -> None:
        self.provider = provider
        self.cache_size = cache_size
        self._cache: OrderedDict[bytes, asyncio.Task[TestResult]] = OrderedDict()
        """Those that run, for others to wait for, and those that have ended."""
        self._num_finished = 0

    def judge(self, submissions: Sequence[Submission]) -> list[SubmissionResult]:
        """A result for each submission, in order. Never raises for what a submission or the provider does.

        At most twice as many tests as the provider runs at once are under way at any time, so memory stays bounded
        whatever tests and outputs add up to.
        """
        return asyncio.run_coroutine_threadsafe(self._judge(submissions), background_loop()).result()

    async def _judge(self, submissions: Sequence[Submission]) -> list[SubmissionResult]:
        turns = asyncio.Semaphore(2 * max(1, self.provider.concurrency))
        results: list[list[TestResult | None]] = [[None] * len(submission.tests) for submission in submissions]
        pairs = zip(submissions, results, strict=True)
        work = [asyncio.create_task(self._run_batches(submission, found, turns)) for submission, found in pairs]
        pending = set(work)
        while pending:
            num_finished = self._num_finished
            _, pending = await asyncio.wait(pending, timeout=STALL_LIMIT_S)
            if self._num_finished == num_finished:
                break
        for task in pending:
            task.cancel()
        return [_complete(found, task) for found, task in zip(results, work, strict=True)]

    async def _run_batches(
        self, submission: Submission, results: list[TestResult | None], turns: asyncio.Semaphore
    ) -> None:
        """Fill in the results of a submission's tests, a batch at a time, until enough have failed."""
        tests, most = submission.tests, submission.max_failures
        size = max(1, len(tests) if most is None else submission.batch_size)
        compile_errors: list[TestResult] = []

        async def settle(index: int) -> None:
            async with turns:
                result = compile_errors[0] if compile_errors else await self._result(submission.program, tests[index])
            results[index] = result
            if result.reason is Reason.COMPILE_ERROR:
                compile_errors.append(result)

        for start in range(0, len(tests), size):
            await asyncio.gather(*(settle(index) for index in range(start, min(start + size, len(tests)))))
            failures = sum(result is not None and result.has_failed and not result.points for result in results)
            if most is not None and failures > most:
                return

    async def _result(self, program: Program, test: Test) -> TestResult:
        """The result of a test: remembered, or of a run that others may wait for too."""
        if len(program.source.encode("utf-8", "surrogatepass")) > MAX_SOURCE_BYTES:
            detail = f"the program is larger than {MAX_SOURCE_BYTES >> 10} KiB"
            return TestResult(Reason.PROGRAM_TOO_LARGE, detail=detail)
        key = hashlib.sha256(repr((program, test)).encode()).digest()
        if key not in self._cache:
            self._cache[key] = asyncio.create_task(self._run(program, test))
            self._cache[key].add_done_callback(lambda done: self._end(key, done))
        self._cache.move_to_end(key)
        return await self._cache[key]

    def _end(self, key: bytes, done: asyncio.Task[TestResult]) -> None:
        self._num_finished += 1
        if done.cancelled() or done.result().reason in UNSCORED:
            self._cache.pop(key, None)
        while len(self._cache) > self.cache_size:
            self._cache.popitem(last=False)

    async def _run(self, program: Program, test: Test) -> TestResult:
        """Run one test of one program, and its checker where there is one."""
        try:
            execution = await self._execute(_job(program, test))
            return read_execution(execution) or await self._read_output(test, execution)
        except Exception as error:  # noqa: BLE001  recorded as data: this sample can't be judged, others can
            return TestResult(Reason.UNAVAILABLE, detail=_in_words(error), cause="judge_error")

    async def _read_output(self, test: Test, execution: Execution) -> TestResult:
        try:
            if test.checker is None:
                return _compare(test, execution)
            output = execution.stdout
            if test.function:
                output = result_in(output).encode("utf-8", "surrogatepass")
        except UnreadableResultError as error:
            return _measured(TestResult(Reason.WRONG_ANSWER, detail=str(error)), execution)
        checked = await self._check(test, output)
        if checked.reason is Reason.CHECKER_ERROR:
            control = Reason.UNAVAILABLE
            for right in control_outputs(test):
                control = (await self._check(test, right)).reason
                if control in (Reason.PASSED, Reason.PARTIAL, Reason.UNAVAILABLE):
                    break
            checked = read_control(test, checked, control)
        return _measured(checked, execution)

    async def _check(self, test: Test, output: bytes) -> TestResult:
        """What the test's checker says of an output."""
        assert test.checker is not None
        checked = await self._execute(test.checker.program(test, output))
        if checked.status is Status.UNAVAILABLE:
            return TestResult(Reason.UNAVAILABLE, detail=checked.detail, cause=checked.reason)
        try:
            return test.checker.read(test, checked)
        except Exception as error:  # noqa: BLE001  a checker may print anything; the control will show
            return TestResult(Reason.CHECKER_ERROR, detail=f"the checker's answer can't be read ({_in_words(error)})")

    async def _execute(self, program: Program) -> Execution:
        """A job's execution; a provider that raises, though it must not, has failed at this one."""
        try:
            return await asyncio.wrap_future(self.provider.submit(program))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Execution.unavailable("provider_closed")
        except Exception as error:  # noqa: BLE001  recorded as data
            return Execution.unavailable("provider_error", _in_words(error))


def _complete(results: Sequence[TestResult | None], task: asyncio.Task[None]) -> SubmissionResult:
    """The result of what has been found; tests without a result were skipped, or lost with the provider."""
    rest = TestResult(Reason.SKIPPED)
    if not task.done() or task.cancelled():
        rest = TestResult(Reason.UNAVAILABLE, cause="provider_stalled")
    elif error := task.exception():
        rest = TestResult(Reason.UNAVAILABLE, detail=_in_words(error), cause="judge_error")
    return SubmissionResult(tuple(result or rest for result in results))


_judges: weakref.WeakValueDictionary[int, Judge] = weakref.WeakValueDictionary()
_judges_lock = threading.Lock()


def shared_judge(provider: Provider) -> Judge:
    """The judge that all who hold one of this provider share, so that what one has run the others needn't."""
    with _judges_lock:
        return _judges.setdefault(id(provider), Judge(provider))


def _job(program: Program, test: Test) -> Program:
    """The program with a test's input, files and limits."""
    limits = room_for_output(test.limits or program.limits, len(test.expected))
    source = program.source.encode("utf-8", "replace").decode()  # half a surrogate pair can't travel
    program = replace(program, source=source, limits=limits, files={**program.files, **test.files})
    if test.function:
        return call_program(program, test.input)
    return replace(program, stdin=test.input)


def _compare(test: Test, execution: Execution) -> TestResult:
    compare = partial(result_difference, comparison=test.comparison) if test.function else test.comparison.difference
    try:
        difference = compare(test.expected, execution.stdout)
    except (UnreadableResultError, MemoryError):
        raise
    except Exception as error:  # the output did this: what is right is compared every day
        raise UnreadableResultError(f"the output can't be compared ({_in_words(error)})") from error
    result = (
        TestResult(Reason.PASSED, 1.0) if difference is None else TestResult(Reason.WRONG_ANSWER, detail=difference)
    )
    return _measured(result, execution)


def room_for_output(limits: Limits, expected_bytes: int) -> Limits:
    """The limits with an output limit that the expected output fits in twice."""
    needed_kb = OUTPUT_FACTOR * expected_bytes // 1024 + 1
    return replace(limits, output_kb=needed_kb) if needed_kb > limits.output_kb else limits


def read_execution(execution: Execution) -> TestResult | None:
    """What a run means by itself; None where it ended well and its output decides."""
    if execution.succeeded:
        return None
    is_finished = execution.status is Status.FINISHED
    reason = Reason.RUNTIME_ERROR if is_finished else Reason(execution.status)  # the others have the same names
    said = execution.stderr[-4 * DETAIL_CHARS :].decode("utf-8", "replace").strip().splitlines()
    detail = execution.detail or "".join(said[-1:])
    if reason is Reason.RUNTIME_ERROR:
        detail = f"exit status {execution.exit_code}: {detail}" if detail else f"exit status {execution.exit_code}"
    return _measured(TestResult(reason, detail=detail, cause=execution.reason), execution)


def _measured(result: TestResult, execution: Execution) -> TestResult:
    """The result with what the submission used."""
    used = {"wall_s": execution.wall_s, "cpu_s": execution.cpu_s, "memory_mb": execution.memory_mb}
    return replace(result, detail=result.detail[:DETAIL_CHARS], **used)


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
