"""Attacks: using up what others need. Processes, threads, memory, disk, output, time; at run time and at compile time.

A bomb's own count says how far it got; a watch outside says what the machine saw. Each ends within its limits, is
answered for, and leaves a machine on which the next program is right.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet
from attacks import HERE, ROOMY, Box, assert_blocked, assert_reached, describe
from probing import LIBC, call, ctypes
from processes import Watch, family

from open_r1.execution.programs import Limits, Program, Status
from open_r1.execution.sandbox.toolchains import COMPILE_LIMITS

TIGHT = Limits(wall_s=2, cpu_s=1, memory_mb=128, output_kb=64, disk_mb=8, processes=8, open_files=32)
SLACK_S = 40
"""How much longer than its limit a program may take here before it counts as hanging: the machine may be busy."""

MAX_NOTE_BYTES = 100
"""What may be said at the end of a compiler's output that was cut."""


# Probes that count how much they got; more than `allowed` is an escape.


def start_threads(allowed):
    import threading

    started = 0
    hold = threading.Event()
    try:
        while started < allowed + 50:
            threading.Thread(target=hold.wait, daemon=True).start()
            started += 1
    except RuntimeError:
        pass
    return f"{started} threads" if started > allowed else None


def start_processes(allowed):
    started = 0
    try:
        while started < allowed + 50:
            pid = os.fork()
            if pid == 0:
                LIBC.sleep(30)
                os._exit(0)
            started += 1
    except OSError:
        pass
    return f"{started} processes" if started > allowed else None


def take_memory(allowed_mb, how):
    """Megabytes that are really there: every page is written to."""
    import mmap

    held, total = [], 0
    try:
        while total <= allowed_mb:
            if how == "heap":
                held.append(b"x" * (4 << 20))
            elif how == "small":
                held.append([bytes([number % 256]) * 1000 for number in range(4 << 10)])
            else:
                flags = mmap.MAP_SHARED if "shared" in how else mmap.MAP_PRIVATE
                area = mmap.mmap(-1, 4 << 20, flags | mmap.MAP_ANONYMOUS)
                area.write(b"x" * (4 << 20))
                if "named" in how:  # so that its line of /proc/PID/maps is another
                    place = ctypes.addressof(ctypes.c_char.from_buffer(area))
                    LIBC.prctl(0x53564D41, 0, ctypes.c_ulong(place), ctypes.c_ulong(4 << 20), b"mine")
                if "hidden" in how:
                    area.madvise(mmap.MADV_DONTNEED)
                held.append(area)
            total += 4
    except (MemoryError, OSError):
        held = held[:0] if how == "heap" else held
    return f"{total} MB" if total > allowed_mb else None


def take_page_tables(allowed_kb):
    """A page that is read in every 2 MB takes a table of 4 KB in the kernel, and nothing in RAM of its own."""
    import mmap

    held, total = [], 0
    try:
        while total <= allowed_kb:
            area = mmap.mmap(-1, 16 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ)
            held.append((area, [area[place] for place in range(0, 16 << 20, 2 << 20)]))
            total += 8 * 4
    except OSError:
        pass
    return f"{total} KB" if total > allowed_kb else None


def fill_memory_files(allowed_mb):
    total = 0
    handles = []
    try:
        while total <= allowed_mb:
            handles.append(call("memfd_create", b"x", 0))
            for _ in range(8):
                total += os.write(handles[-1], b"x" * (1 << 20)) / (1 << 20)
    except OSError:
        pass
    return f"{total} MB" if total > allowed_mb else None


def fill_pipes(allowed_mb, how):
    """What is written and not read lies in the kernel."""
    import contextlib
    import fcntl
    import socket

    total, held = 0, []
    try:
        while total <= allowed_mb << 20:
            if how == "pipe":
                _, writer = os.pipe()
                fcntl.fcntl(writer, 1031, 1 << (20 if total < 16 << 20 else 12))
            else:
                ours, theirs = socket.socketpair()
                with contextlib.suppress(OSError):
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
                held.append((ours, theirs))
                writer = ours.fileno()
            os.set_blocking(writer, False)
            try:
                while True:
                    total += os.write(writer, b"x" * (1 << 16))
            except BlockingIOError:
                pass
    except OSError:
        pass
    return f"{total >> 20} MB" if total > allowed_mb << 20 else None


def fill_disk(allowed_mb, how):
    total, number = 0, 0
    try:
        while total <= allowed_mb << 20:
            number += 1
            handle = os.open(f"file{number}", os.O_WRONLY | os.O_CREAT)
            if how == "allocated":
                os.posix_fallocate(handle, 0, 1 << 20)
                total += 1 << 20
            elif how == "unlinked":
                os.unlink(f"file{number}")
                total += os.write(handle, b"x" * (1 << 20))
                continue
            else:
                total += os.write(handle, b"x" * (1 << 20))
            os.close(handle)
    except OSError:
        pass
    return f"{total >> 20} MB" if total > allowed_mb << 20 else None


def make_files(allowed, how):
    made = 0
    try:
        while made <= allowed:
            if how == "empty":
                os.close(os.open(f"{'x' * 200}{made}", os.O_CREAT))
            elif how == "folders":
                os.mkdir(f"folder{made}")
                os.chdir(f"folder{made}")
            elif how == "links":
                os.symlink("x" * 4000, f"link{made}")
            made += 1
    except OSError:
        pass
    return f"{made} files" if made > allowed else None


def open_files(allowed):
    opened = 0
    try:
        while opened <= allowed:
            os.dup(0)
            opened += 1
    except OSError:
        pass
    return f"{opened} descriptors" if opened > allowed else None


def watch_files(allowed):
    """Watches and asynchronous contexts are few, and the user's alone."""
    made = 0
    for name, arguments in (("inotify_init1", (0,)), ("fanotify_init", (0, 0)), ("io_setup", (1024, bytes(8))),
                            ("userfaultfd", (0,)), ("timer_create", (1, 0, ctypes.byref(ctypes.c_int())))):  # fmt: skip
        try:
            while made <= allowed:
                call(name, *arguments)
                made += 1
        except OSError:
            continue
    return f"{made} of them" if made > allowed else None


@dataclass(frozen=True)
class Greed:
    """A probe that counts: more than it may have, and what it may."""

    probe: Callable[..., Any]
    attack: tuple[Any, ...]
    control: tuple[Any, ...]
    tiers: str = "AB"

    @property
    def title(self) -> str:
        return "-".join([self.probe.__name__, *(word for word in self.attack if isinstance(word, str))])


GREEDY = [
    Greed(start_threads, (TIGHT.processes + 4,), (2,)),
    Greed(start_processes, (0,), (-1,)),
    *(
        Greed(take_memory, (TIGHT.memory_mb + 8, how), (-1 if "shared" in how else 16, how))
        for how in ("heap", "small", "private", "shared", "shared and hidden", "shared and named")
    ),
    Greed(take_page_tables, (1024,), (64,)),
    Greed(fill_memory_files, (TIGHT.memory_mb + TIGHT.disk_mb,), (-1,)),
    *(Greed(fill_pipes, (48, how), (0, how)) for how in ("pipe", "socket")),
    *(Greed(fill_disk, (TIGHT.disk_mb, how), (2, how), "A") for how in ("written", "allocated", "unlinked")),
    *(Greed(make_files, (4096, how), (50, how), "A") for how in ("empty", "folders", "links")),
    Greed(open_files, (TIGHT.open_files,), (2,)),
    Greed(watch_files, (4096,), (-1,)),
]


@pytest.mark.parametrize("greed", [pytest.param(greed, id=greed.title) for greed in GREEDY])
def test_no_program_gets_more_than_its_share(box: Box, greed: Greed) -> None:
    if box.tier not in greed.tiers:
        pytest.skip(f"not for tier {box.tier}, where nothing can be written: {greed.title}")
    before = sum(process.resident_mb for process in family(os.getpid()))
    with Watch() as watch:
        ran = box.probe(greed.probe, *greed.attack, limits=TIGHT)
    if ran.status is not Status.MEMORY_LIMIT:
        assert_blocked(ran)
    assert watch.resident_mb - before < TIGHT.memory_mb + 64
    assert b"ESCAPED" not in ran.stdout


@pytest.mark.parametrize("greed", [pytest.param(greed, id=greed.title) for greed in GREEDY])
def test_every_program_gets_its_share(box: Box, greed: Greed) -> None:
    """The control: the same count passes a small number."""
    if box.tier not in greed.tiers:
        pytest.skip(f"not for tier {box.tier}, where nothing can be written: {greed.title}")
    assert_reached(box.probe(greed.probe, *greed.control, limits=TIGHT).stdout)


def test_the_watch_outside_sees_memory_and_processes(box_a: Box) -> None:
    before = family(os.getpid())
    with Watch() as watch:
        box_a.run("x = b'x' * (64 << 20)\nimport time; time.sleep(0.5)", limits=TIGHT)
    assert watch.resident_mb - sum(process.resident_mb for process in before) > 50
    with Watch() as watch:
        box_a.run("for i in 1 2 3 4; do sleep 0.5 & done; wait", language="bash", limits=TIGHT)
    assert watch.processes >= len(before) + 5


@dataclass(frozen=True)
class Bomb:
    """A program of `bombs/`, where a line `--- name: how it may end` stands before each; `quick` if it isn't slow."""

    language: str
    name: str
    source: str
    endings: frozenset[str]

    @property
    def as_parameter(self) -> ParameterSet:
        marks = [] if "quick" in self.endings else [pytest.mark.slow]
        return pytest.param(self, id=f"{self.language}-{self.name}", marks=marks)


def bombs_of(language: str) -> list[Bomb]:
    text = (HERE / "bombs" / f"{language}.txt").read_text(encoding="utf-8")
    parts = re.split(r"^--- (\w+): (.*)\n", text, flags=re.MULTILINE)[1:]
    named = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return [Bomb(language, name, source, frozenset(endings.split())) for name, endings, source in named]


BY_NATURE = [
    Bomb("python", name, source, frozenset(["finished", "memory_limit", "time_limit", "quick"]))
    for name, source in (
        ("source_deep", "x = " + "(" * 5000 + ")" * 5000),
        ("source_long", "x = 1\n" * 400_000),
        ("source_null", "x = 1\0"),
        ("source_rubbish", "\udcff\ud800 \x00\x01"),
        ("source_constant", "x = " + "9**" * 60 + "9"),
    )
]


def expect_to_end(box: Box, bomb: Bomb) -> None:
    box.expect_clean()  # so that the server is there before
    before = family(os.getpid())
    started = time.monotonic()
    with Watch() as watch:
        ran = box.provider.execute(Program(bomb.source, bomb.language, stdin=b"some input\n", limits=TIGHT))
    took_s = time.monotonic() - started
    box.expect_clean()
    assert ran.status.value in bomb.endings, describe(ran)
    assert b"ESCAPED" not in ran.stdout, describe(ran)
    assert max(len(ran.stdout), len(ran.stderr)) <= (TIGHT.output_kb << 10) + MAX_NOTE_BYTES
    assert took_s < TIGHT.wall_s + SLACK_S
    allowed_mb = TIGHT.memory_mb if bomb.language == "python" else COMPILE_LIMITS.memory_mb
    assert watch.resident_mb - sum(process.resident_mb for process in before) < allowed_mb + 128
    assert {process.pid for process in family(os.getpid())} <= {process.pid for process in before}


@pytest.mark.parametrize("bomb", [bomb.as_parameter for bomb in [*bombs_of("python"), *BY_NATURE]])
def test_bombs_in_python_end(box: Box, bomb: Bomb) -> None:
    expect_to_end(box, bomb)


OTHERS = {"c": "gcc", "cpp": "g++", "bash": "bash", "javascript": "node", "java": "javac"}


@pytest.mark.parametrize("bomb", [bomb.as_parameter for language in OTHERS for bomb in bombs_of(language)])
def test_bombs_in_other_languages_end(box_a: Box, bomb: Bomb) -> None:
    if shutil.which(OTHERS[bomb.language]) is None:
        pytest.skip(f"{bomb.language.upper()} UNTESTED: {OTHERS[bomb.language]} is missing")
    expect_to_end(box_a, bomb)


BURN_IN_CHILDREN = """command -v python3 > /dev/null || exit 3
python3 -I -S -c '
import os, signal, time
if "{how}" == "ignored": signal.signal(signal.SIGCHLD, signal.SIG_IGN)
reader, writer = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        while time.process_time() < 0.5: pass
        os.write(writer, b"x")
        if "{how}" == "left": time.sleep(60)
        os._exit(0)
if "{how}" == "left": [os.read(reader, 1) for _ in range(3)]
try:
    while "{how}" != "left": os.wait()
except ChildProcessError: pass
'
echo done"""
"""Each of three children takes half a second of the processor."""


@pytest.mark.parametrize("how", ["waited for", "ignored", "left"])
def test_processor_time_of_children_counts_whatever_becomes_of_them(box_a: Box, how: str) -> None:
    limits = Limits(wall_s=60, cpu_s=1.2)
    ran = box_a.run(BURN_IN_CHILDREN.format(how=how), language="bash", limits=limits)
    if ran.exit_code == 3:
        pytest.skip("NO PYTHON3 ON THIS MACHINE'S PATH")
    assert ran.status is Status.TIME_LIMIT and ran.cpu_s > 1.4, describe(ran)


LOOK_FOR_WHAT_IS_NOT_THERE = """
import os, sys, time
mark = time.time_ns()  # the names of an earlier run may be remembered
for number in range(20_000):
    for folder in sys.argv[1:]:
        os.path.exists(f"{folder}/nothing {mark} {number}")
print("done")
"""
DENTRIES = Path("/proc/sys/fs/dentry-state")


def names_remembered(box: Box, *folders: str) -> int:
    """By how many names that aren't there the kernel's memory of names grows."""
    before = int(DENTRIES.read_text().split()[4])
    ran = box.run(LOOK_FOR_WHAT_IS_NOT_THERE, args=folders)
    assert ran.stdout == b"done\n", describe(ran)
    return int(DENTRIES.read_text().split()[4]) - before


def test_names_that_are_not_there_leave_nothing_in_the_folders_of_the_box(box_a: Box) -> None:
    """No limit counts what the kernel remembers of them. It gives it up when memory is short."""
    assert names_remembered(box_a, "/box", "/dev", "/etc", "") < 10_000
    assert names_remembered(box_a, "/usr/lib") > 15_000, "the kernel doesn't count them, so this proves nothing"


def test_a_thread_bomb_takes_no_threads_from_a_neighbour(two_workers: Box) -> None:
    if two_workers.tier == "B" and os.getuid() != 0:
        pytest.skip("tier B counts the threads of all programs of an ordinary user together: see the sandbox's guide")
    hog = """
import os, threading
hold = threading.Event()
try:
    while True: threading.Thread(target=hold.wait).start()
except RuntimeError:
    hold.wait(3)
os._exit(3)
"""
    worker = """
import threading, time
time.sleep(1)
done = []
threads = [threading.Thread(target=done.append, args=(number,)) for number in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(done))
"""
    limits = Limits(wall_s=60, processes=10)
    hogging, working = two_workers.provider.run([Program(hog, limits=limits), Program(worker, limits=limits)])
    assert working.stdout == b"6\n", describe(working)
    assert hogging.status is not Status.UNAVAILABLE, describe(hogging)


def test_other_processes_of_the_user_take_no_threads_from_a_program(box: Box) -> None:
    """An ordinary user's desktop has more processes than a program may start."""
    sleepers = [subprocess.Popen(["sleep", "60"], user=65534 if os.getuid() == 0 else None) for _ in range(30)]
    try:
        ran = box.run(
            "import threading\nt = threading.Thread(target=print, args=(1,))\nt.start(); t.join()", limits=TIGHT
        )
        assert ran.stdout == b"1\n", describe(ran)
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


def test_a_bomb_slows_no_neighbour_to_death(two_workers: Box) -> None:
    bomb = Program("x = []\nwhile True: x.append(b'x' * (1 << 20))", limits=TIGHT)
    clean = Program("print(sum(range(1000)))", limits=ROOMY)
    ended = two_workers.provider.run([bomb, clean] * 6)
    assert [ran.stdout for ran in ended[1::2]] == [b"499500\n"] * 6


def test_a_large_input_that_nobody_reads_holds_nothing_up(box: Box) -> None:
    ran = box.run("print('done')", stdin=b"x" * (100 << 20))
    assert ran.stdout == b"done\n", describe(ran)
    ran = box.run("import sys\nprint(len(sys.stdin.buffer.read()))", stdin=b"x" * (100 << 20))
    assert ran.stdout == b"104857600\n", describe(ran)
