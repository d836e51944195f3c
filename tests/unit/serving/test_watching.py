"""The address claimed before the model loads, and the model's server watched while it serves."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from open_r1.errors import ConfigError, RunError
from open_r1.serving import server
from open_r1.serving.backends import ServeOptions
from open_r1.serving.child import ChildServer, free_port
from open_r1.serving.gateway import GatewaySettings
from open_r1.serving.server import bind, make_server, serve

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


def slow(_: httpx2.Request) -> httpx2.Response:
    raise httpx2.ReadTimeout("busy")


def test_a_busy_server_is_not_taken_for_a_dead_one() -> None:
    async def find_failure(answer: Callable[[httpx2.Request], httpx2.Response]) -> str:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url=child.url) as client:
            return await gateway.find_failure(client)

    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with ChildServer(command, os.environ, free_port(), "") as child:
        gateway = make_server(GatewaySettings(child.url, "vllm", ("m",)), child, lambda: None)
        assert asyncio.run(find_failure(slow)) == ""
        assert asyncio.run(find_failure(lambda _: httpx2.Response(200))) == ""
        assert "lost its model" in asyncio.run(find_failure(lambda _: httpx2.Response(503)))
        child.process.kill()
        child.process.wait()
        assert asyncio.run(find_failure(slow)) == "was killed by SIGKILL while serving"


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
