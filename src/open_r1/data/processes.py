"""Work on the parts of a stream in several processes, results in the order of the parts, in bounded memory.

Does: start fresh interpreters that know nothing of the caller's main module or threads, send each the work once, then part
by part, and keep a few parts in flight. A process ends when its input does, so none outlives the caller, however that
ends; one that dies or doesn't answer is an error, and all are ended. Does not: let the number of processes show in a
result: parts are the caller's, and come back in order.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, TypeVar

from open_r1.errors import ConfigError, RunError

Part = TypeVar("Part")
Result = TypeVar("Result")

IN_FLIGHT = 3
"""Parts that are handed out at a time, for each process."""

LIMIT_S = 600
"""A part takes a fraction of a second; a process that has not answered for so long is stuck."""

KEPT_BYTES = 16 << 20
"""A block of this size is taken and given back once: from then on glibc keeps what a process frees, up to that size, instead
of returning each array to the system, where getting it back costs a page fault for every 4 kB."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A process a core is enough: libraries need no threads of their own beside."""

COMMAND = "import sys; sys.path[:] = {path!r}; from open_r1.data.processes import serve; serve()"


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_processes(asked: int | None) -> int:
    """How many processes to use: as many as were asked for, or one a core."""
    if asked is None:
        return available_cores()
    if asked < 1:
        raise ConfigError(f"--processes must be at least 1, but is {asked}; leave it out for one a core.")
    return asked


def map_in_order(
    work: Callable[[Part], Result], parts: Iterable[Part], processes: int
) -> Iterator[tuple[Part, Result]]:
    """Each part with what `work` makes of it. With one process everything happens here.

    RunError when a process dies or doesn't answer; errors of `work` are raised as they are.
    """
    if processes == 1:
        for part in parts:
            yield part, work(part)
        return
    workers = [Worker(work) for _ in range(processes)]
    threads = ThreadPoolExecutor(processes)
    try:
        free = deque(workers)
        waiting: deque[tuple[Part, Future[Result]]] = deque()
        for part in parts:
            waiting.append((part, threads.submit(_apply, free, part)))
            if len(waiting) >= IN_FLIGHT * processes:
                yield _finish(*waiting.popleft())
        while waiting:
            yield _finish(*waiting.popleft())
    finally:
        for worker in workers:
            worker.end()
        threads.shutdown(cancel_futures=True)


def _apply(free: deque[Worker], part: Any) -> Any:
    """In one of as many threads as there are workers: one of them is always free."""
    worker = free.popleft()
    try:
        return worker.apply(part)
    finally:
        free.append(worker)


def _finish(part: Part, future: Future[Result]) -> tuple[Part, Result]:
    try:
        return part, future.result(LIMIT_S)
    except TimeoutError:
        raise RunError(
            f"a process has not answered for {LIMIT_S} s; run again with --processes 1 to see why."
        ) from None


class Worker:
    """A process that applies the work to one part after another."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        command = [sys.executable, "-c", COMMAND.format(path=sys.path)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **ONE_THREAD}
        )
        self.work: Callable[[Any], Any] | None = work
        self.lock = threading.Lock()

    def apply(self, part: Any) -> Any:
        """What the work makes of a part; its error is raised here."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            with self.lock:
                if self.work is not None:
                    write_message(self.process.stdin, self.work)
                    self.work = None
                write_message(self.process.stdin, part)
                is_done, result = read_message(self.process.stdout)
        except (OSError, EOFError, ValueError):  # ValueError: closed by `end`
            raise RunError(
                "one of the processes ended before its work was done, perhaps for want of memory; "
                "run again with fewer --processes."
            ) from None
        if not is_done:
            raise result
        return result

    def end(self) -> None:
        """End the process, also in the middle of a part."""
        self.process.kill()
        self.process.wait()
        with self.lock:
            for pipe in (self.process.stdin, self.process.stdout):
                assert pipe is not None
                with contextlib.suppress(OSError):  # what was left to be written has no reader any more
                    pipe.close()


def write_message(pipe: IO[bytes], message: Any) -> None:
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    pipe.write(len(content).to_bytes(8, "little") + content)
    pipe.flush()


def read_message(pipe: IO[bytes]) -> Any:
    """The next message; EOFError where there is none, or only half of one."""
    size = pipe.read(8)
    content = pipe.read(int.from_bytes(size, "little")) if len(size) == 8 else b""
    if not content:
        raise EOFError
    return pickle.loads(content)


def serve() -> None:
    """In a fresh process: receive the work, apply it to part after part, end when the input does."""
    bytearray(KEPT_BYTES)
    parts, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed is no result
    try:
        work = read_message(parts)
        while True:
            write_message(results, _try(work, read_message(parts)))
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        os._exit(0)


def _try(work: Callable[[Any], Any], part: Any) -> tuple[bool, Any]:
    try:
        return True, work(part)
    except Exception as error:  # noqa: BLE001 - the caller gets it, whatever it is
        return False, error
