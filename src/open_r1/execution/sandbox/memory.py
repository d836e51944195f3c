"""How much memory a process and all that it started have in RAM, from outside."""

from __future__ import annotations

import os
from contextlib import suppress

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def resident_mb(root: int) -> float:
    """Megabytes that the descendants of process `root` have in RAM, shared pages counted for each."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, IndexError):
                parents[int(name)] = _parent(name)
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(map(_resident_mb, family - {root}))


def _parent(pid: str) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def _resident_mb(pid: int) -> float:
    with suppress(OSError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * PAGE_MB
    return 0.0
