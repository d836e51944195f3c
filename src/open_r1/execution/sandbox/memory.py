"""How much memory a process and all that it started have in RAM, from outside."""

from __future__ import annotations

import os
from contextlib import suppress

SHARED_MEMORY, NAMED_SHARED_MEMORY = b"/dev/zero (deleted)\n", b" [anon_shmem:"
"""What the kernel calls it, however a process came by it, and where the process has given it a name."""

COUNTED = (b"RssAnon", b"VmPTE")
"""Memory of the process alone, and its page tables: they grow with what is mapped, be it in RAM or not."""


def resident_mb(root: int) -> float:
    """Megabytes that the descendants of process `root` have in RAM, but for what they have mapped of files.

    Page tables count too. Shared memory is counted once and in full, whether a process has looked at it or not: one that
    hasn't lately, or has said that it doesn't need it, keeps it all the same, and no figure of the kernel's shows that.
    """
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, IndexError):
                parents[int(name)] = _parent(name)
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    shared: dict[bytes, float] = {}
    own = sum(_own_mb(pid) for pid in family - {root})
    for pid in family - {root}:
        shared |= _shared_mb(pid)
    return own + sum(shared.values())


def _parent(pid: str) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def _own_mb(pid: int) -> float:
    with suppress(OSError, ValueError), open(f"/proc/{pid}/status", "rb") as file:
        lines = [line.split() for line in file if line.startswith(COUNTED)]
        return sum(int(kilobytes) for _, kilobytes, _ in lines) / 1024
    return 0.0


def _shared_mb(pid: int) -> dict[bytes, float]:
    """Shared memory of no file: its number, and the megabytes that it may grow to."""
    found: dict[bytes, float] = {}
    with suppress(OSError, ValueError), open(f"/proc/{pid}/maps", "rb") as file:
        for line in file:
            if line.endswith(SHARED_MEMORY) or NAMED_SHARED_MEMORY in line:
                span, _, _, _, inode, *_ = line.split()
                start, end = (int(number, 16) for number in span.split(b"-"))
                found[inode] = found.get(inode, 0.0) + (end - start) / (1 << 20)
    return found
