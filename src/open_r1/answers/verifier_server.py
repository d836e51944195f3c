"""The process that checks pairs for a `Verifier`: `python -m open_r1.answers.verifier_server --workers 2 --limit-s 3`.

Does: load the algebra system once, fork a child a worker, hand each a pair at a time, and kill a child that takes
longer than its limit; a new one is forked from the loaded process in milliseconds. Being small, single-threaded and
free of torch, it may fork safely whatever the trainer looks like. Does not: decide anything itself (`algebra`).

One JSON line in is a batch, `[[gold, answer, ordered], ...]`; one JSON line out a verdict, `[index, reason]`, in any
order. It ends, and its children with it, when its standard input closes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from open_r1.answers.reasons import Reason

LOOK_S = 0.05
"""How often the processor time of a child that is at a pair is looked at."""

WALL_FACTOR = 20
"""A child that has neither answered nor used up its time within so many limits is given up, however busy the machine is."""

MEMORY_LIMIT_BYTES = 2 << 30

WARM_UP = (
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    (r"-\frac{3}{4}x^{2}-2x+1", r"(x+1)\cdot(x-2)"),
    (r"(2,\infty)", r"[-1,3)\cup(4,5]"),
    (r"\{1,2\}", r"(1,-2,\frac{3}{2})"),
    (r"\begin{pmatrix}1\\x^{2}\end{pmatrix}", r"\begin{pmatrix}1/2&0\\-3&4\end{pmatrix}"),
    (r"y=-2x+1", r"-1\le x<3"),
    (r"x^{2}+y^{2}=9", r"|x-1|"),
    (r"-2+7i", r"e^{2x}\sin x+\cos(2x)"),
    (r"\frac{\pi}{6}", r"2\pi r^{2}"),
    (r"\log_{2}8", r"\binom{5}{2}+5!"),
    (r"1.25", r"\frac{3\cdot(-\sqrt[3]{3})}{3}"),
    (r"\frac{11+9a}{20}", r"12^{1/7}"),
)
"""Pairs that take the parser through its grammar: it learns as it goes, and what is learnt here all children have."""

Checker = Callable[[str, str, bool], Reason]

Task = tuple[int, str, str, bool]


@dataclass
class Worker:
    """A forked child, and the pair it is at."""

    process: Any
    connection: Connection
    task: int | None = None
    started: float = 0.0
    processor_s: float = 0.0
    looked: float = 0.0
    asleep_s: float = 0.0


class Workers:
    """The children of this process: never more than `size`, so that none waits for a core that another has.

    The limit of a pair is processor time: what else the machine does, and how many pairs there are, changes no verdict.
    """

    def __init__(self, checker: Checker, size: int, limit_s: float) -> None:
        self.checker = checker
        self.size = size
        self.limit_s = limit_s
        self.workers: list[Worker] = []

    def check(self, tasks: list[Task]) -> Iterator[tuple[int, Reason]]:
        """The verdict of every task as it falls, in any order."""
        waiting = deque(tasks)
        while waiting or self._busy():
            while waiting and (worker := self._free_worker()) is not None:
                self._give(worker, waiting.popleft())
            busy = self._busy()
            for connection in wait([worker.connection for worker in busy], LOOK_S):
                yield self._take(next(worker for worker in busy if worker.connection is connection))
            for worker in self._busy():
                if self._is_over_limit(worker):
                    yield self._drop(worker, "timeout")

    def close(self) -> None:
        for worker in self.workers:
            worker.process.kill()

    def _is_over_limit(self, worker: Worker) -> bool:
        """Whether a child has used its limit: in processor time, or asleep, which a child that waits for a core is not."""
        now = time.monotonic()
        elapsed = now - worker.started
        used, is_asleep = process_state(worker.process.pid)
        if is_asleep:
            worker.asleep_s += now - worker.looked
        worker.looked = now
        spent = elapsed if used is None else used - worker.processor_s + worker.asleep_s
        return spent >= self.limit_s or elapsed >= self.limit_s * WALL_FACTOR

    def _busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.task is not None]

    def _free_worker(self) -> Worker | None:
        idle = next((worker for worker in self.workers if worker.task is None), None)
        return idle or (self._fork() if len(self.workers) < self.size else None)

    def _fork(self) -> Worker:
        context = get_context("fork")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(self.checker, theirs, self.limit_s), daemon=True)
        process.start()
        theirs.close()
        self.workers.append(Worker(process, ours))
        return self.workers[-1]

    def _give(self, worker: Worker, task: Task) -> None:
        index, *pair = task
        worker.task, worker.started = index, time.monotonic()
        worker.looked, worker.asleep_s = worker.started, 0.0
        worker.processor_s = process_state(worker.process.pid)[0] or 0.0
        with suppress(OSError):  # the child is gone; reading its verdict will say so
            worker.connection.send(pair)

    def _take(self, worker: Worker) -> tuple[int, Reason]:
        try:
            reason = worker.connection.recv()
        except (EOFError, OSError):
            return self._drop(worker, "error")
        index, worker.task = worker.task, None
        assert index is not None
        return index, reason

    def _drop(self, worker: Worker, reason: Reason) -> tuple[int, Reason]:
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        self.workers.remove(worker)
        assert worker.task is not None
        return worker.task, reason


def process_state(pid: int) -> tuple[float | None, bool]:
    """The processor time a process has used, and whether it sleeps; (None, False) where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None, False
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), fields[0] == "S"


def work(checker: Checker, connection: Connection, limit_s: float) -> None:
    """A child's life: verdicts on the pairs that come, until it is killed or its parent is gone."""
    _limit_resources()
    while True:
        try:
            gold, answer, ordered = connection.recv()
        except EOFError:
            return
        _limit_processor_time(limit_s)
        connection.send(checker(gold, answer, ordered))


def _limit_resources() -> None:
    """Memory bounded, no core dumps, death with the parent: nothing that was started here outlives its use."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _limit_processor_time(limit_s: float) -> None:
    """The kernel's own limit behind ours, for the case that the parent is not there to enforce it."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + limit_s) + 2, hard))


def load_checker(reference: str) -> Checker:
    """The function at `module:function`, warmed up: what it loads at first use must not be paid by every child."""
    module, _, name = reference.partition(":")
    checker = getattr(import_module(module), name)
    for gold, answer in WARM_UP:
        checker(gold, answer, False)
    return checker


def serve(checker_reference: str, workers: int, limit_s: float) -> None:
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints must not come between the verdicts
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's; this process ends when its input closes
    children = Workers(load_checker(checker_reference), workers, limit_s)
    try:
        out.write("ready\n")
        out.flush()
        for line in sys.stdin:
            tasks = [(index, *task) for index, task in enumerate(json.loads(line))]
            for verdict in children.check(tasks):
                out.write(json.dumps(verdict) + "\n")
                out.flush()
    except BrokenPipeError:
        pass  # the trainer is gone
    finally:
        children.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Checks answers for a Verifier; not for use by hand.")
    parser.add_argument("--checker", required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--limit-s", type=float, required=True)
    options = parser.parse_args()
    serve(options.checker, options.workers, options.limit_s)


if __name__ == "__main__":
    main()
