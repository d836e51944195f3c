"""`open-r1 serve` from start to stop: claim the address, start the model's server, wait for it, serve, stop both.

A first SIGINT or SIGTERM lets answers that are under way end for a few seconds; then everything stops. The model's server
dying, or reporting that its model has died, ends the gateway too, with the last lines that it printed. It is a child process
in a group of its own, and stops with all its descendants.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from open_r1.errors import RunError
from open_r1.generation.templates import find_template
from open_r1.net.client import HttpClient, TransportError, request_once
from open_r1.net.http_server import Server, bind, client_address, free_port, running_in_thread
from open_r1.processes.python import child_environment
from open_r1.serving.backends import Backend, ServeOptions, backend_command, backend_environment, check_key
from open_r1.serving.gateway import GatewaySettings, create_app

SHOWN_LINES = 15
PROBE_GAP_S, PROBE_TIMEOUT_S = 0.25, 5.0
STOP_LIMIT_S = 15.0  # seconds between asking a server to stop and ending it
PROBED = '"GET /health HTTP'
"""In the lines of a server's access log that only our own probes are to blame for; they'd drive out its last words."""

PR_SET_PDEATHSIG = 1
Report = Callable[[str], None]


class ChildServer:
    """A command that serves HTTP on loopback. A context manager: whatever happens, the process and its children end."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        port: int,
        secret: str,
        report: Report | None = None,
    ) -> None:
        self.command, self.environment, self.secret, self.report = command, environment, secret, report
        self.url = f"http://127.0.0.1:{port}"
        self.lines: deque[str] = deque(maxlen=SHOWN_LINES)

    def __enter__(self) -> ChildServer:
        try:
            pipes: dict[str, Any] = {
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.STDOUT,
            }
            ends = _end_with_parent if sys.platform == "linux" else None
            self.process = subprocess.Popen(
                self.command, env=self.environment, start_new_session=True, preexec_fn=ends, **pipes
            )
        except OSError as error:
            raise RunError(f"'{shlex.join(self.command)}' can't be started: {error.strerror or error}.") from None
        self.reader = threading.Thread(target=self.read_output, name="server-output", daemon=True)
        self.reader.start()
        return self

    def read_output(self) -> None:
        """Keep and report the server's lines until its output ends, our own probes left out."""
        for raw in self.process.stdout or ():
            line = raw.decode("utf-8", "replace").rstrip()
            if line and PROBED not in line:
                self.lines.append(line)
                if self.report is not None:
                    self.report(line)

    def wait_until_ready(self, limit_s: float) -> None:
        """RunError when the server dies or doesn't answer in time, with the last it said."""
        deadline = time.monotonic() + limit_s
        while not self.is_healthy():
            if self.process.poll() is not None:
                raise RunError(f"the model's server {self.how_it_ended()} before it was ready{self.last_words()}")
            if time.monotonic() >= deadline:
                raise RunError(
                    f"the model's server was not ready within {limit_s:g} s; give it longer with --startup_timeout"
                    f"{self.last_words()}"
                )
            time.sleep(PROBE_GAP_S)

    def is_healthy(self) -> bool:
        """Whether it answers its health check, and is ours: it knows the secret."""
        headers = {"Authorization": f"Bearer {self.secret}"}
        try:
            reply = request_once("GET", f"{self.url}/health", headers=headers, timeout_s=PROBE_TIMEOUT_S)
        except TransportError:
            return False
        return reply.status == 200 and self.process.poll() is None

    def how_it_ended(self) -> str:
        """The signal or exit status, as the end of a sentence."""
        status = self.process.poll()
        if status is not None and status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def last_words(self) -> str:
        """The server's last lines, as the end of a message."""
        self.reader.join(timeout=1 if self.process.poll() is not None else 0)
        return "; the last it said:\n  " + "\n  ".join(self.lines) if self.lines else "; it said nothing."

    def __exit__(self, *_: object) -> None:
        """Ask the whole group to stop, end what remains."""
        self._signal_group(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=STOP_LIMIT_S)
        self._signal_group(signal.SIGKILL)
        self.process.wait()
        self.reader.join(timeout=2)

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


KEEP_ALIVE_S = 30
ENDING_LIMIT_S = 3  # seconds for answers that are under way when the server is asked to stop
FAILED = 503  # what /health answers, of vLLM and of transformers alike, when what runs the model has died
WATCH_GAP_S = 0.5
HEALTH_LIMIT_S = 5.0
"""How long the model's server may take to say how it is; a busy one takes longer, which is not a failure."""


class GatewayServer(Server):
    """Stops when the model's server ends, or has lost its model; `failure` says what happened then."""

    def __init__(self, settings: GatewaySettings, child: ChildServer, on_ready: Callable[[], None]) -> None:
        limits = {"timeout_keep_alive": KEEP_ALIVE_S, "timeout_graceful_shutdown": ENDING_LIMIT_S}
        super().__init__(create_app(settings), on_ready, settings.max_connections_a_client, **limits)
        self.child, self.failure = child, ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, and the watch over the model's server."""
        await super().startup(sockets)
        self.watching = asyncio.create_task(self.watch())

    async def watch(self) -> None:
        """Wait for a failure of the model's server; it ends the gateway."""
        async with HttpClient() as client:
            while not (failure := await self.find_failure(client)):
                await asyncio.sleep(WATCH_GAP_S)
        self.failure = "" if self.should_exit else failure
        self.should_exit = True

    async def find_failure(self, client: HttpClient) -> str:
        """What is wrong with the model's server; empty when nothing is. Silence does not count: it may be busy."""
        headers, url = {"Authorization": f"Bearer {self.child.secret}"}, f"{self.child.url}/health"
        try:
            status = (await client.request("GET", url, headers=headers, timeout_s=HEALTH_LIMIT_S)).status
        except TransportError:
            status = 0
        if self.child.process.poll() is not None:
            return f"{self.child.how_it_ended()} while serving"
        if status == FAILED:
            return f"has lost its model (/health answers {FAILED}) and can't answer any more requests"
        return ""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A first signal ends gently, a second one at once."""
        self.force_exit, self.should_exit = self.should_exit, True


def serve(
    options: ServeOptions,
    backend: Backend,
    api_key: str,
    startup_limit_s: float,
    on_ready: Callable[[str], None],
    report: Callable[[str], None] | None = None,
) -> None:
    """Serve until asked to stop; `on_ready` is given the address. RunError when the model's server fails."""
    check_key(options.host, api_key)
    with bind(options.host, options.port) as sock, model_server(options, backend, startup_limit_s, report) as child:
        settings = _gateway_settings(options, backend, child, api_key)
        server = GatewayServer(settings, child, lambda: on_ready(client_address(sock, options.host)))
        server.run(sockets=[sock])
        if server.failure:
            raise RunError(f"the model's server {server.failure}; run the command again{child.last_words()}")


@contextlib.contextmanager
def served_in_background(
    options: ServeOptions, backend: Backend, startup_limit_s: float, report: Callable[[str], None] | None = None
) -> Iterator[tuple[str, str]]:
    """Serve from a thread of this process until the block ends; gives the API's address and its key."""
    with bind("127.0.0.1", 0) as sock, model_server(options, backend, startup_limit_s, report) as child:
        server = GatewayServer(_gateway_settings(options, backend, child, child.secret), child, lambda: None)
        with running_in_thread(server, sock):
            yield f"http://127.0.0.1:{sock.getsockname()[1]}/v1", child.secret


@contextlib.contextmanager
def model_server(
    options: ServeOptions,
    backend: Backend,
    startup_limit_s: float,
    report: Callable[[str], None] | None,
    trainer: Mapping[str, str] | None = None,
) -> Iterator[ChildServer]:
    """The model's own server, ready, until the block ends; SIGTERM interrupts as Ctrl-C does, so that it is stopped.

    Only the gateway may ask it, unless it is for a `trainer`: then that is further environment, and no key is needed.
    """

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        secret, port = secrets.token_urlsafe(24), free_port()
        command = backend_command(backend, options, port)
        environment = child_environment(trainer) if trainer else backend_environment(backend, secret)
        with ChildServer(command, environment, port, secret, report) as child:
            child.wait_until_ready(startup_limit_s)
            yield child
    finally:
        signal.signal(signal.SIGTERM, before)


def _gateway_settings(options: ServeOptions, backend: Backend, child: ChildServer, api_key: str) -> GatewaySettings:
    context = None
    with contextlib.suppress(OSError, ValueError, AttributeError):
        config: Any = json.loads((Path(options.model).expanduser() / "config.json").read_text(encoding="utf-8"))
        context = config.get("max_position_embeddings")
    return GatewaySettings(
        child.url,
        backend,
        options.known_names,
        upstream_model=options.model if backend == "transformers" else None,
        secret=child.secret,
        api_key=api_key,
        template=find_template(options.model),
        max_model_len=options.max_model_len or (context if isinstance(context, int) else None),
    )
