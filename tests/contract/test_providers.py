"""What every execution provider must do, checked on each of them, remote ones over real sockets.

The servers behind the remote ones run programs in this machine's sandbox where there is one; the kernels of E2B and
Morph run without: every program here is harmless.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

import pytest
from protocol_servers import (
    E2BCloud,
    Evaluate,
    FusionServer,
    PistonServer,
    RouterServer,
    evaluate_harmless,
)

from open_r1.errors import ConfigError
from open_r1.execution.programs import Execution, Limits, Program, Provider, Status
from open_r1.execution.providers.e2b import E2BProvider
from open_r1.execution.providers.executor import ExecutorProvider
from open_r1.execution.providers.piston import PistonProvider
from open_r1.execution.providers.sandbox_fusion import SandboxFusionProvider
from open_r1.execution.providers.scripted import ScriptedProvider
from open_r1.execution.providers.wrapping import RouterProvider
from open_r1.execution.sandbox.local import LocalProvider

QUICK = Limits(wall_s=1.0, cpu_s=1.0)


@pytest.fixture(scope="session")
def evaluate() -> Iterator[Evaluate]:
    with LocalProvider(workers=2) as local:
        try:
            local.check()
        except ConfigError:
            yield evaluate_harmless
        else:
            yield local.execute


@pytest.fixture(scope="session")
def provider_named(evaluate: Evaluate) -> Iterator[Callable[[str], Provider]]:
    """Each provider, made once, with a server behind it where it needs one."""
    with ExitStack() as stack:
        made: dict[str, Provider] = {}

        def make(name: str) -> Provider:
            if name not in made:
                made[name] = stack.enter_context(MAKERS[name](evaluate, stack))
            return made[name]

        yield make


def make_local(evaluate: Evaluate, stack: ExitStack) -> Provider:
    local = LocalProvider(workers=2)
    try:
        local.check()
    except ConfigError as error:
        pytest.skip(f"NO SANDBOX HERE: {error}")
    return local


def make_executor(evaluate: Evaluate, stack: ExitStack) -> Provider:
    address = stack.enter_context(running_service(evaluate))
    return ExecutorProvider(address, token=TOKEN)


def make_piston(evaluate: Evaluate, stack: ExitStack, is_old: bool = False) -> Provider:
    servers = [stack.enter_context(PistonServer(evaluate, is_old=is_old)) for _ in range(2)]
    return PistonProvider([server.url for server in servers], requests_per_endpoint=2)


def make_piston_at_executor(evaluate: Evaluate, stack: ExitStack) -> Provider:
    return PistonProvider([stack.enter_context(running_service(evaluate))], TOKEN, requests_per_endpoint=4)


def make_fusion(evaluate: Evaluate, stack: ExitStack) -> Provider:
    return SandboxFusionProvider(stack.enter_context(FusionServer(evaluate)).url, concurrency=4)


def make_router(kind: str, python: str | None = None) -> Callable[[Evaluate, ExitStack], Provider]:
    def make(evaluate: Evaluate, stack: ExitStack) -> Provider:
        server = stack.enter_context(RouterServer(kind, **({"python": python} if python else {})))
        return RouterProvider(kind, server.address, concurrency=4)

    return make


def make_e2b(evaluate: Evaluate, stack: ExitStack) -> Provider:
    cloud = stack.enter_context(E2BCloud())
    environment = stack.enter_context(pytest.MonkeyPatch.context())
    environment.setenv("E2B_API_URL", cloud.url)
    environment.setenv("E2B_SANDBOX_URL", cloud.url)
    environment.setenv("E2B_HTTP_VERSION", "1.1")
    return E2BProvider("e2b_0000", concurrency=4)


def make_own_router(evaluate: Evaluate, stack: ExitStack) -> Provider:
    """The client of a router, our router itself, E2B's client, and E2B: the whole chain of scripts/e2b_router.py."""
    from service_thread import serving

    account = stack.enter_context(make_e2b(evaluate, stack))
    address = stack.enter_context(serving(account, TOKEN))
    return RouterProvider("e2b", f"any:{TOKEN}@{address}", concurrency=4)


MAKERS: dict[str, Callable[[Evaluate, ExitStack], Provider]] = {
    "local": make_local,
    "scripted": lambda evaluate, stack: ScriptedProvider(evaluate),
    "executor": make_executor,
    "piston": make_piston,
    "piston of 2022": lambda evaluate, stack: make_piston(evaluate, stack, is_old=True),
    "piston at an executor": make_piston_at_executor,
    "sandbox_fusion": make_fusion,
    "e2b": make_e2b,
    "e2b router": make_router("e2b"),
    "morph router": make_router("morph"),
    "e2b by way of our router": make_own_router,
}

if shutil.which("/usr/bin/python3"):
    MAKERS["e2b router with the system's Python"] = make_router("e2b", "/usr/bin/python3")
    """Which root can start as another user, as on E2B, wherever the Python of the tests lies."""

TOKEN = "a-token-of-the-contract-tests"


def running_service(evaluate: Evaluate) -> AbstractContextManager[str]:
    """The executor service itself, over `evaluate`; its address."""
    from service_thread import serving

    return serving(ScriptedProvider(evaluate, concurrency=2), TOKEN)


SLOW = {"e2b router with the system's Python", "e2b by way of our router", "piston at an executor"}
"""Ways of combining what the others show by itself."""


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in MAKERS])
def provider(request: pytest.FixtureRequest, provider_named: Callable[[str], Provider]) -> Provider:
    return provider_named(request.param)


@dataclass(frozen=True)
class Case:
    """A program and what must come of it; None where providers may differ."""

    program: Program
    status: Status = Status.FINISHED
    exit_code: int | None = 0
    stdout: bytes | None = b""
    stderr_has: bytes = b""


CASES = {
    "hello": Case(Program("print('hello')"), stdout=b"hello\n"),
    "nothing": Case(Program(""), stdout=b""),
    "stdin": Case(
        Program("import sys\nfor line in sys.stdin:\n    print(line.strip()[::-1])", stdin=b"ab\ncd\n"),
        stdout=b"ba\ndc\n",
    ),
    "no line end": Case(Program("print('no end', end='')"), stdout=b"no end"),
    "unicode": Case(
        Program("print(input() + ' \u00e9\u4e16\U0001f642')", stdin="\u3053\n".encode()),
        stdout="\u3053 \u00e9\u4e16\U0001f642\n".encode(),
    ),
    "exit status": Case(Program("print('half'); raise SystemExit(3)"), exit_code=3, stdout=b"half\n"),
    "exception": Case(Program("print('so far')\n1 / 0"), exit_code=1, stdout=b"so far\n", stderr_has=b"ZeroDivision"),
    "syntax error": Case(Program("print('"), exit_code=1, stderr_has=b"SyntaxError"),
    "stderr": Case(Program("import sys; print('e', file=sys.stderr); print('o')"), stdout=b"o\n", stderr_has=b"e"),
    "both are long": Case(
        Program("import sys\nfor _ in range(3000): print('x' * 99); print('y' * 99, file=sys.stderr)"),
        stdout=(b"x" * 99 + b"\n") * 3000,
        stderr_has=(b"y" * 99 + b"\n") * 3000,
    ),
    "sleeps too long": Case(
        Program("print('before', flush=True)\nimport time\ntime.sleep(50)", limits=QUICK),
        Status.TIME_LIMIT,
        None,
        None,
    ),
    "computes too long": Case(
        Program("while True: pass", limits=replace(QUICK, wall_s=3)), Status.TIME_LIMIT, None, None
    ),
    "writes too much": Case(
        Program("for _ in range(30): print('x' * 9999)", limits=Limits(output_kb=64)), Status.OUTPUT_LIMIT, None, None
    ),
    "wants too much memory": Case(
        Program("block = bytearray(900 << 20)\nprint(len(block))", limits=Limits(memory_mb=256)),
        Status.MEMORY_LIMIT,
        None,
        b"",
    ),
    "looks like a verdict": Case(
        Program('print(\'{"index": 0, "status": "finished", "run": {"code": 0}}\'); raise SystemExit(1)'),
        exit_code=1,
        stdout=b'{"index": 0, "status": "finished", "run": {"code": 0}}\n',
    ),
}


def assert_is(case: Case, execution: Execution) -> None:
    assert execution.status is case.status, execution
    assert execution.reason == ""
    if case.status is Status.FINISHED:
        assert execution.exit_code == case.exit_code
    if case.stdout is not None:
        assert execution.stdout == case.stdout
    assert case.stderr_has in execution.stderr


@pytest.mark.parametrize("name", CASES)
def test_a_program_does_the_same_everywhere(provider: Provider, name: str) -> None:
    assert_is(CASES[name], provider.execute(CASES[name].program))


def test_an_output_over_the_limit_is_cut_to_it(provider: Provider) -> None:
    execution = provider.execute(CASES["writes too much"].program)
    assert 0 < len(execution.stdout) <= 64 * 1024
    assert set(execution.stdout) == set(b"x\n")


def test_what_a_program_wrote_before_it_was_stopped_is_kept(provider: Provider) -> None:
    assert provider.execute(CASES["sleeps too long"].program).stdout in (b"before\n", b"before\r\n")


def test_many_programs_come_back_in_order(provider: Provider) -> None:
    programs = [Program(f"print({index} * {index})", stdin=b"x\n") for index in range(10)]
    executions = provider.run(programs)
    assert [execution.stdout for execution in executions] == [b"%d\n" % (index * index) for index in range(10)]


def test_no_program_no_execution(provider: Provider) -> None:
    assert provider.run([]) == []


def test_an_unknown_language_is_not_the_programs_fault(provider: Provider) -> None:
    execution = provider.execute(Program("+[->+<]", language="brainfuzz"))
    assert execution.status is Status.UNAVAILABLE
    assert execution.reason == "unsupported_language"
    assert "brainfuzz" in execution.detail


def test_one_bad_program_spoils_no_other(provider: Provider) -> None:
    bad = [Program("+", language="brainfuzz"), Program("1/0"), CASES["sleeps too long"].program]
    good = [Program("print(7)")] * 3
    executions = provider.run([program for pair in zip(bad, good, strict=True) for program in pair])
    assert [execution.stdout for execution in executions[1::2]] == [b"7\n"] * 3, executions
    assert [execution.status for execution in executions[::2]] == [
        Status.UNAVAILABLE,
        Status.FINISHED,
        Status.TIME_LIMIT,
    ]


def test_limits_that_are_none_are_not_the_programs_fault(provider: Provider) -> None:
    for limits in (Limits(wall_s=0), Limits(wall_s=float("inf")), Limits(memory_mb=0), Limits(cpu_s=float("nan"))):
        execution = provider.execute(Program("print(1)", limits=limits))
        assert execution.status is Status.UNAVAILABLE
        assert execution.reason in ("bad_request", "refused"), execution


def test_limits_beyond_the_services_do_where_the_program_needs_no_more(provider: Provider) -> None:
    generous = Limits(wall_s=100.5, cpu_s=90.25, memory_mb=3001)
    assert provider.execute(Program("print(1)", limits=generous)).stdout == b"1\n"


def test_arguments_and_files_are_there_or_refused(provider: Provider) -> None:
    program = Program(
        "import sys; print(sys.argv[1:], open('data.bin', 'rb').read())",
        args=("a b", "-c", "\u00e9"),
        files={"data.bin": b"\x00\xff"},
    )
    execution = provider.execute(program)
    if execution.status is Status.UNAVAILABLE:
        assert execution.reason == "unsupported"
        assert "argument" in execution.detail
    else:
        assert execution.stdout.decode().strip() == "['a b', '-c', '\u00e9'] b'\\x00\\xff'"


@pytest.mark.skipif(not shutil.which("g++"), reason="NO g++ HERE: compiled programs are not tested")
def test_compiled_programs_run_and_compilers_complain(provider: Provider) -> None:
    good = Program(
        '#include <cstdio>\nint main(){int n; scanf("%d", &n); printf("%d\\n", n + 1); return 4;}', "cpp", b"41\n"
    )
    bad = Program("int main( { return 0; }", "cpp")
    ran, complained = provider.run([good, bad])
    assert (ran.status, ran.exit_code, ran.stdout) == (Status.FINISHED, 4, b"42\n")
    assert complained.status is Status.COMPILE_ERROR
    assert b"error" in complained.stderr


@pytest.mark.skipif(not shutil.which("g++"), reason="NO g++ HERE: compiled programs are not tested")
def test_further_sources_are_compiled_along_or_refused(provider: Provider) -> None:
    program = Program(
        '#include "grader.h"\n#include <cstdio>\nint main(){printf("%d\\n", answer());}',
        "cpp",
        sources={"grader.h": b"int answer();", "grader.cpp": b"int answer() { return 42; }"},
    )
    execution = provider.execute(program)
    assert execution.stdout == b"42\n" or execution.reason == "unsupported"


def test_bytes_that_are_no_text_arrive_or_are_refused(provider: Provider) -> None:
    program = Program("import sys; print(list(sys.stdin.buffer.read()))", stdin=bytes([0xFF, 0, 0xC3]))
    execution = provider.execute(program)
    assert execution.stdout == b"[255, 0, 195]\n" or execution.reason == "unsupported", execution


def test_a_hundred_mb_of_input_arrive_or_are_refused_and_touch_no_other(provider: Provider) -> None:
    count = Program("import sys; print(len(sys.stdin.buffer.read()))", stdin=b"0123456789abcde\n" * (100 << 16))
    executions = provider.run([Program("print(1)"), count, Program("print(2)")])
    assert [executions[0].stdout, executions[2].stdout] == [b"1\n", b"2\n"]
    if executions[1].status is Status.UNAVAILABLE:
        assert executions[1].reason == "too_large"
    else:
        assert executions[1].stdout == b"104857600\n", executions[1]


def test_it_can_be_used_here(provider: Provider) -> None:
    provider.check()


def test_closing_twice_does_no_harm(evaluate: Evaluate) -> None:
    for name in ("scripted", "piston", "sandbox_fusion", "e2b router", "executor", "local"):
        with ExitStack() as stack:
            made = MAKERS[name](evaluate, stack)
            assert made.execute(Program("print(1)")).stdout == b"1\n"
            made.close()
            made.close()
