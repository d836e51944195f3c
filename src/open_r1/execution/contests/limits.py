"""A contest's limits as a provider knows them."""

from __future__ import annotations

import math

from open_r1.execution.contests.rows import BYTES_PER_MB, TestData
from open_r1.execution.programs import Limits

MAX_TIME_S = 120.0
MIN_MEMORY_MB, MAX_MEMORY_MB = 32, 8192
"""A provider counts a program's libraries too, which contests don't."""

WALL_FACTOR, WALL_EXTRA_S = 2.0, 3.0
"""Time limits are of CPU time, which a busy machine doesn't stretch. Waiting ends after so much more on the clock."""

DISK_MB = 16
OUTPUT_FACTOR, OUTPUT_EXTRA_KB = 2, 4096


def contest_limits(time_s: float, memory_mb: float, test: TestData) -> Limits:
    """The limits of one test: those of the problem, and room for its input and for outputs like the expected one."""
    time_s = min(time_s, MAX_TIME_S)
    output_kb = OUTPUT_FACTOR * len(test.expected) // 1024 + OUTPUT_EXTRA_KB
    return Limits(
        wall_s=WALL_FACTOR * time_s + WALL_EXTRA_S,
        cpu_s=time_s,
        memory_mb=math.ceil(min(max(memory_mb, MIN_MEMORY_MB), MAX_MEMORY_MB)),
        output_kb=output_kb,
        disk_mb=DISK_MB + test.size // BYTES_PER_MB + output_kb // 1024,
    )
