"""Processes seen from outside: who descends from whom, and what they hold."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    name: str
    state: str
    resident_mb: float
    threads: int


def family(root: int) -> list[Process]:
    """All processes that descend from `root`, itself left out."""
    everyone = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                everyone[int(entry.name)] = _read(entry)
    found = {root}
    while grown := {pid for pid, process in everyone.items() if process.parent in found} - found:
        found |= grown
    return [everyone[pid] for pid in sorted(found - {root})]


def _read(entry: Path) -> Process:
    before, _, after = (entry / "stat").read_text(errors="replace").rpartition(")")
    words = after.split()
    resident = int((entry / "statm").read_text().split()[1]) * PAGE_MB
    return Process(int(entry.name), int(words[1]), before.partition("(")[2], words[0], resident, int(words[17]))


@dataclass
class Watch:
    """The most that the descendants of this process, or of one of them, have had at once, sampled while it is entered."""

    processes: int = 0
    threads: int = 0
    resident_mb: float = 0.0
    names: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)
    _sampler: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        assert self._sampler is not None
        self._sampler.join()

    def _sample(self) -> None:
        while not self._over.is_set():
            found = family(os.getpid())
            self.processes = max(self.processes, len(found))
            self.threads = max(self.threads, sum(process.threads for process in found))
            self.resident_mb = max(self.resident_mb, sum(process.resident_mb for process in found))
            self.names |= {process.name for process in found}
            time.sleep(0.02)
