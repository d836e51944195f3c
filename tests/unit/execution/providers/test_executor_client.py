"""The executor's client: answers as they come, limits of the service's."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from protocol_servers import ExecutorServer, Fault, send
from service_thread import serving

from open_r1.errors import ConfigError
from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.providers.executor import ExecutorProvider, name_client
from open_r1.execution.providers.remote import RetryPolicy
from open_r1.execution.providers.scripted import ScriptedProvider

PATIENCE = RetryPolicy(attempts=3, attempt_s=10.0, deadline_s=20.0, first_delay_s=0.02, max_delay_s=0.1)
TOKEN = "a-token-that-is-long-enough"


def echo(program: Program) -> Execution:
    return Execution(Status.FINISHED, program.source.encode(), exit_code=0, memory_mb=1.5, wall_s=0.1)


def test_many_programs_come_back_in_order() -> None:
    with ExecutorServer(echo) as server, ExecutorProvider(server.url, policy=PATIENCE) as provider:
        executions = provider.run([Program(f"{index}") for index in range(300)])
        assert [execution.stdout for execution in executions] == [b"%d" % index for index in range(300)]
        assert executions[0].memory_mb == 1.5


def test_an_execution_comes_as_soon_as_its_line_does() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(ExecutorServer(echo, lambda source, _: Fault.HANG if source == "slow" else None))
        provider = stack.enter_context(ExecutorProvider(server.url, policy=PATIENCE, silence_s=1.5))
        slow, quick = provider.submit(Program("slow")), provider.submit(Program("quick"))
        assert quick.result(timeout=10).stdout == b"quick"
        assert not slow.done()
        assert slow.result(timeout=30).reason == "timeout"


def test_a_long_queue_is_waited_for_as_long_as_the_service_says_that_it_lives() -> None:
    class Busy(ExecutorServer):
        def _line(self, index, record):  # type: ignore[no-untyped-def]
            return super()._line(index, record)

        def respond(self, http, method, body, fault):  # type: ignore[no-untyped-def]
            http.send_response(200)
            http.end_headers()
            http.close_connection = True
            for _ in range(8):
                time.sleep(0.25)
                http.wfile.write(b"\n")
            for index, record in enumerate(body["programs"]):
                http.wfile.write(self._line(index, record))

    with Busy(echo) as server, ExecutorProvider(server.url, policy=PATIENCE, silence_s=1.0) as provider:
        assert provider.execute(Program("at last")).stdout == b"at last"
        assert len(server.requests) == 1


def test_a_program_that_the_service_refuses_costs_its_companions_nothing() -> None:
    with ExecutorServer(echo, lambda source, earlier: Fault.REFUSED if source == "bad" else None) as server:
        with ExecutorProvider(server.url, policy=PATIENCE) as provider:
            executions = provider.run([Program(source) for source in ("a", "bad", "b", "c")])
        counts = Counter(record["source"] for path, body, _ in server.requests for record in body["programs"])
    assert [execution.stdout for execution in executions] == [b"a", b"", b"b", b"c"]
    assert executions[1].reason == "refused"
    assert counts["bad"] == 1


def test_a_full_queue_is_tried_again_when_it_says() -> None:
    refusals = iter([True])

    class Full(ExecutorServer):
        def respond(self, http, method, body, fault):  # type: ignore[no-untyped-def]
            if next(refusals, False):
                send(http, 429, b'{"error": "queue_full", "message": "later"}', {"Retry-After": "1"})
            else:
                super().respond(http, method, body, fault)

    with Full(echo) as server, ExecutorProvider(server.url, policy=PATIENCE) as provider:
        started = time.monotonic()
        assert all(execution.succeeded for execution in provider.run([Program("x")] * 5))
        assert time.monotonic() - started >= 1
        assert len(server.requests) <= 6


def test_what_the_service_calls_unavailable_stays_so() -> None:
    def lose(program: Program) -> Execution:
        return Execution.unavailable("sandbox_failed", "a worker was lost")

    with ExecutorServer(lose) as server, ExecutorProvider(server.url, policy=PATIENCE) as provider:
        execution = provider.execute(Program("x"))
        assert (execution.status, execution.reason) == (Status.UNAVAILABLE, "sandbox_failed")


def test_a_limit_that_the_service_lowered_is_not_judged_by() -> None:
    ends = {"t": Status.TIME_LIMIT, "m": Status.MEMORY_LIMIT, "o": Status.OUTPUT_LIMIT}
    asked = {"t": Limits(wall_s=100), "m": Limits(memory_mb=9999), "o": Limits(output_kb=99999)}
    with ExitStack() as stack:
        server = stack.enter_context(ExecutorServer(lambda program: Execution(ends[program.source])))
        provider = stack.enter_context(ExecutorProvider(server.url, policy=PATIENCE))
        for source, limits in asked.items():
            execution = provider.execute(Program(source, limits=limits))
            assert execution.reason == "limit_too_low", execution
            assert provider.execute(Program(source)).status is ends[source]
    assert sum(path == "/v1/info" for path, _, _ in server.requests) == 1


def test_nothing_of_the_answers_is_mixed_up_when_many_fail() -> None:
    """Every third program's connection breaks the first time it travels."""

    def faults(source: str, earlier: int) -> Fault | None:
        return Fault.GARBAGE if int(source) % 3 == 0 and earlier < 2 else None

    with (
        ExecutorServer(echo, faults) as server,
        ExecutorProvider(server.url, policy=replace(PATIENCE, attempts=9, deadline_s=120.0)) as provider,
    ):
        executions = provider.run([Program(f"{index}") for index in range(90)])
    assert [execution.stdout for execution in executions] == [b"%d" % index for index in range(90)]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with serving(ScriptedProvider(echo, concurrency=4), TOKEN) as address:
        yield address


def test_the_real_service_is_understood(service: str) -> None:
    with ExecutorProvider(service, TOKEN, policy=PATIENCE) as provider:
        provider.check()
        executions = provider.run([Program(f"{index}", stdin=bytes([index])) for index in range(200)])
    assert [execution.stdout for execution in executions] == [b"%d" % index for index in range(200)]


def test_the_real_service_refuses_a_wrong_token(service: str) -> None:
    with ExecutorProvider(service, "wrong", policy=PATIENCE) as provider:
        assert {execution.reason for execution in provider.run([Program("x")] * 3)} == {"unauthorized"}
        with pytest.raises(ConfigError, match="does not answer.*401"):
            provider.check()


def test_the_real_service_refuses_what_is_too_large_for_it_alone(service: str) -> None:
    with ExecutorProvider(service, TOKEN, policy=PATIENCE) as provider:
        large, small = provider.run([Program("x", stdin=bytes(70 << 20)), Program("small")])
    assert small.stdout == b"small"
    assert large.reason == "too_large", large


def test_a_service_that_says_nothing_is_not_waited_for_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_r1.execution.providers.remote.GREETING_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(ConfigError, match="does not answer"):
            ExecutorProvider(f"127.0.0.1:{silent.getsockname()[1]}").check()
        assert time.monotonic() - started < 10


def test_the_clients_name_is_one_that_the_service_takes() -> None:
    import re

    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", name_client())
