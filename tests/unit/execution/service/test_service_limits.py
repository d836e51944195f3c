"""What the service refuses, forgets and survives: tokens, sizes, queues, clients that leave, providers that fail."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx2
import pytest
from service_server import (
    Gate,
    Running,
    asked,
    body_of,
    echo,
    head_of,
    read_answers,
    request_of,
    running,
    scripted,
    wait_until,
)

from open_r1.errors import ConfigError
from open_r1.execution.programs import Execution, Program, Provider
from open_r1.execution.service import requests
from open_r1.execution.service.dispatch import Batch, Dispatcher
from open_r1.execution.service.metrics import Metrics
from open_r1.execution.service.settings import ServiceSettings, is_loopback
from open_r1.execution.wire import CLIENT_HEADER
from open_r1.net import http_server

TOKEN = "correct-horse-battery-staple"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


# Who may ask


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "127.0.0.1.example.org"])
def test_other_machines_need_a_token(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="OPEN_R1_EXECUTOR_TOKEN"):
        ServiceSettings(host=host)
    ServiceSettings(host=host, token=TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    assert is_loopback(host)
    assert not ServiceSettings(host=host).token


@pytest.mark.parametrize(
    "token", ["short", "has spaces in it, many", "späth-und-lang-genug", "line\nline-line-line-line"]
)
def test_a_token_that_could_be_guessed_or_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="token"):
        ServiceSettings(token=token)


def test_the_token_is_not_in_the_settings_words() -> None:
    assert TOKEN not in repr(ServiceSettings(token=TOKEN))


PATHS = [
    ("GET", "/metrics"),
    ("GET", "/v1/info"),
    ("POST", "/v1/executions"),
    ("GET", "/api/v2/runtimes"),
    ("GET", "/api/v2/packages"),
    ("POST", "/api/v2/execute"),
    ("POST", "/execute_batch"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_without_the_token_nothing_is_told_or_run(method: str, path: str) -> None:
    provider = scripted(echo)
    wrong = [
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": TOKEN},
        {"Authorization": "Basic !!"},
        {"Authorization": b"Bearer \xff\xfe"},
    ]
    with running(provider, token=TOKEN) as service:
        for headers in wrong:
            reply = httpx2.request(method, f"{service.url}{path}", headers=headers, content=b"{}")  # pyright: ignore
            assert reply.status_code == 401
            assert reply.headers["WWW-Authenticate"] == "Bearer"
            assert reply.json()["error"] == "unauthorized"
    assert asked(provider) == []


def test_with_the_token_all_is_well_and_health_needs_none() -> None:
    with running(scripted(echo), token=TOKEN) as service:
        (execution,) = service.run([{"source": "a"}], headers={"Authorization": f"Bearer {TOKEN}"})
        assert execution.stdout == b"a"
        assert service.get("/api/v2/runtimes", auth=("any", TOKEN)).status_code == 200  # a URL's user and password
        assert service.get("/health").status_code == 200


def test_a_page_in_a_browser_can_not_ask() -> None:
    provider = scripted(echo)
    with running(provider) as service:  # a form's content types are the ones that need no leave of the server
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            reply = service.post("/v1/executions", content=body_of("x"), headers={"Content-Type": kind})
            assert reply.status_code == 415
        assert service.server.config.app.state.service is service.service  # pyright: ignore
        preflight = httpx2.options(f"{service.url}/v1/executions", headers={"Origin": "http://evil.example"})
        assert "access-control-allow-origin" not in preflight.headers
    assert asked(provider) == []


# How much


def test_a_body_over_the_limit_is_refused_whatever_its_header_says() -> None:
    big = body_of("x" * (1 << 20))
    provider = scripted(echo)
    with running(provider, max_request_mb=1) as service:
        declared = service.post("/v1/executions", content=big, headers=JSON)
        streamed = service.post("/v1/executions", content=iter([big[:1000], big[1000:]]), headers=JSON)
        assert [declared.status_code, streamed.status_code] == [413, 413]
        assert "1 MiB" in declared.json()["message"]
        (small,) = service.run([{"source": "y" * 1000}])
        assert small.succeeded
    assert asked(provider) == ["y" * 1000]


def test_a_body_that_understates_its_length_is_no_more_than_it_said() -> None:
    with running(scripted(echo), max_request_mb=1) as service:
        reply = speak(service, head_of("/v1/executions", 5) + b"{" * (1 << 21))
        assert reply.split(b" ")[1] in (b"400", b"422")
        assert service.run([{"source": "x"}])[0].succeeded


@pytest.mark.parametrize("length", ["99999999999999999999999999", "-1", "1e9", "²"])
def test_a_length_that_is_nonsense_is_refused(length: str) -> None:
    with running(scripted(echo)) as service:
        reply = speak(service, head_of("/v1/executions", length) + b"{}")
        assert reply.split(b" ")[1] in (b"400", b"413", b"422")
        assert service.run([{"source": "x"}])[0].succeeded


def test_a_body_that_never_ends_to_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "DISCARD_S", 0.1)
    with running(scripted(echo), body_timeout_s=0.3) as service:
        reply = speak(service, head_of("/v1/executions", 100) + b"{")
        assert reply.startswith(b"HTTP/1.1 408")


def test_what_unanswered_requests_hold_is_bounded_and_given_back(gate: Gate) -> None:
    with running(scripted(gate), max_request_mb=1, max_held_mb=1) as service:
        with in_background(service, body_of("x" * 700_000)) as first:
            gate.wait_for_entry()
            reply = service.post("/v1/executions", content=body_of("y" * 700_000), headers=JSON)
            assert (reply.status_code, reply.json()["error"]) == (429, "queue_full")
            assert int(reply.headers["Retry-After"]) >= 1
            gate.open()
            assert first().status_code == 200
        assert service.run([{"source": "z" * 700_000}])[0].succeeded


def test_a_full_queue_says_when_to_come_again_and_takes_nothing_of_it(gate: Gate) -> None:
    provider = scripted(gate)
    with running(provider, max_queue=10, max_client_share=1) as service:
        with in_background(service, body_of(*(f"first {number}" for number in range(8)))) as first:
            gate.wait_for_entry()
            reply = service.post("/v1/executions", content=body_of(*"abcd"), headers=JSON)
            assert (reply.status_code, reply.json()["error"]) == (429, "queue_full")
            assert 1 <= int(reply.headers["Retry-After"]) <= 60
            gate.open()
            assert len(read_answers(first().content)) == 8
        assert [execution.stdout for execution in service.run([{"source": "again"}])] == [b"again"]
    assert not {"a", "b", "c", "d"} & set(asked(provider))


def test_more_than_the_queue_holds_is_no_use_trying_again() -> None:
    with running(scripted(echo), max_queue=10) as service:
        reply = service.post("/v1/executions", content=body_of(*["x"] * 11), headers=JSON)
        assert reply.status_code == 413
        assert "Retry-After" not in reply.headers


def test_outputs_that_nobody_reads_are_not_kept_for_ever() -> None:
    megabyte = b"x" * (1 << 20)
    with running(scripted(lambda program: megabyte), max_unread_mb=4) as service:
        reply = service.post("/execute_batch", {"scripts": ["1"] * 20, "language": "javascript"})
        answers = reply.json()
    kept = [answer for answer in answers if answer["execution"]]
    assert len(kept) == 4
    assert all("output_not_read" in answer["exception_str"] for answer in answers if not answer["execution"])


# Sharing


def test_a_big_request_does_not_starve_another_client(gate: Gate) -> None:
    provider = scripted(lambda program: gate(program) if program.source == "first" else echo(program))
    with running(provider) as service:
        many = body_of("first", *(f"big {number}" for number in range(500)))
        with in_background(service, many, {CLIENT_HEADER: "big"}) as big:
            gate.wait_for_entry()
            small = body_of(*(f"small {number}" for number in range(5)))
            with in_background(service, small, {CLIENT_HEADER: "small"}) as little:
                wait_until(lambda: len(service.service.dispatcher.queue) == 505, "both wait")
                gate.open()
                assert len(read_answers(little().content)) == 5
            assert len(read_answers(big().content)) == 501
    order = asked(provider)
    assert order.index("small 4") < 15


def test_requests_without_a_name_share_by_address_and_still_take_turns(gate: Gate) -> None:
    provider = scripted(lambda program: gate(program) if program.source == "first" else echo(program))
    with running(provider) as service, in_background(service, body_of("first", *["big"] * 300)) as big:
        gate.wait_for_entry()
        record = {"language": "python", "version": "*", "files": [{"content": "one"}]}
        with in_background(service, json.dumps(record).encode(), path="/api/v2/execute") as one:
            wait_until(lambda: len(service.service.dispatcher.queue) == 301, "both wait")
            gate.open()
            assert one().json()["run"]["stdout"] == "one"
        assert big().status_code == 200
    assert asked(provider).index("one") < 5


# Clients that leave


@pytest.mark.parametrize("path", ["/v1/executions", "/execute_batch"])
def test_what_waits_for_a_client_that_left_is_not_run(gate: Gate, path: str) -> None:
    provider = scripted(gate)
    sources = [f"gone {number}" for number in range(50)]
    body = (
        body_of(*sources) if path == "/v1/executions" else json.dumps({"scripts": sources, "language": "c"}).encode()
    )
    with running(provider) as service:
        with connect(service) as sock:
            sock.sendall(request_of(path, body))
            gate.wait_for_entry()
        wait_until(lambda: len(service.service.dispatcher.queue) == 0, "the queue is empty")
        gate.open()
        assert service.run([{"source": "next"}])[0].stdout == b"next"
        assert b"open_r1_executor_cancelled_total 49.0" in service.get("/metrics").content
        assert service.service.bodies.held_bytes == 0
    assert asked(provider) == ["gone 0", "next"]


def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing() -> None:
    with running(scripted(echo)) as service:
        for _ in range(20):
            with connect(service) as sock:
                sock.sendall(request_of("/v1/executions", b"x" * 100_000)[:50_000])
        wait_until(lambda: service.service.bodies.held_bytes == 0, "nothing is held")
        assert service.run([{"source": "x"}])[0].succeeded


def test_a_blank_line_comes_while_there_is_nothing_to_tell(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_r1.execution.service.app.HEARTBEAT_S", 0.05)
    with running(scripted(gate)) as service:
        request = {"content": body_of("a"), "headers": JSON, "timeout": 30}
        with httpx2.stream("POST", f"{service.url}/v1/executions", **request) as reply:
            chunks = reply.iter_raw()
            assert [next(chunks).strip() for _ in range(3)] == [b""] * 3
            gate.open()
            assert b"finished" in b"".join(chunks)


# Providers that fail


class Broken(Provider):
    """Raises where no provider should."""

    name = "broken"
    concurrency = 1

    def execute(self, program: Program) -> Execution:
        raise OSError("the disk is gone")


def test_a_provider_that_raises_leaves_programs_unavailable_and_the_service_unhealthy() -> None:
    with Broken() as provider, running(provider) as service:
        executions = service.run([{"source": "a"}, {"source": "b"}])
        assert [execution.reason for execution in executions] == ["provider_failed"] * 2
        assert "the disk is gone" in executions[0].detail
        wait_until(lambda: service.get("/health").json()["status"] == "failing", "it is unhealthy")
        reply = service.get("/health")
        assert reply.status_code == 503
        assert "disk" not in reply.text
        assert b'open_r1_executor_unavailable_total{reason="provider_failed"} 3.0' in service.get("/metrics").content


def test_a_provider_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    monkeypatch.setattr("open_r1.execution.service.dispatch.COMPILE_ALLOWANCE_S", 0.1)
    with running(scripted(gate)) as service:
        started = time.monotonic()
        (execution,) = service.run([{"source": "a", "limits": {"wall_s": 0.2}}])
        assert execution.reason == "provider_stalled"
        assert time.monotonic() - started < 10
        gate.open()


def test_one_program_that_fails_does_not_touch_the_others() -> None:
    def answer(program: Program) -> object:
        return Execution.unavailable("sandbox_failed", "oh") if program.source == "7" else echo(program)

    with running(scripted(answer, 4)) as service:
        executions = service.run([{"source": str(number)} for number in range(20)])
    assert [execution.reason for execution in executions] == [""] * 7 + ["sandbox_failed"] + [""] * 12


# Shutting down


def test_when_it_stops_what_runs_is_answered_and_what_waits_is_told(gate: Gate) -> None:
    provider = scripted(gate)
    with running(provider) as service:
        with in_background(service, body_of(*(str(number) for number in range(10)))) as reply:
            gate.wait_for_entry()
            waiting = connect(service)
            service.server.stop()
            wait_until(lambda: service.service.dispatcher.is_shutting_down, "it shuts down")
            gate.open()
            executions = read_answers(reply().content)
        waiting.close()
    assert executions[0].stdout == b"0"
    assert {execution.reason for execution in executions[1:]} == {"shutting_down"}
    assert asked(provider) == ["0"]


def test_a_server_that_has_ended_can_be_stopped_again() -> None:
    with running(scripted(echo)) as service:
        pass
    assert service.server._loop is not None and service.server._loop.is_closed()
    service.server.stop()
    assert service.server.should_exit


def test_nothing_new_is_taken_while_it_shuts_down(gate: Gate) -> None:
    with running(scripted(gate)) as service:
        service.service.dispatcher.shut_down()
        reply = service.post("/v1/executions", content=body_of("x"), headers=JSON)
        assert (reply.status_code, reply.json()["error"]) == (503, "shutting_down")
        assert reply.headers["Retry-After"]
        assert service.get("/health").json()["status"] == "shutting_down"


@pytest.mark.parametrize(("waiting", "seconds"), [(0, 1), (10, 5), (10_000, 60)])
def test_the_wait_that_is_foretold_grows_with_the_queue(waiting: int, seconds: int) -> None:
    dispatcher = Dispatcher(scripted(echo), ServiceSettings(), Metrics())
    dispatcher.queue.add(Batch("a", [Program("")] * waiting, lambda index, execution: None))
    dispatcher._mean_run_s = 1.0
    assert dispatcher.expected_wait_s() == seconds


# Helpers


def connect(service: Running) -> socket.socket:
    return socket.create_connection(service.address, timeout=30)


def speak(service: Running, message: bytes) -> bytes:
    """Send raw bytes; what comes back first."""
    with connect(service) as sock:
        with suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(message)
        return sock.recv(65_536)


class in_background:
    """A request in a thread; called, it waits for the reply."""

    def __init__(
        self, service: Running, body: bytes, headers: dict[str, str] | None = None, path: str = "/v1/executions"
    ) -> None:
        self._arguments = (path,), {"content": body, "headers": JSON | (headers or {})}
        self._service = service
        self._replies: list[httpx2.Response] = []
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        words, options = self._arguments
        self._replies.append(self._service.post(*words, **options))

    def __enter__(self) -> in_background:
        self._thread.start()
        return self

    def __call__(self) -> httpx2.Response:
        self._thread.join(30)
        return self._replies[0]

    def __exit__(self, *exception: object) -> None:
        self._thread.join(30)


def test_idle_connections_do_not_pile_up() -> None:
    with running(scripted(echo), max_connections=5, max_client_share=1) as service:
        idle = [connect(service) for _ in range(5)]
        wait_until(lambda: len(service.server.server_state.connections) == 5, "all are open")
        with elsewhere() as client:
            assert client.get(f"{service.url}/health").status_code == 503
        for sock in idle:
            sock.close()
        wait_until(lambda: not service.server.server_state.connections, "all are closed")
        assert service.run([{"source": "x"}])[0].succeeded


# Clients by address: 127.0.0.2 stands for another machine.


def elsewhere() -> httpx2.Client:
    """A client whose address is 127.0.0.2."""
    return httpx2.Client(transport=httpx2.HTTPTransport(local_address="127.0.0.2"), timeout=30)


def test_one_address_can_not_fill_the_queue_whatever_it_calls_itself(gate: Gate) -> None:
    five = body_of(*(f"first {number}" for number in range(5)))
    with running(scripted(gate), max_queue=10) as service, in_background(service, five) as first:
        gate.wait_for_entry()
        wait_until(lambda: len(service.service.dispatcher.queue) == 4, "one runs, four wait")
        body = body_of("second", "third")
        for headers in ({}, {CLIENT_HEADER: "another"}):
            reply = service.post("/v1/executions", content=body, headers=JSON | headers)
            assert (reply.status_code, reply.json()["error"]) == (429, "queue_full")
            assert "4 programs of your address wait and the queue takes 5 of each" in reply.json()["message"]
        gate.open()
        with elsewhere() as client:
            assert client.post(f"{service.url}/v1/executions", content=body, headers=JSON).status_code == 200
        assert first().status_code == 200


def test_a_request_larger_than_the_part_of_a_client_is_not_to_be_tried_again() -> None:
    with running(scripted(echo), max_queue=10) as service:
        assert service.post("/v1/executions", content=body_of(*["x"] * 5), headers=JSON).status_code == 200
        reply = service.post("/v1/executions", content=body_of(*["x"] * 6), headers=JSON)
        assert reply.status_code == 413 and "Retry-After" not in reply.headers


def test_one_address_can_not_take_all_connections() -> None:
    with running(scripted(echo), max_connections=6) as service:
        idle = [connect(service) for _ in range(3)]
        wait_until(lambda: len(service.server.server_state.connections) == 3, "all are open")
        with connect(service) as one_more:
            assert one_more.recv(4096).startswith(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n")
        with elsewhere() as client:
            assert client.get(f"{service.url}/v1/info").status_code == 200
        idle.pop().close()
        wait_until(lambda: len(service.server.server_state.connections) < 4, "one is closed")
        assert service.run([{"source": "x"}])[0].succeeded
        for sock in idle:
            sock.close()


def test_bodies_of_one_address_leave_room_for_those_of_others(gate: Gate) -> None:
    held = body_of("x" * 700_000)
    with running(scripted(gate, 3), max_request_mb=1, max_held_mb=2) as service, in_background(service, held) as first:
        gate.wait_for_entry()
        large = body_of("y" * 700_000)
        reply = service.post("/v1/executions", content=large, headers=JSON)
        assert (reply.status_code, reply.json()["error"]) == (429, "queue_full")
        gate.open()
        with elsewhere() as client:
            assert client.post(f"{service.url}/v1/executions", content=large, headers=JSON).status_code == 200
        assert first().status_code == 200


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="max_client_share must be above 0 and at most 1"):
        ServiceSettings(max_client_share=share)


# Headers


@pytest.mark.parametrize("sent", [b"", b"POST /v1/exec", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_headers_that_never_end_are_given_up(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(http_server, "HEADER_LIMIT_S", 0.3)
    with running(scripted(echo)) as service, connect(service) as slow:
        slow.settimeout(5)
        slow.sendall(sent)
        assert slow.recv(4096) == b""


def test_headers_larger_than_the_limit_are_refused() -> None:
    with running(scripted(echo)) as service:
        head = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * (8 * http_server.MOST_HEADER_BYTES)
        assert speak(service, head).startswith(b"HTTP/1.1 400")


def test_large_bodies_are_parsed_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    is_on_loop: list[bool] = []
    parse = requests.parse_now

    def noted(*arguments):
        is_on_loop.append(asyncio._get_running_loop() is not None)
        return parse(*arguments)

    monkeypatch.setattr(requests, "parse_now", noted)
    with running(scripted(echo)) as service:
        service.run([{"source": "x"}])
        service.run([{"source": "x" * http_server.LARGE_BODY}])
        service.post("/execute_batch", {"scripts": ["x" * http_server.LARGE_BODY], "language": "javascript"})
        service.post(
            "/api/v2/execute",
            {"language": "python", "version": "*", "files": [{"content": "x" * http_server.LARGE_BODY}]},
        )
    assert is_on_loop == [True, False, False, False]


def test_a_client_that_does_not_read_holds_up_no_one(gate: Gate) -> None:
    megabyte = b"x" * (1 << 20)
    with running(scripted(lambda program: megabyte if program.source == "big" else echo(program))) as service:
        with connect(service) as deaf:
            deaf.sendall(request_of("/v1/executions", body_of(*["big"] * 60)))
            assert service.run([{"source": "x"}])[0].succeeded
            wait_until(lambda: len(service.service.dispatcher.queue) == 0, "all has run")
        wait_until(lambda: service.service.bodies.held_bytes == 0, "it is forgotten")
