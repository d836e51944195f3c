"""The same contest tasks have the same scores on this machine, on Piston, on Morph and on the executor service.

The servers behind Piston and the executor run programs in this machine's sandbox; Morph's kernel runs them without, so
that every program here is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import contest_tasks as tasks
import pytest
from protocol_servers import Fault, PistonServer, RouterServer, always
from service_thread import serving

from open_r1.execution.contests.codeforces import CodeforcesProblem, score_programs
from open_r1.execution.contests.ioi import Subtask, score_subtasks
from open_r1.execution.judge.judge import shared_judge
from open_r1.execution.programs import Provider
from open_r1.execution.providers.executor import ExecutorProvider
from open_r1.execution.providers.piston import PistonProvider
from open_r1.execution.providers.remote import RetryPolicy
from open_r1.execution.providers.wrapping import RouterProvider

QUICK_RETRIES = RetryPolicy(
    attempts=2, attempt_s=20.0, deadline_s=40.0, first_delay_s=0.05, max_delay_s=0.1, cool_down_s=0.1
)


def on_piston(sandbox: Provider, stack: ExitStack) -> Provider:
    server = stack.enter_context(PistonServer(sandbox.execute, always(Fault.ERROR, "poison")))
    return PistonProvider([server.url], requests_per_endpoint=2, policy=QUICK_RETRIES)


def on_morph(sandbox: Provider, stack: ExitStack) -> Provider:
    server = stack.enter_context(RouterServer("morph", always(Fault.ERROR, "poison")))
    return RouterProvider("morph", server.address, 2, policy=QUICK_RETRIES)


def on_executor(sandbox: Provider, stack: ExitStack) -> Provider:
    return ExecutorProvider(stack.enter_context(serving(sandbox)))


PROVIDERS: dict[str, Callable[[Provider, ExitStack], Provider]] = {
    "local": lambda sandbox, stack: sandbox,
    "piston": on_piston,
    "morph": on_morph,
    "executor": on_executor,
}


@pytest.fixture(params=list(PROVIDERS), scope="module")
def provider(request, sandbox) -> Iterator[Provider]:
    with ExitStack() as stack:
        made = PROVIDERS[request.param](sandbox, stack)
        yield made
        if made is not sandbox:
            made.close()


def test_ioi_subtasks(provider, ioi_tests):
    total = Subtask.from_row(tasks.ioi_row(test_names=["1-01", "2-01"]), ioi_tests.load)
    halves = Subtask.from_row(tasks.halves_row(test_names=["2", "3"]), ioi_tests.load)
    cases = [
        (total, tasks.TOTAL_RIGHT, 1.0, "AC"),
        (total, tasks.TOTAL_OVERFLOWS, 0.0, "WA"),
        (total, tasks.TOTAL_BROKEN, 0.0, "CE"),
        (halves, tasks.HALVES_RIGHT, 1.0, "AC"),
        (halves, tasks.HALVES_PARTIAL, 0.5, "PA"),
    ]
    if provider.name == "morph":  # compiles once a test
        cases = [cases[1], cases[4]]
    results = score_subtasks(shared_judge(provider), [(subtask, code) for subtask, code, *_ in cases])
    assert [(result.score, result.status) for result in results] == [(value, status) for *_, value, status in cases]


def test_codeforces_problems(provider, generated):
    total = CodeforcesProblem.from_row(tasks.cf_row(generated_tests=3), generated)
    pair = CodeforcesProblem.from_row(tasks.pair_row(), None)
    double = CodeforcesProblem.from_row(tasks.double_row(), None)
    cases = [
        (total, tasks.SUM_RIGHT, "python", 1.0, "passed"),
        (total, tasks.SUM_RIGHT_CPP, "cpp", 1.0, "passed"),
        (total, tasks.SUM_PARTIAL, "python", 6 / 7, "wrong_answer"),
        (total, tasks.SUM_BROKEN_CPP, "cpp", 0.0, "compile_error"),
        (pair, tasks.PAIR_RIGHT, "python", 1.0, "passed"),
        (pair, tasks.PAIR_RUBBISH, "python", 0.0, "wrong_answer"),
        (double, tasks.DOUBLE_RIGHT, "python", 1.0, "passed"),
        (double, tasks.DOUBLE_RIGHT_CPP, "cpp", 1.0, "passed"),
    ]
    if provider.name == "morph":
        cases = [case for case in cases if case[1] != tasks.SUM_RIGHT_CPP]
    results = score_programs(
        shared_judge(provider), [(problem, code, language) for problem, code, language, *_ in cases]
    )
    assert [(result.judged.share, result.reason) for result in results] == [
        (share, reason) for *_, share, reason in cases
    ]


@pytest.mark.parametrize("make", [on_piston, on_morph], ids=["piston", "morph"])
def test_a_service_that_fails_on_one_program_leaves_that_one_unscored(sandbox, make):
    problem = CodeforcesProblem.from_row(tasks.cf_row(), None)
    codes = [tasks.SUM_RIGHT, f"# poison\n{tasks.SUM_RIGHT}", tasks.SUM_PARTIAL]
    with ExitStack() as stack:
        provider = stack.enter_context(make(sandbox, stack))
        results = score_programs(shared_judge(provider), [(problem, code, "python") for code in codes])
    assert [result.judged.share for result in results] == [1.0, None, 0.75]
    assert results[1].reason in ("server_error", "provider_down")
