"""How much memory a process and all that it started have in RAM, from outside."""

from __future__ import annotations

import math
import os
from contextlib import suppress

SHARED_MEMORY, NAMED_SHARED_MEMORY = b"/dev/zero (deleted)\n", b" [anon_shmem:"
"""What the kernel calls it, however a process came by it, and where the process has given it a name."""

COUNTED = (b"RssAnon", b"VmPTE")
"""Memory of the process alone, and its page tables: they grow with what is mapped, be it in RAM or not."""

OWN_GENERATIONS = 3
"""The process itself, a sandbox's server, and the first process of a job's tree; the last two can't be read."""

FORKED_ONLY = 0x40
"""The kernel's PF_FORKNOEXEC: a process that has not yet become a program."""


def resident_mb(root: int) -> float:
    """Megabytes that the descendants of process `root` have in RAM, but for what they have mapped of files.

    Page tables count too. Shared memory is counted once and in full, whether a process has looked at it or not: one that
    hasn't lately, or has said that it doesn't need it, keeps it all the same, and no figure of the kernel's shows that.
    A program that has made its memory unreadable has infinitely much.
    """
    stats: dict[int, list[bytes]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            stats[int(name)] = _read(name, "stat").rpartition(b")")[2].split()
    generations = [{root}]
    while grown := {pid for pid, stat in stats.items() if int(stat[1]) in generations[-1]}:
        generations.append(grown)
    programs = set().union(*generations[OWN_GENERATIONS:])
    own_kb = 0
    shared: dict[bytes, int] = {}
    for pid in set().union(*generations[1:]):
        try:
            status = _read(pid, "status").splitlines()
            own_kb += sum(int(line.split()[1]) for line in status if line.startswith(COUNTED))
            shared |= _shared(pid)
        except PermissionError:
            is_starting = len(programs) == 1 and int(stats[pid][6]) & FORKED_ONLY
            if pid in programs and not is_starting:
                return math.inf
        except (OSError, ValueError):  # it has ended
            continue
    return (own_kb + (sum(shared.values()) >> 10)) / 1024


def _read(pid: int | str, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


def _shared(pid: int) -> dict[bytes, int]:
    """Shared memory of no file: its number, and the bytes that it may grow to."""
    found: dict[bytes, int] = {}
    for line in _read(pid, "maps").splitlines(keepends=True):
        if line.endswith(SHARED_MEMORY) or NAMED_SHARED_MEMORY in line:
            span, _, _, _, inode, *_ = line.split()
            start, end = (int(number, 16) for number in span.split(b"-"))
            found[inode] = found.get(inode, 0) + end - start
    return found
