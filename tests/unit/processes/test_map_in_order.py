"""Parts come back in order from any number of processes, and nothing waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from open_r1.errors import ConfigError, DataError, RunError
from open_r1.processes import pool as processes
from open_r1.processes.pool import count_processes, map_in_order


@dataclass(frozen=True)
class Work:
    """Squares, taking longer for the first parts; `at` is where something happens."""

    at: int = -1
    what: str = ""

    def __call__(self, part: int) -> int:
        if part == self.at and self.what == "fail":
            raise DataError("part is broken")
        if part == self.at and self.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60 if part == self.at and self.what == "hang" else 0.01 if part < 3 else 0)
        return part * part


@pytest.mark.parametrize("number", [1, 2, 3])
def test_results_come_in_the_order_of_the_parts(number: int) -> None:
    assert list(map_in_order(Work(), range(20), number)) == [(part, part * part) for part in range(20)]


@pytest.mark.parametrize("number", [1, 2])
def test_errors_of_the_work_are_raised_as_they_are(number: int) -> None:
    with pytest.raises(DataError, match="part is broken"):
        list(map_in_order(Work(5, "fail"), range(20), number))


def test_a_process_that_is_killed_is_reported() -> None:
    with pytest.raises(RunError, match="before its work was done"):
        list(map_in_order(Work(5, "die"), range(20), 2))


def test_a_process_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PART_LIMIT_S", 3)
    started = time.monotonic()
    with pytest.raises(RunError, match="has not finished"):
        list(map_in_order(Work(0, "hang"), range(4), 2))
    assert time.monotonic() - started < 40


def test_a_script_without_a_main_guard_can_use_them(tmp_path: Path) -> None:
    script = "import operator\nfrom open_r1.processes.pool import map_in_order\n"
    script += "print([result for _, result in map_in_order(operator.neg, range(5), 2)])\n"
    (tmp_path / "script.py").write_text(script)
    ran = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[0, -1, -2, -3, -4]"


def test_what_the_work_prints_is_no_result() -> None:
    assert list(map_in_order(print, ["one", "two"], 2)) == [("one", None), ("two", None)]


def test_large_parts_and_results_go_through() -> None:
    parts = [bytes(3 << 20), bytes(5 << 20)]
    assert [len(result) for _, result in map_in_order(bytes.hex, parts, 2)] == [6 << 20, 10 << 20]


def test_parts_are_taken_as_they_are_needed() -> None:
    taken = []

    def parts():
        for part in range(1000):
            taken.append(part)
            yield part

    results = map_in_order(Work(), parts(), 2)
    assert next(results) == (0, 0)
    assert len(taken) <= processes.PARTS_IN_FLIGHT * 2
    results.close()


def test_processes_are_one_a_core_unless_told() -> None:
    assert count_processes(None) >= 1
    assert count_processes(1) == 1
    with pytest.raises(ConfigError, match="at least 1, but is 0"):
        count_processes(0)
