"""What counts as memory of a process and what it started, seen from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

if sys.platform != "linux":
    pytest.skip("it is read from /proc", allow_module_level=True)

from open_r1.execution.sandbox import worker as memory
from open_r1.execution.sandbox.worker import resident_mb

WAIT = "print(flush=True); input()"
MEGABYTES = {
    "private": "x = bytearray(b'x' * (64 << 20))",
    "shared": "import mmap; x = mmap.mmap(-1, 64 << 20)",
    "shared, and named": (
        "import ctypes, mmap; x = mmap.mmap(-1, 64 << 20); place = ctypes.addressof(ctypes.c_char.from_buffer(x))\n"
        "ctypes.CDLL(None).prctl(0x53564D41, 0, ctypes.c_ulong(place), ctypes.c_ulong(64 << 20), b'mine')"
    ),
    "page tables": (
        "import mmap; x = mmap.mmap(-1, 24 << 30, flags=mmap.MAP_PRIVATE | 0x4000, prot=mmap.PROT_READ)\n"
        "x.madvise(15)\nfor place in range(0, 24 << 30, 2 << 20): x[place]"
    ),
}
"""Each takes more than 40 MB in a way of its own; 0x4000 is MAP_NORESERVE and 15 MADV_NOHUGEPAGE."""


@contextmanager
def running(source: str) -> Iterator[None]:
    command = [sys.executable, "-I", "-S", "-c", f"{source}\n{WAIT}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.kill()


def test_a_process_that_does_nothing_has_little() -> None:
    before = resident_mb(os.getpid())
    with running("pass"):
        assert 1 < resident_mb(os.getpid()) - before < 30


@pytest.mark.parametrize("kind", MEGABYTES)
def test_memory_of_every_kind_counts(kind: str) -> None:
    before = resident_mb(os.getpid())
    with running(MEGABYTES[kind]):
        assert resident_mb(os.getpid()) - before > 40


NESTED = "import os, subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', {!r}])"
WAIT_IN_A_FORK = f"import os\nif os.fork(): os.wait()\nelse:\n    {WAIT}"


@pytest.mark.parametrize(
    ("source", "is_over"),
    [
        ("pass", False),  # the server's or the first process of a job's tree: theirs can't be read
        (NESTED.format(NESTED.format(WAIT)), True),
        (NESTED.format(WAIT_IN_A_FORK), False),  # about to become the program
    ],
)
def test_memory_of_a_program_that_can_not_be_read_is_over_every_limit(
    monkeypatch: pytest.MonkeyPatch, source: str, is_over: bool
) -> None:
    read = memory._read

    def refuse(pid: int | str, name: str) -> bytes:
        if name == "maps":
            raise PermissionError
        return read(pid, name)

    monkeypatch.setattr(memory, "_read", refuse)
    with running(source):
        assert (resident_mb(os.getpid()) == float("inf")) == is_over
