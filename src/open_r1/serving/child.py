"""A server as a child process: started in a group of its own, waited for, watched, stopped with all its descendants."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from open_r1.errors import RunError
from open_r1.net.client import TransportError, request_once

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
