"""`open-r1 serve` as a process of its own, as users start it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

READY = re.compile(r"^serving (.+) on (http://\S+)/v1$")


@dataclass
class Served:
    """A server that answers: its address, what it printed, its process."""

    url: str
    model: str
    process: subprocess.Popen[str]
    printed: list[str]

    def children(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in listed.split()]


@contextlib.contextmanager
def served(model: Path | str, *flags: str, environment: dict[str, str] | None = None) -> Iterator[Served]:
    """Serve until the block ends; the process must then be gone within seconds."""
    words = [sys.executable, "-m", "open_r1.cli.main", "serve", str(model), "--port", "0", *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    printed: list[str] = []
    assert process.stdout is not None and process.stderr is not None
    complaints: list[str] = []
    threading.Thread(target=lambda: complaints.extend(process.stderr), daemon=True).start()
    try:
        for line in process.stdout:
            printed.append(line)
            if READY.match(printed[0]) and line.startswith("print("):
                break
        found = READY.match(printed[0]) if printed else None
        if found is None:
            process.wait(timeout=60)
            raise AssertionError(f"the server did not start: {''.join(complaints)}")
        yield Served(found[2], found[1], process, printed)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=40)
        finally:
            process.kill()


def wait_until_gone(pid: int, limit_s: float = 20.0) -> bool:
    """Whether a process ends (or is left as a zombie that nobody waits for) within a limit."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False
