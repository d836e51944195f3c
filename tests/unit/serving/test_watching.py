"""The address claimed before the model loads, and the model's server watched while it serves."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from open_r1.errors import ConfigError, RunError
from open_r1.net.client import Response, TransportError
from open_r1.net.http_server import bind, free_port
from open_r1.serving import server
from open_r1.serving.backends import ServeOptions, check_key
from open_r1.serving.gateway import GatewaySettings
from open_r1.serving.server import ChildServer, GatewayServer, serve

DIES_AFTER_THREE = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        Handler.asked += 1
        if Handler.asked == 4:
            print("cannot reshape tensor of 0 elements", flush=True)
        self.send_response(200 if Handler.asked < 4 else 503)
        self.end_headers()


HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_server_that_lost_its_model_ends_the_gateway_with_a_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "server.py"
    script.write_text(DIES_AFTER_THREE)
    monkeypatch.setattr(server, "backend_command", lambda _, __, port: [sys.executable, str(script), str(port)])
    monkeypatch.setattr(server, "WATCH_GAP_S", 0.01)
    ready: list[str] = []
    with pytest.raises(RunError, match=r"has lost its model \(.*503.*run the command again.*(\n.*)*cannot reshape"):
        serve(ServeOptions("m", port=0), "transformers", "", 30, ready.append)
    assert ready


class Probe:
    """An HTTP client that is answered with a status, or not at all."""

    def __init__(self, status: int | None) -> None:
        self.status = status

    async def request(self, *_: Any, **__: Any) -> Response:
        if self.status is None:
            raise TransportError("timeout", "busy")
        return Response(self.status, {}, b"")


def test_a_busy_server_is_not_taken_for_a_dead_one() -> None:
    def find_failure(status: int | None) -> str:
        return asyncio.run(gateway.find_failure(Probe(status)))  # type: ignore[arg-type]

    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with ChildServer(command, os.environ, free_port(), "") as child:
        gateway = GatewayServer(GatewaySettings(child.url, "vllm", ("m",)), child, lambda: None)
        assert find_failure(None) == ""
        assert find_failure(200) == ""
        assert find_failure(500) == ""
        assert "lost its model" in find_failure(503)
        child.process.kill()
        child.process.wait()
        assert find_failure(None) == "was killed by SIGKILL while serving"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_a_public_address_without_a_key_is_refused_before_anything_is_started(host: str) -> None:
    with pytest.raises(ConfigError, match="OPEN_R1_API_KEY"):
        serve(ServeOptions("m", host=host, port=0), "transformers", "", 30, lambda _: None)
    check_key(host, "key")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_loopback_address_needs_no_key(host: str) -> None:
    check_key(host, "")


def test_a_taken_address_is_refused_before_anything_is_started() -> None:
    with bind("127.0.0.1", 0) as first, pytest.raises(ConfigError, match="choose another --port"):
        bind("127.0.0.1", first.getsockname()[1])


def test_a_client_that_comes_early_waits_and_is_answered() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def start_late(sock: socket.socket, early: socket.socket) -> bytes:
        async with await asyncio.start_server(answer, sock=sock):  # as uvicorn does
            return await asyncio.to_thread(early.recv, 99)

    with bind("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname(), timeout=5) as early:
        early.sendall(b"hello\n")
        assert asyncio.run(start_late(sock, early)) == b"hello\n"
