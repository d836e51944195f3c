"""The Piston adapter: many endpoints, limits of theirs that are lower than ours, and packages of another layout."""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_servers import Fault, PistonServer, always, at_first, send

from open_r1.errors import ConfigError
from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.providers import piston
from open_r1.execution.providers.piston import PistonProvider, find_endpoints
from open_r1.execution.providers.remote import RetryPolicy
from open_r1.execution.providers.replies import Failure

PATIENCE = RetryPolicy(attempts=3, attempt_s=5.0, deadline_s=10.0, first_delay_s=0.05, max_delay_s=0.2)


def echo(program: Program) -> Execution:
    """A program that prints its standard input."""
    return Execution(Status.FINISHED, program.stdin or b"ok\n", exit_code=0)


def executed(server: PistonServer) -> list[Any]:
    return [body for path, body, _ in server.requests if path.endswith("/execute")]


def test_programs_are_shared_among_endpoints() -> None:
    with PistonServer(echo, delay_s=0.1) as one, PistonServer(echo, delay_s=0.1) as two:
        with PistonProvider([one.url, two.url], requests_per_endpoint=2, policy=PATIENCE) as provider:
            executions = provider.run([Program("pass", stdin=b"%d\n" % index) for index in range(20)])
        assert [execution.stdout for execution in executions] == [b"%d\n" % index for index in range(20)]
        assert len(executed(one)) >= 5 and len(executed(two)) >= 5
        assert one.most_at_once <= 2 and two.most_at_once <= 2


def test_a_dead_endpoint_is_left_out_and_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piston, "RETRY_ENDPOINT_S", 1.0)
    with PistonServer(echo) as working, PistonServer(echo) as failing:
        failing.faults = always(Fault.DROP, "")
        with PistonProvider([failing.url, working.url], policy=PATIENCE) as provider:
            assert all(execution.succeeded for execution in provider.run([Program("pass")] * 12))
            tries_while_dead = len(executed(failing))
            assert tries_while_dead <= 3
            failing.faults = always(Fault.DROP, "never")
            deadline = time.monotonic() + 10
            while len(executed(failing)) < tries_while_dead + 3 and time.monotonic() < deadline:
                assert all(execution.succeeded for execution in provider.run([Program("pass")] * 4))
                time.sleep(0.2)
        assert len(executed(failing)) >= tries_while_dead + 3


def test_an_endpoint_that_is_not_there_is_left_out() -> None:
    with PistonServer(echo) as gone:
        address = gone.url
    with PistonServer(echo) as working, PistonProvider([address, working.url], policy=PATIENCE) as provider:
        provider.check()
        assert all(execution.succeeded for execution in provider.run([Program("pass")] * 6))


def test_processes_begin_at_different_endpoints() -> None:
    addresses = [f"http://host{index}:2000" for index in range(4)]
    first = [PistonProvider(addresses, rank=rank, world_size=4).endpoints[0].url for rank in range(4)]
    assert sorted(first) == [f"{address}/api/v2" for address in addresses]
    assert PistonProvider(addresses, rank=0, world_size=4).concurrency == 1
    assert PistonProvider(addresses, requests_per_endpoint=3).concurrency == 12
    assert PistonProvider(addresses[:1], rank=7, world_size=8).concurrency == 1


def test_the_request_is_as_piston_wants_it() -> None:
    limits = Limits(wall_s=2.5, cpu_s=1.25, memory_mb=100)
    with PistonServer(echo) as server, PistonProvider([server.url], token="t0ken", policy=PATIENCE) as provider:
        provider.execute(Program("pass", "py", b"in\n", ("a",), files={"data.bin": b"\xff"}, limits=limits))
        (body,) = executed(server)
    assert body == {
        "language": "python",
        "version": "*",
        "files": [
            {"name": "main.py", "content": "pass"},
            {"name": "data.bin", "content": "/w==", "encoding": "base64"},
        ],
        "stdin": "in\n",
        "args": ["a"],
        "run_timeout": 2500,
        "run_cpu_time": 1250,
        "run_memory_limit": 100 << 20,
    }
    assert all(headers["Authorization"] == "Bearer t0ken" for _, _, headers in server.requests)


def test_a_lower_limit_of_pistons_does_where_the_program_needs_no_more() -> None:
    ceilings = {"run_timeout": 3000, "run_cpu_time": 3000}
    with PistonServer(echo, ceilings=ceilings) as server, PistonProvider([server.url], policy=PATIENCE) as provider:
        assert all(execution.succeeded for execution in provider.run([Program("pass")] * 5))
        assert len(executed(server)) == 7  # each limit was refused once, and is known from then on


@pytest.mark.parametrize("is_old", [False, True])
def test_a_program_that_a_lower_limit_ended_is_not_judged_by_it(is_old: bool) -> None:
    def slow(program: Program) -> Execution:
        time.sleep(program.limits.wall_s)
        return Execution(Status.TIME_LIMIT)

    with ExitStack() as stack:
        server = stack.enter_context(PistonServer(slow, ceilings={"run_timeout": 500}, is_old=is_old))
        provider = stack.enter_context(PistonProvider([server.url], policy=PATIENCE))
        execution = provider.execute(Program("pass"))
        assert execution.reason == "limit_too_low"
        assert "PISTON_RUN_TIMEOUT" in execution.detail and "run_timeout 500" in execution.detail
        assert provider.execute(Program("pass", limits=Limits(wall_s=0.4))).status is Status.TIME_LIMIT


def test_an_output_that_piston_cuts_below_our_limit_is_not_judged() -> None:
    def cut(program: Program) -> Execution:
        return Execution(Status.OUTPUT_LIMIT, b"x" * 1000)

    with PistonServer(cut) as server, PistonProvider([server.url], policy=PATIENCE) as provider:
        execution = provider.execute(Program("pass"))
        assert execution.reason == "limit_too_low" and "PISTON_OUTPUT_MAX_SIZE" in execution.detail
        assert provider.execute(Program("pass", limits=Limits(output_kb=1))).status is Status.OUTPUT_LIMIT


def test_a_flood_that_piston_lets_through_is_the_programs_output_limit() -> None:
    def flood(program: Program) -> Execution:
        return Execution(Status.FINISHED, b"x" * (3 << 20), exit_code=0)

    with PistonServer(flood) as server, PistonProvider([server.url], policy=PATIENCE) as provider:
        assert provider.execute(Program("pass", limits=Limits(output_kb=8))).status is Status.OUTPUT_LIMIT


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    class Endless(PistonServer):
        def respond(self, http, method, body, fault):  # type: ignore[no-untyped-def]
            if http.path.endswith("/runtimes"):
                super().respond(http, method, body, fault)
                return
            http.send_response(200)
            http.end_headers()
            http.close_connection = True
            with suppress(OSError):
                http.wfile.write(b'{"run": {"stdout": "')
                while not self._stopping.is_set():
                    http.wfile.write(b"x" * (1 << 16))

    with Endless(echo) as server, PistonProvider([server.url], policy=PATIENCE) as provider:
        assert provider.execute(Program("pass", limits=Limits(output_kb=8))).status is Status.OUTPUT_LIMIT


def test_a_piston_without_the_language_is_passed_over() -> None:
    with PistonServer(echo, languages=("c++",)) as one, PistonServer(echo) as two:
        with PistonProvider([one.url, two.url], policy=PATIENCE) as provider:
            assert all(execution.succeeded for execution in provider.run([Program("pass")] * 4))
            assert provider.execute(Program("pass", "ruby")).reason == "unsupported_language"
        assert not executed(one) and len(executed(two)) == 4


def test_another_cpp_standard_needs_a_runtime_of_that_name() -> None:
    with PistonServer(echo) as server, PistonProvider([server.url], policy=PATIENCE) as provider:
        assert provider.execute(Program("int main(){}", "c++17")).succeeded
        assert provider.execute(Program("int main(){}", "cpp20")).reason == "unsupported_language"


def test_packages_of_another_layout_get_files_as_they_stand() -> None:
    class WithPackage(PistonServer):
        def _result(self, body):  # type: ignore[no-untyped-def]
            return {"compile": self._stage(Execution(Status.FINISHED), 0), "run": self._stage(echo(Program("")), 0)}

    files = {"graders/alien.cpp": b"int f();", "input.txt": b"3\n", "logo.png": b"\x89\xff"}
    with (
        WithPackage(echo, languages=("cms_ioi",)) as server,
        PistonProvider([server.url], policy=PATIENCE) as provider,
    ):
        assert provider.execute(Program("", "cms_ioi", files=files)).succeeded
        (body,) = executed(server)
    assert body["language"] == "cms_ioi"
    assert body["files"] == [
        {"name": "graders/alien.cpp", "content": "int f();"},
        {"name": "input.txt", "content": "3\n"},
        {"name": "logo.png", "content": "if8=", "encoding": "base64"},
    ]


def test_a_sandbox_that_breaks_is_tried_again_and_then_unscored() -> None:
    class Broken(PistonServer):
        def _stage(self, execution, code):  # type: ignore[no-untyped-def]
            return super()._stage(execution, None) | {"status": "XX", "message": "isolate broke"}

    with Broken(echo) as server, PistonProvider([server.url], policy=PATIENCE) as provider:
        execution = provider.execute(Program("pass"))
        assert execution.reason == "sandbox_failed" and "isolate broke" in execution.detail
        assert len(executed(server)) == PATIENCE.attempts


def test_what_looks_like_an_overload_is_run_again_and_then_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piston, "OVERLOAD_PAUSES_S", (0.05, 0.05))
    overloaded = Execution(
        Status.FINISHED, stderr=b"bash: fork: retry: Resource temporarily unavailable", exit_code=254
    )
    answers = [overloaded, Execution(Status.FINISHED, b"fine\n", exit_code=0), *[overloaded] * 3]
    with ExitStack() as stack:
        server = stack.enter_context(PistonServer(lambda program: answers.pop(0)))
        provider = stack.enter_context(PistonProvider([server.url], policy=PATIENCE))
        assert provider.execute(Program("pass")).stdout == b"fine\n"
        believed = provider.execute(Program("pass"))
        assert (believed.status, believed.exit_code) == (Status.FINISHED, 254)
    assert not answers


def test_a_refused_request_leaves_the_endpoint_in_use() -> None:
    with (
        PistonServer(echo, always(Fault.REFUSED)) as server,
        PistonProvider([server.url], policy=PATIENCE) as provider,
    ):
        assert provider.execute(Program("poison")).reason == "refused"
        assert provider.endpoints[0].cool_down.until == 0
        assert provider.execute(Program("pass")).succeeded


def test_runtimes_that_fail_at_first_are_asked_again() -> None:
    class Late(PistonServer):
        def respond(self, http, method, body, fault):  # type: ignore[no-untyped-def]
            if http.path.endswith("/runtimes") and len(self.requests) < 2:
                send(http, 503, b"starting")
            else:
                super().respond(http, method, body, fault)

    with Late(echo, at_first(Fault.BUSY)) as server, PistonProvider([server.url], policy=PATIENCE) as provider:
        assert provider.execute(Program("pass")).succeeded


@pytest.mark.parametrize("value", ["", "  ", " , "])
def test_no_endpoints_says_what_to_set(value: str) -> None:
    assert "PISTON_ENDPOINTS is not set" in find_endpoints(value)[1]


def test_a_list_of_endpoints() -> None:
    assert find_endpoints("http://a:2000/api/v2, b:2001 ,") == (["http://a:2000/api/v2", "b:2001"], "")
    provider = PistonProvider(["http://a:2000/api/v2", "b:2001"])
    assert [endpoint.url for endpoint in provider.endpoints] == ["http://a:2000/api/v2", "http://b:2001/api/v2"]


def test_an_address_that_is_none_is_named() -> None:
    provider = PistonProvider(["http://a:2000", "ftp://b"])
    with pytest.raises(ConfigError, match="ftp://b"):
        provider.check()
    assert provider.execute(Program("pass")).reason == "not_configured"


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path / "squeue"


def write_command(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_slurm_workers_are_found(squeue: Path) -> None:
    write_command(
        squeue, "printf 'piston-worker-2001 node7\\ntrain node1\\npiston-worker-2000 node3\\npiston-worker-x n\\n'"
    )
    assert find_endpoints("slurm") == (["http://node3:2000/api/v2", "http://node7:2001/api/v2"], "")


@pytest.mark.parametrize("command", ["echo train node1", "exit 1"])
def test_slurm_without_workers_is_a_problem(squeue: Path, command: str) -> None:
    write_command(squeue, command)
    endpoints, problem = find_endpoints("slurm")
    assert not endpoints and "slurm" in problem


def test_a_hanging_squeue_is_given_up(squeue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piston, "SQUEUE_S", 0.5)
    write_command(squeue, "exec sleep 60")
    started = time.monotonic()
    assert "does not work" in find_endpoints("slurm")[1]
    assert time.monotonic() - started < 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELD = st.sampled_from(["stdout", "stderr", "code", "signal", "status", "message", "memory", "cpu_time", "wall_time"])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["run", "compile", "message"]), st.dictionaries(FIELD, JSON) | JSON))
def test_any_answer_is_an_execution_or_a_failure(answer: dict[str, Any]) -> None:
    try:
        execution = piston._read(answer, Program("pass"), {"run_timeout": 1000}, {}, 0.1)
    except Failure:
        return
    assert execution.status is not Status.UNAVAILABLE
    if execution.succeeded:
        assert answer["run"]["code"] == 0  # type: ignore[index]


def test_programs_may_be_given_from_many_threads() -> None:
    with (
        PistonServer(echo) as server,
        PistonProvider([server.url], requests_per_endpoint=4, policy=PATIENCE) as provider,
    ):
        results: list[bytes] = []

        def ask(index: int) -> None:
            results.append(provider.execute(Program("pass", stdin=b"%d" % index)).stdout)

        threads = [threading.Thread(target=ask, args=(index,)) for index in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert sorted(results) == sorted(b"%d" % index for index in range(12))
