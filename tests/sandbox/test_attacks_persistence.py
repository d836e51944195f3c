"""Attacks: leaving something behind for the next program, or staying."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest
from attacks import ROOMY, Box, assert_blocked, describe, program_text
from probing import LIBC, call
from processes import family

from open_r1.execution.programs import Program, Status


def describe_surroundings():
    """All that one program could have changed for another, as JSON."""
    import builtins
    import gc
    import json
    import locale
    import random
    import resource
    import signal
    import stat
    import threading
    import time

    here = os.stat(".")
    mask = os.umask(0o22)
    os.umask(mask)
    seen = {
        "folder": os.getcwd(),
        "files": sorted(os.listdir(".")) if os.access(".", os.R_OK) and os.getcwd() != "/" else [],
        "mode": stat.filemode(here.st_mode),
        "owner": [here.st_uid, here.st_gid],
        "time is set": [here.st_mtime == 1234567890, here.st_atime == 1234567890],
        "size": here.st_size if os.getcwd() != "/" else 0,
        "environment": dict(os.environ),
        "mask": mask,
        "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "pending": sorted(signal.sigpending()),
        "limits": [
            resource.getrlimit(getattr(resource, name))
            for name in dir(resource)
            if name.startswith("RLIMIT_") and name != "RLIMIT_NPROC"  # makes room for what else its user runs by then
        ],
        "cores": sorted(os.sched_getaffinity(0)),
        "alarm": signal.getitimer(signal.ITIMER_REAL),
        "path": sys.path,
        "modules": sorted(sys.modules),
        "builtins": {name: type(value).__name__ for name, value in vars(builtins).items()},
        "print": repr(print),
        "dumps": repr(json.dumps),
        "loads": json.loads("[1]"),
        "random": random.Random(1).random(),
        "recursion": sys.getrecursionlimit(),
        "switching": sys.getswitchinterval(),
        "digits": sys.get_int_max_str_digits(),
        "locale": locale.setlocale(locale.LC_ALL),
        "zone": time.tzname,
        "hooks": [repr(sys.excepthook), repr(sys.displayhook), repr(sys.gettrace()), repr(sys.getprofile())],
        "collector": [gc.isenabled(), gc.get_threshold()],
        "threads": threading.active_count(),
        "session": os.getsid(0) == os.getpgrp(),
        "descriptors": [d for d in range(64) if LIBC.fcntl(d, 1) >= 0],
        "extra attributes": LIBC.listxattr(b".", None, 0) > 0,
    }
    print(json.dumps(seen, default=str))


def change_everything():
    """Whatever of it can be changed, is."""
    import builtins
    import gc
    import json
    import locale
    import random
    import resource
    import shutil
    import signal
    import time

    def attempt(change, *arguments):
        try:
            return change(*arguments)
        except Exception:  # noqa: BLE001  what can't be changed needn't be
            return None

    def leave(path, text):
        with open(path, "w") as file:
            file.write(text)

    poison = "import builtins; builtins.open = print = None; raise SystemExit(0)"
    for folder in (
        ".",
        "/tmp",
        "/box",
        "/dev/shm",
        "/var/tmp",
        "/dev",
        "/",
        "/etc",
        *sys.path,
        os.path.dirname(os.__file__),
        os.path.dirname(os.__file__) + "/site-packages",
        os.path.expanduser("~/.local/lib"),
    ):
        for name in (
            "left.txt",
            "zzz.pth",
            "sitecustomize.py",
            "usercustomize.py",
            "json.py",
            "main.py",
            "program",
            ".stdin",
            "main.cpp",
            "x" * 255,
            "a\nb",
            "-rf",
            "\udcff",
        ):
            attempt(leave, os.path.join(folder or ".", name), poison)
    for number in range(300):
        attempt(os.mkdir, f"folder{number}")
    deep = "."
    for _ in range(100):
        deep += "/deeper"
        attempt(os.mkdir, deep)
    attempt(os.symlink, "/", "to-root")
    attempt(os.symlink, "/etc/passwd", "main.py.link")
    attempt(os.mkfifo, "pipe")
    attempt(os.chmod, "folder1", 0)
    attempt(os.setxattr, ".", "user.note", b"x")
    LIBC.setxattr(b".", b"user.note", b"x", 1, 0)
    attempt(os.utime, ".", (1234567890, 1234567890))
    attempt(os.chmod, ".", 0o777)
    os.environ.update(PATH="/box", LD_PRELOAD="/box/x.so", PYTHONPATH="/box", TOKEN="x")
    os.umask(0o777)
    attempt(os.nice, 10)
    for number in signal.valid_signals():
        attempt(signal.signal, number, signal.SIG_IGN)
    attempt(signal.pthread_sigmask, signal.SIG_BLOCK, signal.valid_signals())
    for name in dir(resource):
        if name.startswith("RLIMIT_") and name not in (
            "RLIMIT_AS",
            "RLIMIT_CPU",
            "RLIMIT_DATA",
            "RLIMIT_STACK",
            "RLIMIT_OFILE",
        ):
            attempt(resource.setrlimit, getattr(resource, name), (0, 0) if name != "RLIMIT_NOFILE" else (40, 40))
    attempt(os.sched_setaffinity, 0, {min(os.sched_getaffinity(0))})
    sys.path.insert(0, "/tmp/evil")
    sys.modules["evil"] = sys
    builtins.evil = sys
    random.Random = lambda seed: type("R", (), {"random": lambda self: 4})()
    json.loads = lambda text: "forged"
    sys.setrecursionlimit(5000)
    sys.setswitchinterval(1)
    sys.set_int_max_str_digits(5000)
    attempt(locale.setlocale, locale.LC_ALL, "C")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    sys.excepthook = sys.displayhook = print
    gc.disable()
    gc.set_threshold(1)
    attempt(os.setpgid, 0, 0)
    attempt(call, "shmget", 0x0BE17, 4096, 0o1666)
    attempt(call, "msgget", 0x0BE17, 0o1666)
    attempt(call, "semget", 0x0BE17, 1, 0o1666)
    attempt(call, "mq_open", b"open-r1-attack", 0o102, 0o666, 0)
    attempt(call, "add_key", b"user", b"open-r1", b"x", 1, -3)
    attempt(call, "sethostname", b"evil", 4)
    attempt(shutil.rmtree, "folder2")
    sys.stdout.write("CHANGED\n")


def surroundings_of(box: Box) -> dict[str, Any]:
    ran = box.run(f"{program_text(describe_surroundings)}\ndescribe_surroundings()")
    assert ran.succeeded, describe(ran)
    return json.loads(ran.stdout)


def test_the_next_program_finds_everything_as_it_was(box: Box) -> None:
    before = surroundings_of(box)
    ran = box.run(f"{program_text(change_everything)}\nchange_everything()")
    assert ran.stdout == b"CHANGED\n", describe(ran)
    after = surroundings_of(box)
    assert after == before


def test_within_one_program_the_changes_are_seen(box: Box) -> None:
    before = surroundings_of(box)
    text = program_text(change_everything, describe_surroundings).replace(
        "json.loads = lambda", "json.loads_ = lambda"
    )
    ran = box.run(f"{text}\nchange_everything()\ndescribe_surroundings()")
    assert ran.status is Status.FINISHED and ran.stdout.startswith(b"CHANGED\n"), describe(ran)
    assert ran.stdout.count(b"\n") == 2, describe(ran)
    after = json.loads(ran.stdout.partition(b"\n")[2])
    changed = {name for name in before if before[name] != after[name]}
    expected = {"environment", "mask", "signals", "blocked", "limits", "path", "modules", "builtins", "random", "recursion",
                "switching", "digits", "zone", "hooks", "collector"}  # fmt: skip
    expected |= {"files", "mode", "size", "time is set"} if box.tier == "A" else set()
    assert expected <= changed


def test_nothing_is_left_on_the_disk_outside(box: Box) -> None:
    def look() -> dict[str, Any]:
        folders = [*sys.path, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "/", "/usr", "/usr/bin", "/etc",
                   "/dev/shm", Path(__file__).parent]  # fmt: skip
        return {
            str(folder): (os.stat(folder).st_mtime_ns if str(folder) != "/dev/shm" else 0,
                          [name for name in sorted(os.listdir(folder)) if "left" in name or ".pth" in name])
            for folder in folders if os.path.isdir(folder) and not str(folder).endswith("tests/sandbox")
        }  # fmt: skip

    before = look()
    box.run(f"{program_text(change_everything)}\nchange_everything()")
    assert look() == before


STAYING = {
    "background": "sleep 60 & echo done",
    "nohup": "nohup setsid sleep 60 > /dev/null 2>&1 & echo done",
    "holding_stdout": "(trap '' HUP TERM INT; sleep 60) & disown; echo done; exit 0",
    "double_fork": "( ( setsid sleep 60 ) & ) ; echo done",
    "coproc": "coproc sleep 60; echo done",
    "respawning": "respawn() { trap 'respawn &' EXIT; sleep 60; }; respawn & echo done",
}


@pytest.mark.parametrize("how", STAYING)
def test_what_a_program_leaves_running_is_gone_with_it(box_a: Box, how: str) -> None:
    box_a.run("true", language="bash")  # the worker is there before we look
    before = family(os.getpid())
    started = time.monotonic()
    ran = box_a.run(STAYING[how], language="bash")
    assert (ran.status, ran.stdout) == (Status.FINISHED, b"done\n"), describe(ran)
    assert time.monotonic() - started < 30
    assert {process.pid for process in family(os.getpid())} <= {process.pid for process in before}


def test_what_a_program_has_running_is_seen(box_a: Box) -> None:
    box_a.run("true", language="bash")
    before = {process.pid for process in family(os.getpid())}
    running = box_a.provider.submit(Program("sleep 2; echo done", "bash", limits=ROOMY))
    seen: set[str] = set()
    while not running.done():
        seen |= {process.name for process in family(os.getpid()) if process.pid not in before}
        time.sleep(0.02)
    assert "sleep" in seen
    assert running.result().stdout == b"done\n"


def hold_stdout_in_flight(_how):
    """The pipe's writing end travels in a socket that only itself holds, and which nobody will ever read."""
    import socket

    for _ in range(10):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            socket.send_fds(ours, [b"x"], [1, 2, ours.fileno(), theirs.fileno()])
            socket.send_fds(theirs, [b"x"], [1, 2, ours.fileno(), theirs.fileno()])
        except OSError:
            break
    os._exit(0)


def test_standard_output_in_flight_holds_nothing_up(box: Box) -> None:
    started = time.monotonic()
    ran = box.probe(hold_stdout_in_flight, 0)
    assert (ran.status, ran.exit_code) == (Status.FINISHED, 0), describe(ran)
    assert time.monotonic() - started < 30


TAMPERING = """
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int count, char **words) {
    const char *paths[] = {words[0], "program", "/proc/self/exe", "/proc/self/fd/4", "/dev/fd/4", "/box/program"};
    puts("original");
    fflush(stdout);
    for (int i = 0; i < 6; i++) {
        chmod(paths[i], 0777);
        int file = open(paths[i], O_RDWR);
        if (file >= 0) { pwrite(file, "#!/bin/echo forged\\n", 19, 0); close(file); }
        unlink(paths[i]);
        file = open(paths[i], O_RDWR | O_CREAT | O_TRUNC, 0777);
        if (file >= 0) { write(file, "#!/bin/echo forged\\n", 19); close(file); }
    }
    for (int file = 3; file < 64; file++) pwrite(file, "#!/bin/echo forged\\n", 19, 0);
    return 0;
}
"""


def test_a_compiled_program_cannot_change_itself_for_the_next_run(box_a: Box) -> None:
    for _ in range(3):
        ran = box_a.run(TAMPERING, language="c")
        assert ran.stdout == b"original\n", describe(ran)


def test_programs_that_differ_in_a_further_source_are_not_mistaken_for_each_other(box_a: Box) -> None:
    source = '#include <stdio.h>\n#include "answer.h"\nint main() { printf("%d\\n", ANSWER); }\n'
    for answer in (1, 2, 1):
        ran = box_a.run(source, language="c", sources={"answer.h": f"#define ANSWER {answer}\n".encode()})
        assert ran.stdout == f"{answer}\n".encode(), describe(ran)


NAMES = ["../left.txt", "/tmp/left.txt", "folder/left.txt", "..", ".", "", "left\0.txt", "left\n.txt", "-o",
         "-fplugin=x.cpp", "@x.cpp", "~/left.txt", "main.py/../../left.txt", ".stdin", "x" * 300, "\ud800"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("where", ["files", "sources"])
def test_names_of_files_that_lead_elsewhere_are_refused(box_a: Box, where: str, name: str) -> None:
    """A caller's mistake, if not worse: nothing runs, and it is said why."""
    language = "cpp" if where == "sources" else "python"
    source = "int main() {}" if where == "sources" else "print(1)"
    ran = box_a.provider.execute(Program(source, language, limits=ROOMY, **{where: {name: b"left"}}))
    assert ran.status is Status.UNAVAILABLE, describe(ran)
    assert ran.reason == "bad_request"
    assert "name" in ran.detail
    box_a.expect_clean()


def test_plain_names_are_taken(box_a: Box) -> None:
    ran = box_a.run("print(open('left.txt').read())", files={"left.txt": b"left"})
    assert ran.stdout == b"left\n", describe(ran)


def test_a_link_that_a_program_leaves_leads_the_server_nowhere(box_a: Box) -> None:
    """The next program's files are written by the server: not through a link of the one before."""
    for name in ("given.txt", ".stdin"):
        box_a.run(f"import os\nos.symlink('/etc/passwd', '{name}')\nos.symlink('/', 'deeper')")
    ran = box_a.run(
        "print(open('given.txt').read(), open('/dev/stdin').read())", stdin=b"in", files={"given.txt": b"given"}
    )
    assert ran.stdout == b"given in\n", describe(ran)


def leave_and_look(names):
    return [name for name in names if os.path.lexists(name)]


def test_looking_finds_nothing(box: Box) -> None:
    assert_blocked(box.probe(leave_and_look, ["left.txt", "/tmp/left.txt", "/box/left.txt", "/dev/shm/left.txt"]))
