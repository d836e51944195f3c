"""Checking answers by algebra in processes that can be killed.

Does: hand pairs of canonical answers to a server process (`verifier_server`) that forks, limits and kills its workers,
and return the verdicts in order; remember the last ones, which the next reward of a step asks for again; start the
server at first use, restart it when it is lost or was interrupted, end it with this process. The same from any thread,
inside an event loop, in a forked or spawned process, with torch loaded or not: the server is a fresh interpreter, and
nothing of the caller's is forked. Does not: decide pairs that plain comparison can (`answers`).
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from itertools import islice
from pathlib import Path

from open_r1.answers.reasons import Reason
from open_r1.answers.verifier_server import WALL_FACTOR
from open_r1.errors import RunError

ALGEBRA_CHECKER = "open_r1.answers.algebra:check_pair"
DEFAULT_LIMIT_S = 3.0
START_LIMIT_S = 120.0
CLOSE_LIMIT_S = 1.0
GRACE_S = 60.0
"""How much longer than a worker's limit the server may be silent before it is taken for lost."""

MAX_WORKERS = 8

MAX_REMEMBERED = 4096
"""So many verdicts are kept. The oldest go first, used or not: a time-out that a busy machine caused must not last."""


@dataclass(frozen=True)
class Pair:
    """Two canonical answers to be compared; `ordered` when the order of a bare list matters."""

    gold: str
    answer: str
    ordered: bool = False


class Verifier:
    """A server process and the line to it. `workers` 0 checks in this process, without any limit of time.

    Args:
        workers: How many pairs are checked at once; by default one a core that this process may use, shared out among
            the processes of a multi-GPU run (LOCAL_WORLD_SIZE), eight at most.
        limit_s: Seconds of processor time for one pair; then its verdict is "timeout". However many pairs there are and
            whatever else the machine does, a pair has the same time.
        checker: Where to find the function that decides a pair.
    """

    def __init__(
        self, workers: int | None = None, limit_s: float = DEFAULT_LIMIT_S, checker: str = ALGEBRA_CHECKER
    ) -> None:
        self.checker = checker
        self.workers = default_workers() if workers is None else workers
        self.limit_s = limit_s
        self._server: _Server | None = None
        self._remembered: dict[Pair, Reason] = {}
        self._lock = threading.Lock()
        _open_verifiers.add(self)

    def check(self, pairs: Sequence[Pair]) -> list[Reason]:
        """A verdict for each pair, in order. Equal pairs are checked once. RunError when no server can be started."""
        distinct = list(dict.fromkeys(pairs))
        if not distinct:
            return []
        verdicts = dict(zip(distinct, self._check_distinct(distinct), strict=True))
        return [verdicts[pair] for pair in pairs]

    def close(self) -> None:
        """End the server. The next check starts another."""
        with self._lock:
            if self._server is not None:
                self._server.close()
                self._server = None

    def forget_server(self) -> None:
        """In a forked child: the server belongs to the parent."""
        self._server = None
        self._lock = threading.Lock()

    def _check_distinct(self, pairs: list[Pair]) -> list[Reason]:
        if self.workers == 0:
            return _check_here(self.checker, pairs)
        with self._lock:
            known = self._remembered
            verdicts: dict[Pair, Reason] = {pair: known[pair] for pair in pairs if pair in known}
            for _ in range(2):  # a lost server loses no pair: what it left is checked by a new one
                if left := [pair for pair in pairs if pair not in verdicts]:
                    self._check_on_server(left, verdicts)
            self._remember(verdicts)
        return [verdicts.get(pair, "error") for pair in pairs]

    def _check_on_server(self, pairs: list[Pair], verdicts: dict[Pair, Reason]) -> None:
        """Add the verdicts on `pairs`, or some of them when the server is lost on the way.

        Only a server that has given every verdict is kept: what another still had to say would be read as the verdicts
        of the next batch.
        """
        server, self._server = self._server or _Server(self.checker, self.workers, self.limit_s), None
        try:
            server.send([[pair.gold, pair.answer, pair.ordered] for pair in pairs])
            for _ in pairs:
                position, reason = server.receive(self.limit_s * WALL_FACTOR + GRACE_S)
                verdicts[pairs[position]] = reason
        except _ServerLostError:
            server.close()
        except BaseException:  # a Ctrl-C, say, in the middle of a batch
            server.kill()
            raise
        else:
            self._server = server

    def _remember(self, verdicts: dict[Pair, Reason]) -> None:
        """Keep what was decided, time-outs included; an error may be the machine's, and is looked at again."""
        self._remembered.update((pair, reason) for pair, reason in verdicts.items() if reason != "error")
        for pair in list(islice(self._remembered, max(0, len(self._remembered) - MAX_REMEMBERED))):
            del self._remembered[pair]


class _ServerLostError(Exception):
    pass


class _Server:
    """One server process; every wait on it has a limit."""

    def __init__(self, checker: str, workers: int, limit_s: float) -> None:
        command = [sys.executable, "-m", "open_r1.answers.verifier_server"]
        command += ["--checker", checker, "--workers", str(workers), "--limit-s", str(limit_s)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), bufsize=0
        )
        self._selector = selectors.DefaultSelector()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._received = b""
        self._expect_ready()

    def send(self, tasks: list[list]) -> None:
        remaining = memoryview(json.dumps(tasks).encode("ascii") + b"\n")
        try:
            while remaining:
                remaining = remaining[self._stdin.write(remaining) or 0 :]
        except OSError as error:
            raise _ServerLostError from error

    def receive(self, limit_s: float) -> tuple[int, Reason]:
        return tuple(json.loads(self._read_line(limit_s)))

    def close(self) -> None:
        """End the server by closing its input, so that it ends its children; by force when it doesn't."""
        self._selector.close()
        with suppress(OSError):
            self._stdin.close()
        self._stdout.close()
        try:
            self._process.wait(CLOSE_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """End the server at once, whatever it is at."""
        self._process.kill()
        self.close()

    def _expect_ready(self) -> None:
        try:
            if self._read_line(START_LIMIT_S) == b"ready":
                return
        except _ServerLostError:
            pass
        except BaseException:
            self.kill()
            raise
        self.close()
        raise RunError(
            f"the answer verifier could not be started with {sys.executable} (exit status {self._process.returncode}); "
            "its own message stands above. Check that math-verify is installed: pip install 'math-verify[antlr4_13_2]'."
        )

    def _read_line(self, limit_s: float) -> bytes:
        while b"\n" not in self._received:
            if not self._selector.select(limit_s):
                raise _ServerLostError
            chunk = os.read(self._stdout.fileno(), 1 << 16)
            if not chunk:
                raise _ServerLostError
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line


def default_workers() -> int:
    """One worker a core that this process may use, shared out among the processes of its machine, 1 to 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(MAX_WORKERS, cores // int(os.environ.get("LOCAL_WORLD_SIZE") or 1)))


@lru_cache(maxsize=1)
def default_verifier() -> Verifier:
    """The verifier that this process shares."""
    return Verifier()


def _check_here(checker: str, pairs: list[Pair]) -> list[Reason]:
    module, _, name = checker.partition(":")
    check = getattr(import_module(module), name)
    return [check(pair.gold, pair.answer, pair.ordered) for pair in pairs]


def _environment() -> dict[str, str]:
    """This process's environment, in which the server finds the same open_r1 and uses one thread a worker."""
    package_root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


_open_verifiers: weakref.WeakSet[Verifier] = weakref.WeakSet()


def _close_all() -> None:
    for verifier in list(_open_verifiers):
        verifier.close()


def _forget_all() -> None:
    for verifier in list(_open_verifiers):
        verifier.forget_server()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
