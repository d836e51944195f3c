"""One worker: a server process, the line to it, and the job it is at.

Does: start the server, hand it a job, read what the job writes straight from the pipes, end it where it writes or uses
too much, and give the server up when it doesn't answer. Does not: know languages (`toolchains`) or share work
(`local`).
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from json import dumps
from marshal import dumps as dump
from pathlib import Path

import open_r1
from open_r1.execution.sandbox.memory import resident_mb
from open_r1.execution.sandbox.server import wire
from open_r1.execution.sandbox.server.job import Job, Outcome

START_LIMIT_S = 30.0
GRACE_S = 10.0
"""How much longer than a job's limit the server may be silent before it is given up."""

AT_ONCE_S = 0.005
"""How long only the server is listened to, and what a job writes stays in its pipes."""

MEMORY_CHECK_S = 0.05
SERVER_MB = 64
"""What the server and a job's first process have in RAM themselves."""

MARSHAL_VERSION = 2
"""One that every interpreter reads."""

READ_BYTES = 1 << 16
ENVIRONMENT = {"LD_BIND_NOW": "1", "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""All that a server gets. The hash seed keeps sets in the same order in every run of a program."""

_TRAMPOLINE = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from open_r1.execution.sandbox.server.main import serve; "
    "from open_r1.execution.sandbox.server.script import run_script; "
    "run_script(*serve())"
)


class WorkerLost(Exception):
    """The server did not start, did not answer, or is gone; the message says which."""


@dataclass(frozen=True)
class WorkerConfig:
    """What a server is started with.

    Args:
        tier: "A" or "B".
        interpreter: The Python that runs the server and what it forks.
        readable: Paths that jobs may read.
        hidden: Folders within them that appear empty, but for what `readable` names below them.
        packages: Folders to import from, beside the standard library.
        preload: Modules to import once, before any job.
        user: Whom to become when started by root.
    """

    tier: str
    interpreter: str
    readable: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    user: int = 65534


@dataclass
class Result:
    """What came of a job: what it wrote, what the server saw of it, and what was seen from here."""

    stdout: bytes = b""
    stderr: bytes = b""
    outcome: Outcome = Outcome()
    output_exceeded: bool = False
    memory_exceeded: bool = False
    collected: int | None = None
    """A descriptor of the file asked for, the caller's to close."""


class Worker:
    """A server and the line to it. One job at a time; not to be shared by threads."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._line: wire.Line | None = None

    @property
    def pid(self) -> int | None:
        """The process that the server and its jobs descend from, if there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the server. WorkerLost says what this machine doesn't allow."""
        ours, theirs = wire.pair()
        folder = str(Path(open_r1.__file__).parent.parent)
        command = [self.config.interpreter, "-s", "-S", "-P", "-B", "-c", _TRAMPOLINE, folder, str(theirs.fileno())]
        self._process = subprocess.Popen(
            [*command, dumps(asdict(self.config))],
            pass_fds=[theirs.fileno()],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        theirs.close()
        self._line = ours
        outcome, _ = self.receive(START_LIMIT_S)
        if outcome.failure:
            self.close()
            raise WorkerLost(outcome.failure)

    def run(
        self,
        job: Job,
        program: int,
        stdin: bytes,
        files: Mapping[str, bytes],
        output_bytes: int,
        stdin_is_pipe: bool = False,
    ) -> Result:
        """Run a job whose program is the descriptor `program`. WorkerLost when the server did not survive it.

        Standard input is a file, or where asked a pipe, which can't be read twice.
        """
        if self._line is None:
            self.start()
        line = self._line
        assert line is not None
        feed = _Feed(stdin) if stdin_is_pipe and stdin else None
        given = [feed.reader if feed else memory_file(stdin), *(memory_file(content) for content in files.values())]
        pipes = [os.pipe(), os.pipe()]
        try:
            message = dump(tuple(job), MARSHAL_VERSION)
            line.send(message, [pipes[0][1], pipes[1][1], given[0], program, *given[1:]])
        except OSError as error:
            self.close()
            for reader, _ in pipes:
                os.close(reader)
            if feed:
                feed.close()
            raise WorkerLost(f"the sandbox server is gone: {error}") from error
        finally:
            for descriptor in (pipes[0][1], pipes[1][1], *given):
                os.close(descriptor)
        watch = _Watch(self, job, (pipes[0][0], pipes[1][0]), output_bytes, feed)
        try:
            return watch.until_ended()
        except BaseException:
            self.close()  # or the next job would be given this one's answer
            raise
        finally:
            watch.close()

    def close(self) -> None:
        """End the server and everything it started."""
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """In a forked child: the server is the parent's. Only this side of the line is closed here."""
        if self._line is not None:
            self._line.close()
        self._line = self._process = None

    def end_job(self) -> None:
        """Ask the server to end the job at hand; its answer comes as for any other."""
        if self._line is not None:
            with suppress(OSError):
                self._line.send(wire.END)

    def receive(self, timeout_s: float) -> tuple[Outcome, list[int]]:
        """The server's next answer. WorkerLost, and the server closed, when none comes."""
        if self._line is None:
            raise WorkerLost("the sandbox server was closed")
        try:
            received = self._line.receive(timeout_s)
            if received is None:
                raise EOFError
            message, descriptors = received
            return Outcome.decode(message), descriptors
        except EOFError as error:
            self.close()
            raise WorkerLost("the sandbox server ended") from error
        except (OSError, ValueError) as error:
            self.close()
            raise WorkerLost(f"the sandbox server did not answer: {error}") from error

    def fileno(self) -> int:
        """Of the line to the server, for `poll`."""
        return -1 if self._line is None else self._line.fileno()


class _Watch:
    """One job seen from this side: what it writes, the memory that it uses, and the server's word on how it ended."""

    def __init__(
        self, worker: Worker, job: Job, readers: tuple[int, int], output_bytes: int, feed: _Feed | None
    ) -> None:
        self._worker = worker
        self._feed = feed
        self._job = job
        self._written = {reader: bytearray() for reader in readers}
        self._output_bytes = output_bytes
        self._result = Result()
        self._deadline = time.monotonic() + job.wall_s + GRACE_S
        self._poll = select.poll()
        self._poll.register(worker.fileno(), select.POLLIN)
        self._watches_memory = job.forks or not job.limits_address_space
        self._next_memory_check = time.monotonic() + MEMORY_CHECK_S

    def until_ended(self) -> Result:
        has_ended = self._poll.poll(AT_ONCE_S * 1000)  # as most have, and nobody was woken for each line of theirs
        if not has_ended:
            for reader in self._written:
                self._poll.register(reader, select.POLLIN)
            if self._feed and not self._feed.is_done:
                self._poll.register(self._feed.writer, select.POLLOUT)
            while not self._poll_once():
                if self._watches_memory and time.monotonic() >= self._next_memory_check:
                    self._check_memory()
        outcome, descriptors = self._worker.receive(GRACE_S)
        for reader in self._written:
            while _has_more(reader) and self._read(reader):
                pass
        return self._finish(outcome, descriptors)

    def close(self) -> None:
        for reader in self._written:
            os.close(reader)
        if self._feed:
            self._feed.close()

    def _poll_once(self) -> bool:
        """Read what is there; True when the server has answered. WorkerLost when it should have long ago."""
        now = time.monotonic()
        if now > self._deadline:
            self._worker.close()
            raise WorkerLost("the sandbox server did not answer in time")
        until = min(self._deadline, self._next_memory_check) if self._watches_memory else self._deadline
        ready = [descriptor for descriptor, _ in self._poll.poll(max(0.0, until - now) * 1000 + 1)]
        for reader in set(ready) & self._written.keys():
            if not self._read(reader):
                self._poll.unregister(reader)
        if self._feed and self._feed.writer in ready:
            writer = self._feed.writer
            if self._feed.write():
                self._poll.unregister(writer)
        return self._worker.fileno() in ready

    def _read(self, reader: int) -> bool:
        """Take one piece from a pipe; False when there is no more to take. Too much ends the job."""
        piece = os.read(reader, READ_BYTES)
        written = self._written[reader]
        written += piece
        if len(written) <= self._output_bytes:
            return bool(piece)
        del written[self._output_bytes :]
        self._result.output_exceeded = True
        self._worker.end_job()
        return False

    def _check_memory(self) -> None:
        self._next_memory_check = time.monotonic() + MEMORY_CHECK_S
        if self._worker.pid and resident_mb(self._worker.pid) > self._job.memory_mb + SERVER_MB:
            self._result.memory_exceeded = True
            self._worker.end_job()

    def _finish(self, outcome: Outcome, descriptors: list[int]) -> Result:
        result = self._result
        result.outcome = outcome
        result.stdout, result.stderr = (bytes(written) for written in self._written.values())
        result.collected = descriptors[0] if descriptors else None
        return result


class _Feed:
    """Standard input as a pipe: what fits is in it before the program starts, the rest is written as it reads."""

    def __init__(self, content: bytes) -> None:
        self._rest = memoryview(content)
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        self.write()

    @property
    def is_done(self) -> bool:
        return self.writer < 0

    def write(self) -> bool:
        """Write what fits now; True, and the pipe closed, when nothing is left or nobody reads."""
        with suppress(BlockingIOError):
            try:
                while self._rest:
                    self._rest = self._rest[os.write(self.writer, self._rest) :]
            except BrokenPipeError:
                self._rest = self._rest[:0]
        if not self._rest:
            self.close()
        return self.is_done

    def close(self) -> None:
        if not self.is_done:
            os.close(self.writer)
            self.writer = -1


def _has_more(reader: int) -> bool:
    """Whether there is something to be read, or the end. A pipe may be held open by a message that nobody received."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    return bool(poll.poll(0))


def memory_file(content: bytes) -> int:
    """A descriptor from which `content` can be read, and nothing written."""
    if not content:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    writable = os.memfd_create("input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(writable, view) :]
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(writable, fcntl.F_ADD_SEALS, seals)
        return os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writable)
