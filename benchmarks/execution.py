"""Programs a second: the local sandbox, and the executor service before it, beside plain subprocesses without isolation.

    .venv/bin/python benchmarks/execution.py [--rounds 5] [--write]

All take turns in one run on one machine, as many programs at once as there are cores; medians and the lowest and highest
round are shown. One training step's worth is 256 programs with 10 tests each, by the judge, beside one `python -c` a
test. The programs are this file's own and harmless: nothing here needs isolation, so that subprocesses can be compared.

Exit status 1 if the sandbox runs fewer than 250 trivial programs a second, or fewer than 3 times what `python -c` does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo import REPO, describe_machine

from open_r1.execution.judge.judge import Judge, Submission, Test
from open_r1.execution.programs import Program, Provider
from open_r1.execution.providers.executor import ExecutorProvider
from open_r1.execution.sandbox.local import LocalProvider

MIN_PER_S, MIN_RATIO = 250.0, 3.0
LIMIT_S = 60.0

MODULES = (
    "bisect, collections, datetime, decimal, fractions, functools, heapq, itertools, json, math, random, re, statistics, "
    "string, typing"
)
TRIVIAL = "print(1)"
JOBS = {"trivial": TRIVIAL, "15 imports": f"import {MODULES}\nprint(1)"}

STEP_PROGRAMS, STEP_TESTS = 256, 10
SLOW_SHARE = 8
"""Subprocesses get this part of the programs of a round, as they take that much longer."""

Run = Callable[[Sequence[str]], None]
"""Runs sources, `cores` at once."""


@dataclass(frozen=True)
class Row:
    """One way of running one kind of program: programs a second, a figure a round."""

    way: str
    job: str
    rates: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rates)


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def by_provider(provider: Provider) -> Run:
    def run(sources: Sequence[str]) -> None:
        executions = provider.run([Program(source) for source in sources])
        wrong = [execution for execution in executions if execution.stdout != b"1\n"]
        if wrong:
            raise SystemExit(f"{len(wrong)} of {len(sources)} programs went wrong, the first: {wrong[0]}")

    return run


def by_subprocess(*flags: str) -> Run:
    def run_one(source: str) -> None:
        ran = subprocess.run([sys.executable, *flags, "-c", source], capture_output=True, timeout=LIMIT_S, check=True)
        assert ran.stdout == b"1\n"

    def run(sources: Sequence[str]) -> None:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(run_one, sources))

    return run


@contextmanager
def executor_service() -> Iterator[str]:
    """The address of `open-r1 executor serve` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "address"
        command = [sys.executable, "-m", "open_r1.cli.main", "executor", "serve", "--port", "0"]
        process = subprocess.Popen([*command, "--address-file", str(address)], stdout=subprocess.DEVNULL)
        try:
            wait_for_file(address, process)
            yield f"http://{address.read_text(encoding='utf-8').strip()}"
        finally:
            process.terminate()
            process.wait(LIMIT_S)


def wait_for_file(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the executor service did not start")
        time.sleep(0.05)


def measure(ways: dict[str, tuple[Run, int]], rounds: int) -> list[Row]:
    """Every way runs every kind of program in turn, round after round; `ways` has how many programs each is given."""
    rates: dict[tuple[str, str], list[float]] = {}
    for run, _ in ways.values():
        run([TRIVIAL] * cores())  # whatever starts with the first program
    for _ in range(rounds):
        for job, source in JOBS.items():
            for way, (run, count) in ways.items():
                started = time.perf_counter()
                run([source] * count)
                rates.setdefault((way, job), []).append(count / (time.perf_counter() - started))
    return [Row(way, job, tuple(found)) for (way, job), found in rates.items()]


def make_step(seed: int) -> list[tuple[str, list[tuple[bytes, bytes]]]]:
    """256 programs, no two alike, and ten tests for each."""
    return [
        (
            f"n = int(input())\nprint(sum(k * {seed + number} for k in range(n)))",
            [(b"%d\n" % n, b"%d\n" % sum(k * (seed + number) for k in range(n))) for n in range(10, 10 + STEP_TESTS)],
        )
        for number in range(STEP_PROGRAMS)
    ]


def judge_step(provider: Provider, seed: int) -> float:
    submissions = [
        Submission(Program(source), tuple(Test(given, expected) for given, expected in tests))
        for source, tests in make_step(seed)
    ]
    started = time.perf_counter()
    results = Judge(provider).judge(submissions)
    seconds = time.perf_counter() - started
    if not all(judged.passed for judged in results):
        raise SystemExit(f"{sum(not judged.passed for judged in results)} of {len(results)} results are wrong")
    return seconds


def run_step_by_subprocess(seed: int) -> float:
    def run_one(job: tuple[str, bytes, bytes]) -> bool:
        source, given, expected = job
        command = [sys.executable, "-c", source]
        ran = subprocess.run(command, input=given, capture_output=True, timeout=LIMIT_S, check=True)
        return ran.stdout == expected

    jobs = [(source, given, expected) for source, tests in make_step(seed) for given, expected in tests]
    started = time.perf_counter()
    with ThreadPoolExecutor(cores()) as pool:
        assert all(pool.map(run_one, jobs))
    return time.perf_counter() - started


def describe(rows: Sequence[Row], steps: dict[str, list[float]], rounds: int) -> tuple[str, bool]:
    """The page, and whether the bars are met."""
    rate = {(row.way, row.job): row.median for row in rows}
    lines = [
        f"# Running programs\n\n{describe_machine()}; {cores()} at once, {rounds} rounds in turn; "
        "`benchmarks/execution.py`\n",
        "| programs | way | median a second | lowest | highest | × `python -c` |\n|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: list(JOBS).index(row.job)):
        ratio = row.median / rate["python -c", row.job]
        lines.append(
            f"| {row.job} | {row.way} | {row.median:.0f} | {min(row.rates):.0f} | {max(row.rates):.0f} | {ratio:.1f} |"
        )
    lines += ["", f"One step: {STEP_PROGRAMS} programs × {STEP_TESTS} tests, each result checked.\n"]
    lines.append("| way | median s | lowest | highest |\n|---|---|---|---|")
    for way, seconds in steps.items():
        lines.append(f"| {way} | {statistics.median(seconds):.1f} | {min(seconds):.1f} | {max(seconds):.1f} |")
    ratios = [rate["local sandbox", job] / rate["python -c", job] for job in JOBS]
    is_fast, is_faster = rate["local sandbox", "trivial"] >= MIN_PER_S, min(ratios) >= MIN_RATIO
    lines += [
        "",
        f"At least {MIN_PER_S:.0f} trivial programs a second: {'yes' if is_fast else 'NO'}. "
        f"At least {MIN_RATIO:.0f} × `python -c`, with imports and without: {'yes' if is_faster else 'NO'}.\n",
        "The sandbox isolates each program (`open-r1 executor check` says how); the subprocesses do not. "
        "`python -I -S -c` leaves out site-packages. The executor is `open-r1 executor serve` over loopback.",
    ]
    return "\n".join(lines) + "\n", is_fast and is_faster


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", type=int, default=400, help="trivial programs a round")
    parser.add_argument("--steps", type=int, default=3, help="times that a step's worth is judged")
    parser.add_argument("--write", action="store_true", help="keep the page in benchmarks/results")
    options = parser.parse_args()
    few = max(cores(), options.programs // SLOW_SHARE)
    with LocalProvider() as local, executor_service() as address, ExecutorProvider(address) as executor:
        ways = {
            "local sandbox": (by_provider(local), options.programs),
            "executor service": (by_provider(executor), options.programs),
            "python -c": (by_subprocess(), few),
            "python -I -S -c": (by_subprocess("-I", "-S"), few),
        }
        rows = measure(ways, options.rounds)
        steps: dict[str, list[float]] = {}
        for seed in range(1, 1 + 1000 * options.steps, 1000):
            steps.setdefault("judge on the local sandbox", []).append(judge_step(local, seed))
            steps.setdefault("judge on the executor service", []).append(judge_step(executor, seed))
            steps.setdefault("`python -c` a test", []).append(run_step_by_subprocess(seed))
    page, is_met = describe(rows, steps, options.rounds)
    print(page)
    if options.write:
        (REPO / "benchmarks" / "results" / "execution.md").write_text(page, encoding="utf-8")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
