"""A fresh interpreter that loads the work once and forks the pool's workers: the caller's side of it, and its own.

Single-threaded and free of torch, it may fork safely whatever its caller looks like. It ends when the control socket
closes, and its workers with it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from open_r1.errors import OpenR1Error, RunError
from open_r1.processes.python import child_environment, python_command

Work = Callable[[Any], Any]

COMMAND = "import sys; sys.path[:] = {path!r}; from open_r1.processes.fork_server import main; main({descriptor})"

KEPT_BYTES = 16 << 20
"""A block of this size is taken and freed once: from then on glibc keeps what a process frees, up to that size, instead
of returning each array to the system, where getting it back costs a page fault for every 4 kB."""


@dataclass(frozen=True)
class Limits:
    """What one job may use.

    Args:
        wall_s: Seconds after which a job that waits is killed. One that computes may go on while it has processor time.
        processor_s: Processor seconds after which the kernel kills the worker; without it, every job has `wall_s`.
        memory_bytes: The address space of a worker.
    """

    wall_s: float = 600.0
    processor_s: float | None = None
    memory_bytes: int | None = None


class ForkServerLost(Exception):
    """The process that forks the workers is gone; the argument is its `ForkServer`."""


class ForkServer:
    """The caller's side: starts the interpreter, and asks it for workers; `main` is the other side."""

    def __init__(self, work: Work, limits: Limits, start_limit_s: float, environment: Mapping[str, str]) -> None:
        self.control, theirs = socket.socketpair()
        self.lock = threading.Lock()
        path = [entry for entry in sys.path if entry]
        command = python_command("-c", COMMAND.format(path=path, descriptor=theirs.fileno()))
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env=child_environment(environment), pass_fds=[theirs.fileno()]
        )
        theirs.close()
        try:
            self._begin(work, limits, start_limit_s)
        except BaseException:
            self.end()
            raise

    def _begin(self, work: Work, limits: Limits, start_limit_s: float) -> None:
        self.control.settimeout(start_limit_s)
        try:
            send_message(self.control, (work, limits.processor_s, limits.memory_bytes))
            problem = receive_message(self.control)
        except TimeoutError:
            raise RunError(f"worker processes could not be started within {start_limit_s:.0f} s.") from None
        except (OSError, EOFError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            raise RunError(
                f"worker processes could not be started with {sys.executable} (exit status {self.process.returncode}); "
                "their own message is above."
            ) from None
        if problem:
            raise RunError(f"worker processes could not be started: {problem}.")

    def fork(self, index: int) -> tuple[int, Connection]:
        """Fork a worker; its process number and the connection to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                with self.lock:
                    socket.send_fds(self.control, [index.to_bytes(8, "little")], [theirs.fileno()])
                    pid = receive_message(self.control)
            except (OSError, EOFError):
                ours.close()
                raise ForkServerLost(self) from None
        return pid, Connection(ours.detach())

    def kill(self, pid: int) -> int:
        """Kill a worker; its exit status, negative for a signal."""
        try:
            with self.lock:
                self.control.sendall(pid.to_bytes(8, "little"))
                return receive_message(self.control)
        except (OSError, EOFError):
            raise ForkServerLost(self) from None

    def end(self) -> None:
        """Kill the server and thereby its workers."""
        self.process.kill()
        self.process.wait()
        self.control.close()


# --- the server's own side -------------------------------------------------------------------------------------------


def main(descriptor: int) -> None:
    """Load the work, fork and kill workers as the caller asks, and end with the caller."""
    os.dup2(2, 1)  # stdout is the caller's: what a library prints goes to stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    children: set[int] = set()
    try:
        work, processor_s, memory_bytes = receive_message(control)
        getattr(work, "prepare", nothing)()
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - the caller reports it, whatever it is
        send_message(control, describe(error))
        return
    try:
        send_message(control, None)
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, 8, 1)
            if len(message) < 8:
                break
            number = int.from_bytes(message, "little")
            if descriptors:
                pid = os.fork()
                if pid == 0:
                    control.close()
                    live(work, number, Connection(descriptors[0]), processor_s, memory_bytes)
                os.close(descriptors[0])
                children.add(pid)
                send_message(control, pid)
            else:
                send_message(control, end_worker(number))
                children.discard(number)
    except OSError:
        pass  # the caller is gone
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)


def end_worker(pid: int) -> int:
    """Kill a worker that has not ended yet; its exit status."""
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def live(work: Work, index: int, line: Connection, processor_s: float | None, memory_bytes: int | None) -> None:
    """A worker's life: apply the work to job after job until it is killed or its caller is gone."""
    try:
        limit_process(memory_bytes)
        ready = attempt(getattr(work, "begin", nothing), *([index] if hasattr(work, "begin") else []))
        line.send(ready)
        while ready[0]:
            job = line.recv()
            if processor_s is not None:
                signal.setitimer(signal.ITIMER_PROF, processor_s)
            result = attempt(work, job)
            signal.setitimer(signal.ITIMER_PROF, 0)
            send_result(line, result)
    except (EOFError, OSError):
        pass
    finally:
        os._exit(0)


def attempt(work: Callable[..., Any], *arguments: Any) -> tuple[bool, Any]:
    """(True, what the work returns) or (False, the error)."""
    try:
        return True, work(*arguments)
    except Exception as error:  # noqa: BLE001 - the caller gets it, whatever it is
        return False, error


def send_result(line: Connection, result: tuple[bool, Any]) -> None:
    """Send what the work returned; what can't be pickled becomes an error."""
    try:
        line.send(result)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError) as problem:  # what can't be pickled
        said = describe(problem if result[0] else result[1])
        line.send((False, RunError(f"a worker process could not return its result: {said}.")))


def limit_process(memory_bytes: int | None) -> None:
    """Memory bounded, no core dumps, death with the server: nothing that was started here outlives its use."""
    import resource

    bytearray(KEPT_BYTES)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def nothing() -> None:
    """What happens where the work has no `prepare` or `begin`."""


def describe(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, OpenR1Error):
        return str(error).rstrip(".")
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")


def send_message(line: socket.socket, message: Any) -> None:
    """Send a pickled message, with its length in 8 bytes before it."""
    content = pickle.dumps(message)
    line.sendall(len(content).to_bytes(8, "little") + content)


def receive_message(line: socket.socket) -> Any:
    """The next message; EOFError where there is none, or only half of one."""
    return pickle.loads(_receive(line, int.from_bytes(_receive(line, 8), "little")))


def _receive(line: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        if not (more := line.recv(size - len(content))):
            raise EOFError
        content += more
    return content
