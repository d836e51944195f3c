"""How many processor cores this process may use."""

from __future__ import annotations

import os

from open_r1.processes.ranks import local_world_size


def usable_cores() -> int:
    """The cores that the kernel lets this process run on, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(limit: int) -> int:
    """One worker a usable core, shared among the launch's processes on this machine, from 1 to `limit`."""
    return max(1, min(limit, usable_cores() // local_world_size()))
