"""One worker: a server process, the line to it, and the job it is at.

It reads what a job writes straight from the pipes, ends the job where it writes or uses too much, and gives the server up
when it doesn't answer. `resident_mb` says what a job has in RAM, from outside.
"""

from __future__ import annotations

import fcntl
import math
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import Any

import open_r1
from open_r1.execution.sandbox.server import wire
from open_r1.execution.sandbox.server.job import Job, Outcome

START_LIMIT_S = 30.0
GRACE_S = 10.0
"""How much longer than a job's limit the server may be silent before it is given up."""

MEMORY_CHECK_S = 0.05
SERVER_MB = 64
"""What the server and a job's first process have in RAM themselves."""

READ_BYTES = 1 << 16
FIRST_USER, NUM_USERS = 60578, 606
"""Users that no system gives out: between those of systemd's homes and its dynamic ones (its page UIDS-GIDS)."""

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
    """What a server is started with."""

    tier: str
    interpreter: str
    readable: tuple[str, ...]
    """Paths that jobs may read."""
    hidden: tuple[str, ...] = ()
    """Folders within them that appear empty, but for what `readable` names below them."""
    packages: tuple[str, ...] = ()
    """Folders to import from, beside the standard library."""
    preload: tuple[str, ...] = ()
    user: int = FIRST_USER
    """Whom to become when started by root."""


@dataclass
class Result:
    """What came of a job: what it wrote, what the server saw of it, and what was seen from here."""

    stdout: bytes
    stderr: bytes
    outcome: Outcome
    output_exceeded: bool
    memory_exceeded: bool
    collected: bytes | None
    """The content of the file asked for."""


class Worker:
    """A server and the line to it. One job at a time; not to be shared by threads."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self._process: subprocess.Popen[Any] | None = None
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
        streams: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        options: Any = {"cwd": "/", "env": ENVIRONMENT, "pass_fds": [theirs.fileno()], "start_new_session": True}
        self._process = subprocess.Popen([*command, dumps(asdict(self.config))], **streams, **options)
        theirs.close()
        self._line = ours
        outcome, _ = self._receive(ours, START_LIMIT_S)
        if outcome.failure:
            self.close()
            raise WorkerLost(outcome.failure)

    def run(
        self,
        job: Job,
        program: bytes,
        stdin: bytes,
        files: Mapping[str, bytes],
        output_bytes: int,
        stdin_is_pipe: bool = False,
    ) -> Result:
        """Run a job. WorkerLost when the server could not, or did not survive it.

        Standard input is a file, or where asked a pipe, which can't be read twice.
        """
        if self._line is None:
            self.start()
        line = self._line
        assert line is not None
        (stdout, theirs_1), (stderr, theirs_2) = os.pipe(), os.pipe()
        given = [theirs_1, theirs_2, _fed_pipe(stdin) if stdin_is_pipe else memory_file(stdin), memory_file(program)]
        given += map(memory_file, files.values())
        try:
            try:
                line.send(job, given)
            except OSError as error:
                raise WorkerLost(f"the sandbox server is gone: {error}") from error
            finally:
                for descriptor in given:
                    os.close(descriptor)
            result = self._watch(job, line, (stdout, stderr), output_bytes)
        except BaseException:
            self.close()  # or the next job would be given this one's answer
            raise
        finally:
            os.close(stdout)
            os.close(stderr)
        if result.outcome.failure:
            raise WorkerLost(result.outcome.failure)
        return result

    def close(self) -> None:
        """End the server, and with it whatever it runs."""
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

    def _watch(self, job: Job, line: wire.Line, readers: tuple[int, int], output_bytes: int) -> Result:
        """Read what a job writes and look at its memory until the server has answered."""
        written = {reader: bytearray() for reader in readers}
        output_exceeded = memory_exceeded = False

        def read(reader: int) -> None:
            """Take one piece from a pipe, and forget it at its end. Too much ends the job."""
            nonlocal output_exceeded
            piece = os.read(reader, READ_BYTES)
            written[reader] += piece
            if len(written[reader]) > output_bytes:
                del written[reader][output_bytes:]
                output_exceeded = True
                self._end_job(line)
            if not piece or output_exceeded:
                unread.discard(reader)

        unread = set(readers)
        deadline = time.monotonic() + job.wall_s + GRACE_S
        watches_memory = job.forks or not job.limits_address_space
        next_check = time.monotonic() + MEMORY_CHECK_S if watches_memory else deadline
        while line.fileno() not in (ready := _readable([line.fileno(), *unread], next_check - time.monotonic())):
            for reader in unread.intersection(ready):
                read(reader)
            if time.monotonic() > deadline:
                raise WorkerLost("the sandbox server did not answer in time")
            if watches_memory and time.monotonic() >= next_check:
                next_check = time.monotonic() + MEMORY_CHECK_S
                if self.pid and resident_mb(self.pid) > job.memory_mb + SERVER_MB:
                    memory_exceeded = True
                    self._end_job(line)
        outcome, descriptors = self._receive(line, GRACE_S)
        while ready := _readable(unread, 0):  # until the end: a message that nobody received may hold a pipe open
            for reader in ready:
                read(reader)
        stdout, stderr = map(bytes, written.values())
        collected = _content(descriptors[0]) if descriptors else None
        return Result(stdout, stderr, outcome, output_exceeded, memory_exceeded, collected)

    def _end_job(self, line: wire.Line) -> None:
        with suppress(OSError):
            line.send(wire.END)

    def _receive(self, line: wire.Line, timeout_s: float) -> tuple[Outcome, list[int]]:
        """The server's next answer. WorkerLost, and the server closed, when none comes."""
        try:
            received = line.receive(timeout_s)
            if received is None:
                raise OSError("it ended")
            return Outcome(*received[0]), received[1]
        except (OSError, ValueError, TypeError) as error:
            self.close()
            raise WorkerLost(f"the sandbox server did not answer: {error}") from error


def user_of(number: int) -> int:
    """Whom a provider's worker of this number becomes when root starts it; the kernel counts threads by user."""
    return FIRST_USER + number % NUM_USERS


def _readable(descriptors: Iterable[int], timeout_s: float) -> list[int]:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(max(0.0, timeout_s) * 1000)]


def _content(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


def _fed_pipe(content: bytes) -> int:
    """The end of a pipe to read from; a thread writes the content, until nobody reads any more."""

    def write() -> None:
        with suppress(BrokenPipeError), open(writer, "wb", buffering=0) as file:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) :]

    reader, writer = os.pipe()
    threading.Thread(target=write, name="sandbox-stdin", daemon=True).start()
    return reader


def memory_file(content: bytes) -> int:
    """A descriptor from which `content` can be read, and nothing written."""
    writable = os.memfd_create("input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(writable, "wb") as file:
        file.write(content)
        file.flush()
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(writable, fcntl.F_ADD_SEALS, seals)
        return os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)


SHARED_MEMORY, NAMED_SHARED_MEMORY = b"/dev/zero (deleted)\n", b" [anon_shmem:"
"""What the kernel calls it, however a process came by it, and where the process has given it a name."""

COUNTED = (b"RssAnon", b"VmPTE")
"""Memory of the process alone, and its page tables: they grow with what is mapped, be it in RAM or not."""

OWN_GENERATIONS = 3
"""The process itself, a sandbox's server, and the first process of a job's tree; the last two can't be read."""

FORKED_ONLY = 0x40
"""The kernel's PF_FORKNOEXEC: a process that has not yet become a program."""


def resident_mb(root: int) -> float:
    """Megabytes that the descendants of process `root` have in RAM, but for what they have mapped of files.

    Page tables count too. Shared memory is counted once and in full, whether a process has looked at it or not: one that
    hasn't lately, or has said that it doesn't need it, keeps it all the same, and no figure of the kernel's shows that.
    A program that has made its memory unreadable has infinitely much.
    """
    stats: dict[int, list[bytes]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            stats[int(name)] = _read(name, "stat").rpartition(b")")[2].split()
    generations = [{root}]
    while grown := {pid for pid, stat in stats.items() if int(stat[1]) in generations[-1]}:
        generations.append(grown)
    programs = set().union(*generations[OWN_GENERATIONS:])
    own_kb = 0
    shared: dict[bytes, int] = {}
    for pid in set().union(*generations[1:]):
        try:
            status = _read(pid, "status").splitlines()
            own_kb += sum(int(line.split()[1]) for line in status if line.startswith(COUNTED))
            shared |= _shared(pid)
        except PermissionError:
            is_starting = len(programs) == 1 and int(stats[pid][6]) & FORKED_ONLY
            if pid in programs and not is_starting:
                return math.inf
        except (OSError, ValueError):  # it has ended
            continue
    return (own_kb + (sum(shared.values()) >> 10)) / 1024


def _read(pid: int | str, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


def _shared(pid: int) -> dict[bytes, int]:
    """Shared memory of no file: its number, and the bytes that it may grow to."""
    found: dict[bytes, int] = {}
    for line in _read(pid, "maps").splitlines(keepends=True):
        if line.endswith(SHARED_MEMORY) or NAMED_SHARED_MEMORY in line:
            span, _, _, _, inode, *_ = line.split()
            start, end = (int(number, 16) for number in span.split(b"-"))
            found[inode] = found.get(inode, 0) + end - start
    return found
