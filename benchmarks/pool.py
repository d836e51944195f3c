"""The worker pool beside a plain loop, and beside pebble where it is installed.

    python benchmarks/pool.py
    python benchmarks/pool.py --jobs 1000 --stuck 2

Each job computes for about 2 ms; a stuck job computes until its limit of one processor second. The plain loop can't end a
stuck job, so it runs without them. Figures of one call are measured one after the other on the same machine.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from open_r1.processes.pool import Limits, Pool

LIMIT_S = 1.0
BUSY_S = 0.002


def work(is_stuck: bool) -> bool:
    """One job: 2 ms of computing, or computing without an end."""
    end = time.process_time() + BUSY_S
    while is_stuck or time.process_time() < end:
        pass
    return is_stuck


def run_pool(job: Any, jobs: list[bool], workers: int) -> None:
    """Our pool; a stuck job is an outcome."""
    with Pool(job, workers, Limits(wall_s=LIMIT_S, processor_s=LIMIT_S)) as pool:
        list(pool.map([False] * workers))  # the start is not measured
        started = time.monotonic()
        outcomes = [outcome.kind for outcome in pool.map(jobs, ahead=None)]
        report("processes/pool.py", jobs, started)
        assert outcomes.count("timeout") == sum(jobs)


def run_pebble(job: Any, jobs: list[bool], workers: int) -> None:
    """pebble's pool with its limit of wall time."""
    from pebble import ProcessPool

    with ProcessPool(max_workers=workers) as pool:
        list(pool.map(job, [False] * workers).result())
        started = time.monotonic()
        futures = [pool.schedule(job, [is_stuck], timeout=LIMIT_S) for is_stuck in jobs]
        for future in futures:
            future.exception()
        report("pebble", jobs, started)


def run_loop(jobs: list[bool]) -> None:
    """No pool at all."""
    started = time.monotonic()
    for is_stuck in jobs:
        work(is_stuck)
    report("plain loop", jobs, started)


def report(name: str, jobs: list[bool], started: float) -> None:
    seconds = time.monotonic() - started
    print(f"{name:20} {sum(jobs):3} of {len(jobs):,} stuck: {len(jobs) / seconds:7.0f} jobs/s ({seconds:.1f} s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--stuck", type=float, default=1.0, help="percent of the jobs that are stuck")
    arguments = parser.parse_args()
    every = round(100 / arguments.stuck) if arguments.stuck else 0
    plain = [False] * arguments.jobs
    stuck = [bool(every) and number % every == every // 2 for number in range(arguments.jobs)]
    sys.path.insert(0, str(Path(__file__).parent))
    job = importlib.import_module(Path(__file__).stem).work  # workers import the job's module, which __main__ is not
    pools: list[Callable[[Any, list[bool], int], None]] = [run_pool]
    try:
        import pebble  # noqa: F401

        pools.append(run_pebble)
    except ImportError:
        print("pebble is not installed; its figures are left out")
    run_loop(plain)
    for jobs in (plain, stuck):
        for run in pools:
            run(job, jobs, arguments.workers)


if __name__ == "__main__":
    main()
