"""The pool: outcomes in order, limits that hold, the same from everywhere, and nothing left running."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from open_r1.errors import DataError, RunError
from open_r1.processes.pool import Limits, Pool

LIMIT_S = 0.5


class Trouble:
    """Does what the job says; `begin` and `prepare` leave their mark."""

    def prepare(self) -> None:
        self.prepared_in = os.getpid()

    def begin(self, index: int) -> None:
        self.index = index

    def __call__(self, job: Any) -> Any:
        if isinstance(job, int):
            return job * job
        if isinstance(job, str):
            return getattr(self, job)()
        name, value = job
        return getattr(self, name)(value)

    def who(self) -> tuple[int, int, int]:
        return self.prepared_in, os.getpid(), self.index

    def sleep(self) -> None:
        time.sleep(600)

    def nap(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def spin(self) -> None:
        while True:
            pass

    def hang_in_c(self) -> None:
        hash(pow(7, 10**9))

    def ignore_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        self.spin()

    def die(self) -> None:
        os._exit(3)

    def abort(self) -> None:
        os.abort()

    def eat_memory(self) -> None:
        bytearray(8 << 30)

    def fail(self) -> None:
        raise DataError("line 3 is broken")

    def speak(self) -> str:
        print("noise on standard output", flush=True)
        return "said"

    def unspeakable(self) -> Any:
        return lambda: None

    def environment(self) -> str:
        return os.environ["OMP_NUM_THREADS"]


@pytest.fixture
def pool() -> Iterator[Pool]:
    limits = Limits(wall_s=LIMIT_S, processor_s=LIMIT_S, memory_bytes=2 << 30)
    with Pool(Trouble(), 2, limits) as pool:
        yield pool


def kinds(pool: Pool, jobs: list[Any]) -> list[str]:
    return [outcome.kind for outcome in pool.map(jobs, ahead=None)]


def values(pool: Pool, jobs: Any) -> list[Any]:
    return [outcome.unwrap() for outcome in pool.map(jobs)]


def test_outcomes_come_in_the_order_of_the_jobs(pool: Pool) -> None:
    naps = [0.05, 0.0, 0.03, 0.0, 0.01, 0.0]
    assert values(pool, [("nap", seconds) for seconds in naps]) == naps
    assert values(pool, range(500)) == [number * number for number in range(500)]
    assert values(pool, []) == []


@pytest.mark.parametrize("trouble", ["sleep", "spin", "hang_in_c", "ignore_signals"])
def test_a_stuck_job_is_killed_at_its_limit_and_its_worker_replaced(pool: Pool, trouble: str) -> None:
    assert values(pool, [1, 2]) == [1, 4]
    started = time.monotonic()
    assert kinds(pool, [trouble, 3]) == ["timeout", "done"]
    assert time.monotonic() - started < 10 * LIMIT_S
    assert values(pool, range(20)) == [number * number for number in range(20)]


def test_a_limit_of_processor_time_is_named(pool: Pool) -> None:
    (spun,) = pool.map(["spin"])
    (slept,) = pool.map(["sleep"])
    with pytest.raises(RunError, match=r"within 0.5 s of processor time"):
        spun.unwrap()
    with pytest.raises(RunError, match=r"within 0.5 s\."):
        slept.unwrap()


def test_jobs_that_compute_get_their_processor_time_on_a_busy_machine() -> None:
    """Six workers on fewer cores: each job's wall time is a multiple of its processor time."""
    with Pool(busy_for, 6, Limits(wall_s=0.3, processor_s=5)) as pool:
        assert [outcome.kind for outcome in pool.map([0.4] * 6, ahead=None)] == ["done"] * 6


def busy_for(seconds: float) -> None:
    while time.process_time() < seconds:
        pass


@pytest.mark.parametrize("trouble", ["die", "abort"])
def test_a_worker_that_dies_costs_only_its_job(pool: Pool, trouble: str) -> None:
    outcomes = list(pool.map([trouble, 2, 3]))
    assert [outcome.kind for outcome in outcomes] == ["died", "done", "done"]
    with pytest.raises(RunError, match=f"exit status {3 if trouble == 'die' else -6}"):
        outcomes[0].unwrap()


def test_memory_has_its_limit(pool: Pool) -> None:
    (outcome,) = pool.map(["eat_memory"])
    assert outcome.kind == "raised" and isinstance(outcome.error, MemoryError)


def test_errors_of_the_work_come_as_they_are(pool: Pool) -> None:
    (outcome,) = pool.map(["fail"])
    with pytest.raises(DataError, match="line 3 is broken"):
        outcome.unwrap()


def test_a_result_that_cannot_be_returned_is_named(pool: Pool) -> None:
    with pytest.raises(RunError, match="could not return its result"):
        values(pool, ["unspeakable"])
    assert values(pool, [3]) == [9]


def test_work_is_prepared_once_and_begun_in_each_worker(pool: Pool) -> None:
    first, second = (outcome.unwrap() for outcome in pool.map_pinned(["who", "who"]))
    assert first[0] == second[0] != os.getpid()
    assert len({first[0], first[1], second[1]}) == 3
    assert (first[2], second[2]) == (0, 1)
    assert [outcome.unwrap()[2] for outcome in pool.map_pinned(["who"] * 3)] == [0, 1, 0]


def test_workers_compute_in_one_thread(pool: Pool) -> None:
    assert values(pool, ["environment"]) == ["1"]


def test_what_the_work_prints_does_not_come_between(pool: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    assert values(pool, ["speak"]) == ["said"]
    assert capfd.readouterr() == ("", "noise on standard output\n")


def test_large_jobs_and_results_go_through() -> None:
    with Pool(bytes.hex, 2) as pool:
        assert [len(value) for value in values(pool, [bytes(3 << 20), bytes(5 << 20)] * 3)] == [6 << 20, 10 << 20] * 3


def test_jobs_are_taken_as_they_are_needed(pool: Pool) -> None:
    taken: list[int] = []
    outcomes = pool.map((taken.append(number) or number for number in range(1000)), ahead=3)
    assert next(outcomes).unwrap() == 0
    assert len(taken) == 3 * 2
    outcomes.close()  # type: ignore[attr-defined]


def test_a_lost_fork_server_loses_no_job(pool: Pool) -> None:
    values(pool, [1])
    assert pool.server is not None
    os.kill(pool.server.process.pid, signal.SIGKILL)
    assert values(pool, [2, 3]) == [4, 9]

    def jobs() -> Iterator[Any]:
        yield ("nap", 0.3)
        assert pool.server is not None
        time.sleep(0.1)
        os.kill(pool.server.process.pid, signal.SIGKILL)
        yield 5

    assert values(pool, jobs()) == [0.3, 25]


def test_an_interrupted_pool_is_ended_at_once_and_works_again(pool: Pool) -> None:
    values(pool, [1])
    assert pool.server is not None
    process = pool.server.process
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interruption(0.1):
        kinds(pool, ["sleep", ("nap", 0.4), "sleep", 3])
    assert process.returncode == -signal.SIGKILL
    assert time.monotonic() - started < 0.4
    assert pool.server is None
    assert values(pool, [4]) == [16]


def test_a_pool_that_is_interrupted_while_it_starts_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *words, **options: started.append(start(*words, **options)) or started[-1]
    )
    with pytest.raises(KeyboardInterrupt), interruption(0.1):
        values(Pool(SlowToPrepare(), 1), [1])
    assert [process.returncode for process in started] == [-signal.SIGKILL]


@dataclass
class SlowToPrepare:
    what: str = "sleep"

    def prepare(self) -> None:
        if self.what == "fail":
            raise DataError("no such checker.")
        if self.what == "die":
            os._exit(7)
        time.sleep(600)

    def __call__(self, job: Any) -> Any:
        return job


@pytest.mark.parametrize(("what", "said"), [("fail", r"started: no such checker\."), ("die", r"exit status 7")])
def test_work_that_cannot_be_prepared_is_an_error(what: str, said: str) -> None:
    with pytest.raises(RunError, match=said):
        values(Pool(SlowToPrepare(what), 1), [1])


def test_work_that_is_not_ready_in_time_is_an_error() -> None:
    started = time.monotonic()
    with pytest.raises(RunError, match="could not be started within"):
        values(Pool(SlowToPrepare(), 1, start_limit_s=0.5), [1])
    assert time.monotonic() - started < 5


@dataclass
class Beginner:
    what: str

    def begin(self, index: int) -> None:
        if self.what == "fail":
            raise DataError(f"no device {index}")
        if self.what == "die":
            os._exit(7)
        time.sleep(600)

    def __call__(self, job: Any) -> Any:
        return job


@pytest.mark.parametrize(("what", "said"), [("fail", "no device 0"), ("die", "ended while"), ("sleep", "not ready")])
def test_a_worker_that_cannot_begin_is_an_error(what: str, said: str) -> None:
    with pytest.raises((RunError, DataError), match=said), Pool(Beginner(what), 1, start_limit_s=2) as pool:
        values(pool, [1])


def test_close_ends_the_workers_and_the_next_job_starts_others(pool: Pool) -> None:
    ((server, worker, _),) = values(pool, ["who"])
    pool.close()
    assert ends(server) and ends(worker)
    assert values(pool, [3]) == [9]


def test_the_same_from_many_threads(pool: Pool) -> None:
    found: dict[int, list[Any]] = {}
    threads = [
        threading.Thread(target=lambda number=number: found.update({number: values(pool, [number] * 50)}))
        for number in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {number: [number * number] * 50 for number in range(5)}


def test_the_same_inside_an_event_loop(pool: Pool) -> None:
    async def ask() -> list[Any]:
        return values(pool, [3])

    assert asyncio.run(ask()) == [9]


def square_in_child(pool: Pool | None, line: Any) -> None:
    line.send(values(pool or Pool(Trouble(), 1), [3]))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_same_in_a_child_process(pool: Pool, method: str) -> None:
    assert values(pool, [2]) == [4]
    context: Any = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    child = context.Process(target=square_in_child, args=(pool if method == "fork" else None, theirs), daemon=True)
    child.start()
    assert ours.poll(60) and ours.recv() == [9]
    child.join(30)
    assert child.exitcode == 0
    assert values(pool, [5]) == [25]


def test_a_forked_child_does_not_keep_the_workers_alive(pool: Pool) -> None:
    ((server, worker, _),) = values(pool, ["who"])
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    assert pool.server is not None
    pool.server.control.close()  # as if this process had been killed
    assert ends(server) and ends(worker)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_script_without_a_main_guard_can_use_it(tmp_path: Path) -> None:
    script = """
        import operator
        from open_r1.processes.pool import Pool
        print([outcome.unwrap() for outcome in Pool(operator.neg, 2).map(range(5))])
    """
    assert run(script, tmp_path) == "[0, -1, -2, -3, -4]"


def test_modules_of_the_working_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pickle", "socket", "operator"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('poisoned')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    with Pool(abs, 1) as pool:
        assert values(pool, [-3]) == [3]


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_nothing_is_left_running_when_the_caller_ends(tmp_path: Path, end: str) -> None:
    script = f"""
        import os, signal, threading, time
        from open_r1.processes.pool import Pool
        pool = Pool(os.getppid.__class__ and time.sleep, 1)
        list(pool.map([0]))
        threading.Thread(target=lambda: list(pool.map([60])), daemon=True).start()
        time.sleep(0.3)
        print(pool.server.process.pid, pool._slots[0].pid, flush=True)
        {end or "os._exit(0)"}
    """
    for pid in map(int, run(script, tmp_path).split()):
        assert ends(pid)


@contextlib.contextmanager
def interruption(after_s: float) -> Iterator[None]:
    """A KeyboardInterrupt in the main thread, as Ctrl-C gives one, `after_s` seconds from now."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, after_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def run(script: str, folder: Path) -> str:
    (folder / "script.py").write_text(textwrap.dedent(script))
    ran = subprocess.run([sys.executable, str(folder / "script.py")], capture_output=True, text=True, timeout=60)
    assert ran.stdout, ran.stderr
    return ran.stdout.strip()


def ends(pid: int) -> bool:
    for _ in range(100):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.05)
                continue
        return True
    return False
