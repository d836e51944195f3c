"""Thousands of mixed programs, many of them bad, with a server killed halfway: every answer right, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from attacks import describe
from processes import family

from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.sandbox.local import LocalProvider

ROOMY = Limits(wall_s=60, cpu_s=30)
SHORT = Limits(wall_s=0.2, cpu_s=10)
TIMEOUTS, BOMBS = 0.08, 0.02


@dataclass(frozen=True)
class Case:
    """A program and what must come of it."""

    program: Program
    status: Status
    stdout: bytes | None = None
    exit_code: int | None = None

    def is_answered_by(self, ran: Execution) -> bool:
        return (
            ran.status is self.status and self.stdout in (None, ran.stdout) and self.exit_code in (None, ran.exit_code)
        )


def hanging(number: int) -> Case:
    sources = ["while True: pass", "import time\ntime.sleep(60)", "import threading\nthreading.Lock().acquire(); input(); "
               "threading.Event().wait()"]  # fmt: skip
    return Case(Program(sources[number % 3], stdin=b"x\n", limits=SHORT), Status.TIME_LIMIT)


def flooding(number: int) -> Case:
    stream = ("stdout", "stderr")[number % 2]
    return Case(Program(f"import sys\nwhile True: sys.{stream}.write('x' * 65536)", limits=ROOMY), Status.OUTPUT_LIMIT)


def clean(number: int, tier: str) -> Case:
    kinds: list[Callable[[], Case]] = [
        lambda: _finished("a, b = map(int, input().split())\nprint(a + b)", f"{number} 1\n", f"{number + 1}\n"),
        lambda: _finished(
            "import sys\nprint(len(sys.stdin.read()))", "x" * (number * 37 % 200_000), f"{number * 37 % 200_000}\n"
        ),
        lambda: _finished(
            "import collections, re, json, itertools\nprint(collections.Counter(input())['a'])", "abca", "2\n"
        ),
        lambda: _finished(f"raise SystemExit({number % 100})", "", "", number % 100),
        lambda: _finished(f"print({number}, flush=True)\nraise ValueError", "", f"{number}\n", 1),
        lambda: Case(Program("x = 'x' * (1 << 40)", limits=ROOMY), Status.MEMORY_LIMIT),
        lambda: _finished(f"print('y' * {number % 5000})", "", f"{'y' * (number % 5000)}\n"),
    ]
    if tier == "A":
        text = '#include <stdio.h>\nint main(void) { int n; scanf("%d", &n); printf("%d\\n", n * 2); }'
        kinds += [
            lambda: _finished(text, f"{number}", f"{number * 2}\n", language="c"),
            lambda: _finished(
                "open('left', 'w').write('x' * 10000)\nimport os; print(os.listdir('.'))", "", "['left']\n"
            ),
            lambda: _finished(f"sleep 600 & echo {number}", "", f"{number}\n", language="bash"),
        ]
    return kinds[number % len(kinds)]()


def _finished(source: str, stdin: str, stdout: str, exit_code: int = 0, language: str = "python") -> Case:
    program = Program(source, language, stdin=stdin.encode(), limits=ROOMY)
    return Case(program, Status.FINISHED, stdout.encode(), exit_code)


def mixed_cases(count: int, tier: str) -> list[Case]:
    """The same shares of everything, in an order that the seed gives."""
    kinds = [hanging] * int(count * TIMEOUTS) + [flooding] * int(count * BOMBS)
    cases = [kind(number) for number, kind in enumerate(kinds)]
    cases += [clean(number, tier) for number in range(count - len(cases))]
    random.Random(0).shuffle(cases)
    return cases


@dataclass(frozen=True)
class Surroundings:
    """What a sandbox could leave behind."""

    processes: frozenset[int]
    threads: frozenset[int | None]
    descriptors: Counter[str]
    mounts: frozenset[str]
    files: frozenset[str]
    shared_memory: frozenset[str]

    @classmethod
    def look(cls, folder: Path) -> Surroundings:
        return cls(
            processes=frozenset(process.pid for process in family(os.getpid())),
            threads=frozenset(thread.ident for thread in threading.enumerate()),
            descriptors=Counter(_open_descriptors()),
            mounts=frozenset(Path("/proc/self/mountinfo").read_text().splitlines()),
            files=frozenset(map(str, folder.rglob("*"))),
            shared_memory=frozenset(_lines_of(Path("/proc/sysvipc/shm"))),
        )

    def left_since(self, before: Surroundings) -> dict[str, Any]:
        """What is there now and was not; what other tests left and has gone since does not count."""
        left = {name: getattr(self, name) - getattr(before, name) for name in self.__dataclass_fields__}
        return {name: new for name, new in left.items() if new}


def _open_descriptors() -> Iterator[str]:
    """What each open descriptor refers to."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor that lists them
            yield os.readlink(f"/proc/self/fd/{number}")


def _lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def run_mixed_cases(tier: str, count: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the programs left behind, once all their answers are checked."""
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    cases = mixed_cases(count, tier)
    before = Surroundings.look(folder)
    with LocalProvider(workers=2, tier=tier) as provider:
        provider.run([clean(number, tier).program for number in range(20)])
        servers = [process for process in family(os.getpid()) if process.pid not in before.processes]
        memory_mb = sum(process.resident_mb for process in servers)
        futures = [provider.submit(case.program) for case in cases]
        while sum(future.done() for future in futures) < count // 2:
            time.sleep(0.01)
        os.kill(next(process.pid for process in servers if process.parent == os.getpid()), signal.SIGKILL)
        ended = [future.result(timeout=300) for future in futures]
        left = [process for process in family(os.getpid()) if process.pid not in before.processes]
        assert len(left) <= len(servers)
        assert sum(process.resident_mb for process in left) < memory_mb + 32
    wrong = [(case, ran) for case, ran in zip(cases, ended, strict=True) if not case.is_answered_by(ran)]
    unscored = [ran for _, ran in wrong if ran.status is Status.UNAVAILABLE]
    assert len(unscored) <= 1, [describe(ran) for ran in unscored]
    assert len(wrong) == len(unscored), [(case.program.source, describe(ran)) for case, ran in wrong][:5]
    return Surroundings.look(folder).left_since(before)


@pytest.mark.parametrize("tier", ["A", "B"])
def test_hundreds_of_mixed_programs(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs_tier: Callable[[str], None]
) -> None:
    needs_tier(tier)
    assert not run_mixed_cases(tier, 300, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("tier", ["A", "B"])
def test_thousands_of_mixed_programs(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs_tier: Callable[[str], None]
) -> None:
    needs_tier(tier)
    assert not run_mixed_cases(tier, 3000, tmp_path, monkeypatch)


def test_what_is_left_behind_is_seen(tmp_path: Path) -> None:
    """The control: a process, a file, a thread and a descriptor each make a difference."""
    import subprocess

    before = Surroundings.look(tmp_path)
    sleeper = subprocess.Popen(["sleep", "5"])
    assert "processes" in Surroundings.look(tmp_path).left_since(before)
    sleeper.kill()
    sleeper.wait()
    assert not Surroundings.look(tmp_path).left_since(before)
    (tmp_path / "left").touch()
    assert "files" in Surroundings.look(tmp_path).left_since(before)
    (tmp_path / "left").unlink()
    with (tmp_path / "held").open("w"):
        assert sum(Surroundings.look(tmp_path).left_since(before)["descriptors"].values()) == 1
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait)
    thread.start()
    assert "threads" in Surroundings.look(tmp_path).left_since(before)
    ends.set()
    thread.join()


def test_a_wrong_answer_is_seen() -> None:
    case = clean(0, "B")
    right = Execution(Status.FINISHED, b"1\n", exit_code=0)
    assert case.is_answered_by(right)
    for wrong in (
        Execution(Status.FINISHED, b"2\n", exit_code=0),
        Execution(Status.FINISHED, b"1\n", exit_code=1),
        Execution(Status.TIME_LIMIT, b"1\n", exit_code=0),
        Execution.unavailable("sandbox_failed"),
    ):
        assert not case.is_answered_by(wrong)
