"""The other side of `pool`: the interpreter that loads the work, and the workers that it forks.

Single-threaded and free of torch, it may fork safely whatever its caller looks like. It ends when the control socket
closes, and its workers with it.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from open_r1.errors import OpenR1Error, RunError
from open_r1.processes.pool import KEPT_BYTES, Work, receive_message, send_message


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
    try:
        line.send(result)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError) as problem:  # what can't be pickled
        said = describe(problem if result[0] else result[1])
        line.send((False, RunError(f"a worker process could not return its result: {said}.")))


def limit_process(memory_bytes: int | None) -> None:
    """Memory bounded, no core dumps, death with the nursery: nothing that was started here outlives its use."""
    import resource

    bytearray(KEPT_BYTES)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def nothing() -> None:
    pass


def describe(error: BaseException) -> str:
    if isinstance(error, OpenR1Error):
        return str(error).rstrip(".")
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")
