"""Runs the attack suite as root and as an ordinary user: `python tests/sandbox/both_users.py [pytest's options]`.

An ordinary user runs it once, as itself, and is told that root is missing. Root runs it twice. Where an ordinary user may
not read root's interpreter, virtual environment or checkout (a home that is closed to others), both runs see the same
paths in a mount namespace of their own, in which what closes them off is laid open and holds nothing else.
"""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
REPO = FOLDER.parent.parent
ORDINARY_USER = int(os.environ.get("OPEN_R1_TEST_USER", "54321"))
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18
NO_TESTS = 5


def main(options: list[str]) -> int:
    if os.getuid() != 0:
        print("SANDBOX SUITE: as this user alone; start it as root to run it as both kinds of user", flush=True)
        return run_tests(options)
    lay_open([Path(sys.base_prefix), Path(sys.prefix), REPO])
    print("SANDBOX SUITE: as root", flush=True)
    as_root = run_tests(options)
    print(f"SANDBOX SUITE: as an ordinary user ({ORDINARY_USER})", flush=True)
    as_user = run_tests(options, ORDINARY_USER)
    print(f"SANDBOX SUITE: exit status {as_root} as root, {as_user} as an ordinary user", flush=True)
    return as_root or as_user


def run_tests(options: list[str], user: int | None = None) -> int:
    """pytest's exit status; its files go to a folder of the user's own."""
    with tempfile.TemporaryDirectory(prefix="sandbox-suite") as home:
        os.chmod(home, 0o755)
        rights = {}
        if user is not None:
            os.chown(home, user, user)
            rights = {"user": user, "group": user, "extra_groups": []}
        environment = os.environ | {"HOME": home, "TMPDIR": home, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(FOLDER), *options]
        return subprocess.run(command, cwd=REPO, env=environment, check=False, **rights).returncode


def lay_open(paths: list[Path]) -> None:
    """Let everyone reach these paths, in this process and what it starts, whatever their parent folders say."""
    closed = {path: folder for path in paths if (folder := closed_ancestor(path))}
    if not closed:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", b"", ctypes.c_ulong(MS_REC | MS_PRIVATE), None):
        sys.exit(f"an ordinary user may not enter {', '.join(map(str, set(closed.values())))}, and this root may not "
                 f"mount: put the interpreter and the checkout where everyone may read them")  # fmt: skip
    held = {path: os.open(path, os.O_PATH) for path in closed}
    for folder in sorted(set(closed.values())):
        libc.mount(b"none", bytes(folder), b"tmpfs", ctypes.c_ulong(0), b"mode=755,size=1m")
    for path, descriptor in held.items():
        path.mkdir(parents=True, exist_ok=True)
        if libc.mount(
            f"/proc/self/fd/{descriptor}".encode(), bytes(path), b"", ctypes.c_ulong(MS_BIND | MS_REC), None
        ):
            sys.exit(f"{path} can't be laid open: {os.strerror(ctypes.get_errno())}")
        os.close(descriptor)


def closed_ancestor(path: Path) -> Path | None:
    """The topmost folder on the way to `path`, and itself, that others may not pass through."""
    for folder in reversed([path.resolve(), *path.resolve().parents]):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
