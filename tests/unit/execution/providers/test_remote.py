"""What all remote providers share: giving up in time, forks, closing, cancelling."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from contextlib import AsyncExitStack

import pytest
from protocol_servers import FusionServer

from open_r1.errors import ConfigError
from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.providers.remote import RemoteProvider, RetryPolicy, Session
from open_r1.execution.providers.replies import Failure, GarbledReply, bounded, service_url
from open_r1.execution.providers.sandbox_fusion import SandboxFusionProvider

PATIENCE = RetryPolicy(
    attempts=3, attempt_s=0.5, deadline_s=3.0, first_delay_s=0.01, max_delay_s=0.05, clean_up_s=1.0, cool_down_s=0.6
)
QUICK = Limits(wall_s=0.2)


class Service(RemoteProvider):
    """A service in this process: up or down, slow or quick."""

    name = "service"

    def __init__(self, concurrency: int = 4, policy: RetryPolicy = PATIENCE) -> None:
        super().__init__(concurrency, policy)
        self.is_up = True
        self.delay_s = 0.0
        self.attempts = 0
        self.at_once = 0
        self.most_at_once = 0
        self.cleaned_up = 0

    def program_s(self, program: Program) -> float:
        return program.limits.wall_s

    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        self.attempts += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)

        async def leave() -> None:
            self.at_once -= 1
            self.cleaned_up += 1

        clean_up.push_async_callback(leave)
        await asyncio.sleep(self.delay_s)
        if "garbled" in program.source:
            raise GarbledReply("?")
        if "raise" in program.source:
            raise ZeroDivisionError("in a client library")
        if not self.is_up:
            raise Failure("connection_failed", "nobody there")
        return Execution(Status.FINISHED, program.source.encode(), exit_code=0)


def test_no_more_at_once_than_agreed() -> None:
    with Service(3) as service:
        service.delay_s = 0.02
        assert len(service.run([Program("x", limits=QUICK)] * 20)) == 20
        assert service.most_at_once == 3 and service.cleaned_up == 20


def test_a_dead_service_costs_one_deadline_and_not_one_a_program() -> None:
    with Service(2) as service:
        service.is_up = False
        started = time.monotonic()
        executions = service.run([Program("x", limits=QUICK)] * 2000)
        assert time.monotonic() - started < 20
        assert {execution.reason for execution in executions} == {"connection_failed", "provider_down"}
        assert service.attempts < 40


def test_a_service_that_comes_back_is_used_again() -> None:
    with Service(2) as service:
        service.is_up = False
        service.run([Program("x", limits=QUICK)] * 20)
        service.is_up = True
        time.sleep(PATIENCE.cool_down_s + 0.2)
        assert all(execution.succeeded for execution in service.run([Program("x", limits=QUICK)] * 20))


def test_programs_that_break_their_own_run_do_not_condemn_the_service() -> None:
    with Service(2) as service:
        service.run([Program("garbled", limits=QUICK)] * 10)
        assert all(execution.succeeded for execution in service.run([Program("x", limits=QUICK)] * 5))


def test_a_suspect_service_is_probed_before_others_are_given_up() -> None:
    with Service(2) as service:
        service.delay_s = 5.0
        assert {execution.reason for execution in service.run([Program("x", limits=QUICK)] * 4)} == {"timeout"}
        service.delay_s = 0.0
        service._cool_down.until = 0.0
        assert all(execution.succeeded for execution in service.run([Program("x", limits=QUICK)] * 50))


def test_what_a_client_library_raises_is_recorded() -> None:
    with Service() as service:
        execution = service.execute(Program("raise", limits=QUICK))
        assert execution.reason == "provider_error" and "ZeroDivisionError" in execution.detail
        assert service.attempts == PATIENCE.attempts


def test_an_attempt_has_a_limit_and_so_has_the_whole() -> None:
    with Service() as service:
        service.delay_s = 60
        started = time.monotonic()
        execution = service.execute(Program("x", limits=QUICK))
        assert execution.reason == "timeout" and time.monotonic() - started < 10
        assert service.cleaned_up == service.attempts


def test_closing_gives_up_what_runs_and_what_waits() -> None:
    service = Service(1)
    service.delay_s = 60
    futures = [service.submit(Program("x", limits=Limits(wall_s=50))) for _ in range(5)]
    while not service.attempts:
        time.sleep(0.01)
    service.close()
    assert {future.result(timeout=10).reason for future in futures} == {"closed"}
    assert service.cleaned_up == 1
    service.delay_s = 0
    assert service.execute(Program("again", limits=QUICK)).stdout == b"again"
    service.close()


def test_closing_right_after_asking_gives_up_all_the_same() -> None:
    for _ in range(50):
        service = Service(1)
        service.delay_s = 60
        futures = [service.submit(Program("x", limits=Limits(wall_s=50))) for _ in range(8)]
        service.close()
        assert {future.result(timeout=5).reason for future in futures} == {"closed"}


def test_a_program_that_is_no_longer_wanted_is_not_run() -> None:
    with Service(1) as service:
        service.delay_s = 0.3
        first, second = (service.submit(Program("x", limits=QUICK)) for _ in range(2))
        assert second.cancel()
        assert first.result(timeout=10).succeeded
        assert service.attempts == 1


def test_a_provider_with_a_problem_says_so_everywhere() -> None:
    provider = SandboxFusionProvider("")
    with pytest.raises(ConfigError, match="SANDBOX_FUSION_ENDPOINT is not set"):
        provider.check()
    execution = provider.execute(Program("x"))
    assert execution.reason == "not_configured" and "SANDBOX_FUSION_ENDPOINT" in execution.detail


def answers_in_child(provider: RemoteProvider) -> bool:
    """Whether a forked child gets a program run, within 20 s."""
    child = os.fork()
    if not child:
        is_right = False
        try:
            gc.collect()
            is_right = provider.execute(Program("print(1)", limits=QUICK)).succeeded
            provider.close()
        finally:
            os._exit(0 if is_right else 1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_fork_works_with_what_it_inherited_and_leaves_the_parents_alone() -> None:
    def fine(program: Program) -> Execution:
        return Execution(Status.FINISHED, b"1\n", exit_code=0)

    with FusionServer(fine) as server, SandboxFusionProvider(server.url, 2, PATIENCE) as provider:
        assert provider.execute(Program("print(1)", limits=QUICK)).succeeded
        busy = threading.Thread(target=lambda: provider.run([Program("print(1)", limits=QUICK)] * 30))
        busy.start()
        assert answers_in_child(provider)
        busy.join(30)
        assert provider.execute(Program("print(1)", limits=QUICK)).succeeded


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("host:8000", "http://host:8000"),
        ("0.0.0.0:8000", "http://0.0.0.0:8000"),
        ("http://host", "http://host"),
        ("https://host/base/", "https://host/base"),
        ("  host ", "http://host"),
        ("[::1]:9", "http://[::1]:9"),
        ("user:pass@host:1", "http://user:pass@host:1"),
        ("", ""),
        ("http://", ""),
        ("host:notaport", ""),
        ("host:0", ""),
        ("ftp://host", ""),
        ("http://[::1", ""),
    ],
)
def test_addresses_as_people_write_them(address: str, url: str) -> None:
    assert service_url(address) == url


def test_replies_are_cut_and_their_reasons_kept_few() -> None:
    limits = Limits(output_kb=1)
    cut = bounded(Execution(Status.FINISHED, b"x" * 2000, b"y" * 5000, 0), limits)
    assert (cut.status, len(cut.stdout), len(cut.stderr)) == (Status.OUTPUT_LIMIT, 1024, 1024)
    assert bounded(Execution(Status.TIME_LIMIT, b"x" * 2000), limits).status is Status.TIME_LIMIT
    assert bounded(Execution.unavailable("Ignore all that", "d" * 9999), limits).reason == "unknown"
    assert len(bounded(Execution.unavailable("worker_lost", "d" * 9999), limits).detail) == 500
    assert bounded(Execution(Status.FINISHED, reason="x", exit_code=0), limits).reason == ""
