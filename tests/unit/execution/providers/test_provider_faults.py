"""Services that fail: exactly the programs they fail are unavailable, the others are right, and it ends in time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from protocol_servers import (
    E2BCloud,
    ExecutorServer,
    Fault,
    Faults,
    FusionServer,
    PistonServer,
    ProtocolServer,
    RouterServer,
    always,
    as_named,
    at_first,
    no_faults,
    run_in_kernel,
    source_in,
)

from open_r1.errors import ConfigError
from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.providers.e2b import E2BProvider
from open_r1.execution.providers.executor import ExecutorProvider
from open_r1.execution.providers.piston import PistonProvider
from open_r1.execution.providers.remote import RemoteProvider, RetryPolicy
from open_r1.execution.providers.sandbox_fusion import SandboxFusionProvider
from open_r1.execution.providers.wrapping import RouterProvider, read_frame, wrap
from open_r1.execution.service import routers

PATIENCE = RetryPolicy(
    attempts=2, attempt_s=2.0, deadline_s=8.0, first_delay_s=0.05, max_delay_s=0.2, clean_up_s=2.0, cool_down_s=5.0
)
WITH_KERNELS = replace(PATIENCE, attempt_s=8.0, deadline_s=25.0)
"""Where every program starts two interpreters."""

SMALL = Limits(wall_s=1.0, output_kb=64)

Make = Callable[[ExitStack, Faults], tuple[RemoteProvider, ProtocolServer]]


def quick(provider: type[RemoteProvider]) -> type[RemoteProvider]:
    """The provider with no time allowed for compiling, which would only make these tests wait."""
    return type(provider.__name__, (provider,), {"program_s": lambda self, program: program.limits.wall_s})


def evaluate(program: Program) -> Execution:
    """No sandbox is needed where programs only print."""
    text = program.source.partition("print(")[2].partition(")")[0].strip("'")
    return Execution(Status.FINISHED, text.encode() + b"\n", exit_code=0)


def piston(stack: ExitStack, faults: Faults) -> tuple[RemoteProvider, ProtocolServer]:
    server = stack.enter_context(PistonServer(evaluate, faults))
    return quick(PistonProvider)([server.url], requests_per_endpoint=32, policy=PATIENCE), server


def fusion(stack: ExitStack, faults: Faults) -> tuple[RemoteProvider, ProtocolServer]:
    server = stack.enter_context(FusionServer(evaluate, faults))
    return quick(SandboxFusionProvider)(server.url, 32, PATIENCE), server


def router(kind: str) -> Make:
    def make(stack: ExitStack, faults: Faults) -> tuple[RemoteProvider, ProtocolServer]:
        server = stack.enter_context(RouterServer(kind, faults))
        return quick(RouterProvider)(kind, server.address, 32, WITH_KERNELS), server

    return make


def e2b(stack: ExitStack, faults: Faults) -> tuple[RemoteProvider, ProtocolServer]:
    cloud = stack.enter_context(E2BCloud(faults))
    environment = stack.enter_context(pytest.MonkeyPatch.context())
    environment.setenv("E2B_API_URL", cloud.url)
    environment.setenv("E2B_SANDBOX_URL", cloud.url)
    environment.setenv("E2B_HTTP_VERSION", "1.1")
    return quick(E2BProvider)("e2b_0000", 32, policy=WITH_KERNELS), cloud


def executor(stack: ExitStack, faults: Faults) -> tuple[RemoteProvider, ProtocolServer]:
    server = stack.enter_context(ExecutorServer(evaluate, faults))
    return quick(ExecutorProvider)(server.url, policy=PATIENCE, silence_s=2.0), server


PROVIDERS: dict[str, Make] = {
    "piston": piston,
    "sandbox_fusion": fusion,
    "e2b router": router("e2b"),
    "morph router": router("morph"),
    "e2b": e2b,
    "executor": executor,
}

RUN_KERNELS = {"e2b", "e2b router", "morph router"}

REASONS: dict[Fault, set[str]] = {
    Fault.DROP: {"connection_failed"},
    Fault.ERROR: {"server_error"},
    Fault.BUSY: {"rate_limited"},
    Fault.HANG: {"timeout"},
    Fault.GARBAGE: {"garbled_reply"},
    Fault.OTHER_JSON: {"garbled_reply"},
    Fault.HALF: {"connection_failed", "garbled_reply"},
    Fault.DRIP: {"timeout"},
    Fault.ENDLESS: {"garbled_reply", "timeout"},
    Fault.COMPRESSED: {"garbled_reply"},
    Fault.MISCOUNT: {"garbled_reply"},
    Fault.REFUSED: {"refused"},
}

NOT_OF = {
    "e2b": {Fault.MISCOUNT, Fault.COMPRESSED, Fault.HALF},  # one program a sandbox; its client's own affair; see below
    "executor": {Fault.COMPRESSED, Fault.DRIP},  # said of a whole answer; as HANG
}

STRIKES_COMPANY = {"executor": {Fault.BUSY}}
"""A 429 of the executor is about the client: all that travels in its request waits and is tried again, together."""


@pytest.fixture(params=list(PROVIDERS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    "kind", [pytest.param(name, marks=pytest.mark.slow if name in RUN_KERNELS else ()) for name in PROVIDERS]
)
def test_a_fault_costs_exactly_the_programs_it_strikes(kind: str) -> None:
    faults = [fault for fault in Fault if fault not in NOT_OF.get(kind, set()) | STRIKES_COMPANY.get(kind, set())]
    bad = [Program(f"print('{fault}')  # fault: {fault}", limits=SMALL) for fault in faults]
    good = [Program(f"print('{index}')", limits=SMALL) for index in range(len(faults))]
    with ExitStack() as stack:
        provider, _ = PROVIDERS[kind](stack, as_named)
        stack.enter_context(provider)
        started = time.monotonic()
        executions = provider.run([program for pair in zip(good, bad, strict=True) for program in pair])
        took_s = time.monotonic() - started
    assert [execution.stdout for execution in executions[::2]] == [b"%d\n" % index for index in range(len(faults))]
    for fault, execution in zip(faults, executions[1::2], strict=True):
        assert execution.status is Status.UNAVAILABLE, fault
        assert execution.reason in REASONS[fault], (fault, execution)
        assert execution.detail
    assert took_s < 90


def test_an_executor_that_stays_busy_costs_all_that_travels_together() -> None:
    with ExitStack() as stack:
        provider, _ = executor(stack, as_named)
        stack.enter_context(provider)
        programs = [Program(f"print({index})", limits=SMALL) for index in range(3)]
        busy = Program("print('busy')  # fault: busy", limits=SMALL)
        executions = provider.run([*programs, busy])
        assert executions[-1].reason == "rate_limited"
        assert {execution.reason for execution in executions} <= {"", "rate_limited"}
        assert [execution.stdout for execution in provider.run(programs)] == [b"0\n", b"1\n", b"2\n"]


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.ERROR, Fault.BUSY, Fault.GARBAGE, Fault.MISCOUNT])
def test_what_fails_once_is_tried_again(kind: str, fault: Fault) -> None:
    if fault in NOT_OF.get(kind, ()):
        pytest.skip(f"{fault} is no fault of its own for {kind}")
    with ExitStack() as stack:
        provider, _ = PROVIDERS[kind](stack, at_first(fault))
        stack.enter_context(provider)
        executions = provider.run([Program(f"print('{word}')", limits=SMALL) for word in ("one", "two")])
    assert [execution.stdout for execution in executions] == [b"one\n", b"two\n"]


def test_a_refusal_is_not_tried_again(kind: str) -> None:
    with ExitStack() as stack:
        provider, server = PROVIDERS[kind](stack, always(Fault.REFUSED))
        stack.enter_context(provider)
        assert provider.execute(Program("print('poison')", limits=SMALL)).reason == "refused"
    asked = [
        path
        for path, _, _ in server.requests
        if path.rsplit("/", 1)[1] in ("execute", "run_code", "execute_batch", "executions")
    ]
    assert len(asked) <= 1


def test_a_server_that_is_not_there_is_given_up_in_time(kind: str) -> None:
    with ExitStack() as stack:
        provider, server = PROVIDERS[kind](stack, no_faults)
        stack.enter_context(provider)
        server.stop()
        started = time.monotonic()
        executions = provider.run([Program("print('one')", limits=SMALL)] * 40)
        took_s = time.monotonic() - started
        assert {execution.reason for execution in executions} <= {"connection_failed", "provider_down", "timeout"}
        assert took_s < 120
        if kind != "e2b":  # asks nobody
            with pytest.raises(ConfigError, match="does not answer"):
                provider.check()


def test_a_program_whose_machine_dies_is_tried_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        provider, cloud = e2b(stack, at_first(Fault.HALF))
        stack.enter_context(provider)
        assert provider.execute(Program("print('one')", limits=SMALL)).stdout == b"one\n"
        assert isinstance(cloud, E2BCloud) and cloud.made == 2


def test_every_sandbox_is_killed_whatever_happens() -> None:
    for fault in (Fault.HANG, Fault.GARBAGE, Fault.ERROR, Fault.DROP):
        with ExitStack() as stack:
            provider, cloud = e2b(stack, always(fault))
            stack.enter_context(provider)
            provider.run([Program(f"print('{word}')", limits=SMALL) for word in ("one", "poison", "two")])
            assert isinstance(cloud, E2BCloud)
            assert cloud.made >= 3 and not cloud.sandboxes


def test_more_programs_than_sandboxes_wait_for_one() -> None:
    with ExitStack() as stack:
        cloud = stack.enter_context(E2BCloud(most_sandboxes=1))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("E2B_API_URL", cloud.url)
        environment.setenv("E2B_SANDBOX_URL", cloud.url)
        environment.setenv("E2B_HTTP_VERSION", "1.1")
        policy = replace(PATIENCE, attempts=30, deadline_s=60, attempt_s=20)
        provider = stack.enter_context(quick(E2BProvider)("e2b_0000", 4, policy=policy))
        executions = provider.run([Program(f"print({index})", limits=SMALL) for index in range(6)])
    assert [execution.stdout for execution in executions] == [b"%d\n" % index for index in range(6)]


def test_an_unauthorized_client_is_told_so_at_once() -> None:
    class Strict(FusionServer):
        def respond(self, http, method, body, fault):  # type: ignore[no-untyped-def]
            from protocol_servers import send

            send(http, 401, b'{"message": "who are you?"}')

    with Strict(evaluate) as server, SandboxFusionProvider(server.url, 2, PATIENCE) as provider:
        executions = provider.run([Program("print(1)", limits=SMALL)] * 3)
        assert [execution.reason for execution in executions] == ["unauthorized"] * 3
        assert "who are you?" in executions[0].detail
        assert len(server.requests) == 3


def test_a_retry_after_is_heeded_and_one_beyond_the_deadline_ends_it() -> None:
    class Busy(FusionServer):
        wait_s = "1"

        def respond(self, http, method, body, fault):  # type: ignore[no-untyped-def]
            from protocol_servers import send

            if len(self.requests) < 2:
                send(http, 429, b"{}", {"Retry-After": self.wait_s})
            else:
                super().respond(http, method, body, fault)

    with Busy(evaluate) as server, SandboxFusionProvider(server.url, 2, PATIENCE) as provider:
        started = time.monotonic()
        assert provider.execute(Program("print(1)", limits=SMALL)).stdout == b"1\n"
        assert time.monotonic() - started >= 1
    with Busy(evaluate) as server, quick(SandboxFusionProvider)(server.url, 2, PATIENCE) as provider:
        server.wait_s = "55"
        assert provider.execute(Program("print(1)", limits=SMALL)).reason == "rate_limited"
        assert len(server.requests) == 1


def test_an_answer_that_was_paid_for_is_not_lost_when_cleaning_up_fails() -> None:
    class Messy(SandboxFusionProvider):
        async def attempt(self, program, session, clean_up):  # type: ignore[no-untyped-def]
            async def fail() -> None:
                raise RuntimeError("cleaning up failed")

            clean_up.push_async_callback(fail)
            return await super().attempt(program, session, clean_up)

    with FusionServer(evaluate) as server, Messy(server.url, 2, PATIENCE) as provider:
        assert provider.execute(Program("print(1)", limits=SMALL)).stdout == b"1\n"


SEARCH = """
import glob, os
def text_of(name):
    try:
        with open(name, errors="replace") as file:
            return file.read()
    except OSError:
        return ""
files = glob.glob("../**/*", recursive=True) + glob.glob("*") + [f"/proc/{os.getppid()}/cmdline"]
print([name for name in files if "def run" + "_job" in text_of(name)])
print("00000000000000000000000000000000:eNo=:00000000000000000000000000000000")
try:
    open(f"/proc/{os.getppid()}/mem", "rb")
    print("the parent's memory is open")
except OSError:
    print("closed")
"""


@pytest.mark.parametrize("kernel_user", ["this one", "an ordinary one"])
def test_no_program_can_learn_or_forge_the_frame(kernel_user: str) -> None:
    """The script knows the nonce, the program doesn't; what it prints in the frame's manner stays its output."""
    is_root = os.geteuid() == 0
    if is_root and not os.path.exists("/usr/bin/python3"):
        pytest.skip("NO PYTHON HERE that root could start as another user; run this as an ordinary user")
    script, nonce = wrap(Program(SEARCH, limits=SMALL))
    user = 60_123 if is_root and kernel_user == "an ordinary one" else None
    printed = run_in_kernel(script, "/usr/bin/python3" if is_root else sys.executable, user)
    execution = read_frame(printed, nonce, SMALL)
    assert execution.stdout.decode().splitlines() == ["[]", f"{'0' * 32}:eNo=:{'0' * 32}", "closed"], execution


@pytest.mark.parametrize("is_cell", [False, True])
def test_a_script_that_lies_in_a_file_is_taken_away(is_cell: bool) -> None:
    """As where our own router runs it, in a cell: the program must not find the nonce in the file beside it."""
    is_root = os.geteuid() == 0
    if is_root and not os.path.exists("/usr/bin/python3"):
        pytest.skip("NO PYTHON HERE that root could start as another user; run this as an ordinary user")
    script, nonce = wrap(Program("print(1)", limits=SMALL))
    text = routers.as_program(script, "python", SMALL, "mark").source if is_cell else script
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "main.py"
        file.write_text(text)
        if is_root:
            os.chown(folder, 60_123, 60_123)
        python, user = ("/usr/bin/python3", 60_123) if is_root else (sys.executable, None)
        done = subprocess.run([python, "main.py"], cwd=folder, capture_output=True, timeout=30, check=True, user=user)
        assert read_frame(done.stdout.decode(), nonce, SMALL).succeeded, done
        assert not file.exists()


def test_the_search_finds_what_is_not_hidden(tmp_path: Path) -> None:
    """The control of the test above."""
    (tmp_path / "work").mkdir()
    (tmp_path / "script.py").write_text("def run_job(job): ...")
    done = subprocess.run(
        [sys.executable, "-c", SEARCH], cwd=tmp_path / "work", capture_output=True, text=True, timeout=30, check=True
    )
    assert "script.py" in done.stdout and "the parent's memory is open" in done.stdout


def test_a_script_says_which_program_it_holds() -> None:
    """What the faults of these tests rest on."""
    assert source_in(wrap(Program("print('poison')"))[0]) == "print('poison')"
