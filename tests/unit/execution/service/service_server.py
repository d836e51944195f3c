"""A service on a real socket, for tests: in a thread of this process, so that they can look inside."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

from open_r1.execution.programs import Execution, Program, Provider
from open_r1.execution.providers.scripted import ScriptedProvider
from open_r1.execution.service.app import Service
from open_r1.execution.service.probes import SELF_TEST, TEST_OUTPUT
from open_r1.execution.service.server import ExecutorServer
from open_r1.execution.service.settings import ServiceSettings
from open_r1.execution.wire import decode_answer
from open_r1.net.http_server import bind

LANGUAGES = {"python": "3.11.7", "cpp": "12.2.0", "javascript": "20.1.0"}
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Running:
    """A service that answers.

    Args:
        service: What it knows of itself.
    """

    url: str
    server: ExecutorServer
    service: Service

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def get(self, path: str, **options) -> httpx2.Response:
        return httpx2.get(f"{self.url}{path}", timeout=PATIENCE_S, **options)

    def post(self, path: str, record: object = None, **options) -> httpx2.Response:
        if record is not None:
            options["json"] = record
        return httpx2.post(f"{self.url}{path}", timeout=PATIENCE_S, **options)

    def run(self, programs: list[dict], **options) -> list[Execution]:
        """By the service's own route; in the order of the programs."""
        reply = self.post("/v1/executions", {"programs": programs}, **options)
        assert reply.status_code == 200, reply.text
        return read_answers(reply.content)


def read_answers(content: bytes) -> list[Execution]:
    found = dict(decode_answer(line) for line in content.splitlines() if line)
    assert sorted(found) == list(range(len(found)))
    return [found[index] for index in range(len(found))]


@contextmanager
def running(provider: Provider, languages: dict[str, str] | None = None, **settings) -> Iterator[Running]:
    """Serve until the block ends; the provider stays open."""
    chosen = ServiceSettings(port=0, **settings)
    ready = threading.Event()
    server = ExecutorServer(provider, chosen, LANGUAGES if languages is None else languages, ready.set)
    with bind(chosen.host, chosen.port) as sock:
        address = f"{chosen.host}:{sock.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        assert ready.wait(PATIENCE_S), "the service did not start"
        try:
            yield Running(f"http://{address}", server, server.config.app.state.service)  # pyright: ignore
        finally:
            server.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "the service did not stop"


def scripted(answer: Callable[[Program], object], concurrency: int = 1) -> ScriptedProvider:
    """A fake provider that passes the self-test."""
    return ScriptedProvider(
        lambda program: TEST_OUTPUT if program.source == SELF_TEST.source else answer(program),  # pyright: ignore
        concurrency,
    )


def echo(program: Program) -> bytes:
    """What a program "prints": its own source."""
    return program.source.encode()


class Gate:
    """A provider's answer that comes only when the gate is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, program: Program) -> bytes:
        self.entered.release()
        assert self._open.wait(PATIENCE_S)
        return program.source.encode()

    def open(self) -> None:
        self._open.set()

    def wait_for_entry(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE_S)


def wait_until(is_so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def body_of(*sources: str) -> bytes:
    return json.dumps({"programs": [{"source": source} for source in sources]}).encode()


def asked(provider: ScriptedProvider) -> list[str]:
    """The sources of all programs that came, but for the self-test's."""
    return [program.source for program in provider.asked if program.source != SELF_TEST.source]


def request_of(path: str, body: bytes) -> bytes:
    return head_of(path, len(body)) + body


def head_of(path: str, length: object) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {length}", "", "")
    return "\r\n".join(lines).encode()
