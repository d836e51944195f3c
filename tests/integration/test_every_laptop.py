"""What only Linux has is not loaded before it is used: everything else works on a laptop with another system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from short_recipe import write_short_recipe

ELSEWHERE = """
import os, signal, socket, sys
ONLY_LINUX = {
    os: "memfd_create pidfd_open sched_getaffinity sched_setaffinity eventfd copy_file_range splice getrandom posix_fadvise "
        "prlimit setresuid setresgid getxattr fdatasync MFD_CLOEXEC MFD_ALLOW_SEALING O_PATH O_TMPFILE O_DIRECT",
    signal: "pidfd_send_signal sigtimedwait sigwaitinfo",
    socket: "MSG_CMSG_CLOEXEC SOCK_CLOEXEC SOCK_NONBLOCK AF_NETLINK SO_PEERCRED",
}
for module, names in ONLY_LINUX.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
for name in ("fcntl", "resource"):  # these are elsewhere too, without what only Linux gives them
    module = __import__(name)
    for word in [word for word in vars(module) if word.startswith(("F_SEAL", "F_ADD_SEALS", "F_SETPIPE", "F_OFD"))]:
        delattr(module, word)
    for word in ("RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "prlimit"):
        if hasattr(module, word):
            delattr(module, word)
"""
EVERY_MODULE = """
import importlib, pkgutil, open_r1
names = [info.name for info in pkgutil.walk_packages(open_r1.__path__, "open_r1.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names))
"""
REFUSAL = """
import platform
platform.system = lambda: "Darwin"
from open_r1.execution.sandbox.local import LocalProvider
from open_r1.execution.programs import Program
print(LocalProvider().execute(Program("print(1)")).detail)
LocalProvider().check()
"""


def run_elsewhere(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", ELSEWHERE + program, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


def test_every_module_can_be_imported_where_linux_is_not() -> None:
    ran = run_elsewhere(EVERY_MODULE)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert int(ran.stdout.split()[-1]) > 200


def test_the_short_pipeline_runs_where_linux_is_not(tmp_path: Path) -> None:
    recipe = write_short_recipe(tmp_path / "recipe", tmp_path / "run")
    ran = run_elsewhere("from open_r1.cli.main import main\nsys.exit(main(sys.argv[1:]))", "run", str(recipe))
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert (tmp_path / "run" / "report.html").is_file()


def test_programs_are_refused_where_linux_is_not_with_what_to_do() -> None:
    ran = run_elsewhere(REFUSAL)
    for said in (ran.stdout, ran.stderr):
        assert "it needs Linux, and this is Darwin" in said
        assert "code_provider: executor, piston, e2b, morph or sandbox_fusion" in said
    assert ran.returncode == 1


def test_what_is_hidden_is_missed_when_it_is_used() -> None:
    """The control: the sandbox, which does use it, can't run there."""
    ran = run_elsewhere(REFUSAL.replace("Darwin", "Linux"))
    assert ran.returncode == 1 and "no attribute 'MSG_CMSG_CLOEXEC'" in ran.stderr, ran.stderr
