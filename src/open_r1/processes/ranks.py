"""This process's place in a distributed launch, from the variables that every launcher sets, and its cores."""

from __future__ import annotations

import os
from collections.abc import Mapping


def rank(environment: Mapping[str, str] | None = None) -> int:
    """The number of this process among all of the launch, from 0; 0 where there is no launch."""
    return _count(environment, "RANK", 0)


def world_size(environment: Mapping[str, str] | None = None) -> int:
    """The number of processes of the launch, at least 1."""
    return max(1, _count(environment, "WORLD_SIZE", 1))


def local_world_size(environment: Mapping[str, str] | None = None) -> int:
    """The number of processes of the launch on this machine, at least 1."""
    return max(1, _count(environment, "LOCAL_WORLD_SIZE", 1))


def is_main_process() -> bool:
    """Whether this process writes the launch's files; true where there is only one."""
    return rank() == 0


def usable_cores() -> int:
    """The cores that the kernel lets this process run on, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(limit: int) -> int:
    """One worker a usable core, shared among the launch's processes on this machine, from 1 to `limit`."""
    return max(1, min(limit, usable_cores() // local_world_size()))


def _count(environment: Mapping[str, str] | None, name: str, default: int) -> int:
    value = (os.environ if environment is None else environment).get(name, "").strip()
    return int(value) if value.isdecimal() else default
