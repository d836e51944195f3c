"""Tier A: namespaces around the server, and a fresh working folder and process tree for each job.

    root        a tmpfs with read-only binds of the interpreter and the system's programs; no /proc, /sys, /home, /root
    /box        a tmpfs of limited size and number of files, writable, new for each job
    /dev        null, random, urandom; a file of zeros; and stdin where a program asks for it by name

Root builds the new root first, while it can read every path, and becomes an ordinary user before the user namespace is
made. An ordinary user needs the user namespace to be allowed to mount at all.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from open_r1.execution.sandbox.server import kernel

STAGE = "/proc"
"""Where the new root is put together: a folder that always exists, and has nothing that a program needs."""

BOX = "/box"
DEVICES = ("null", "random", "urandom")
ZEROS_BYTES = 1 << 62
"""What /dev/zero has, as a file: the device, mapped for writing, gives memory that no limit counts."""
MAX_FILES = 2048
INSIDE_ID = 1000
"""What the user and the group are called inside."""

MAX_DESCRIPTOR = 0x7FFFFFFF
_TMPFS_FLAGS = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOATIME


def fresh_box(disk_mb: int) -> None:
    """Be in an empty working folder of a limited size."""
    discard_box()
    kernel.mount("tmpfs", BOX, "tmpfs", _TMPFS_FLAGS, f"size={disk_mb}m,nr_inodes={MAX_FILES},mode=700")
    os.chdir(BOX)


def discard_box() -> None:
    """Give the last job's files back to the machine."""
    os.chdir("/")  # where this process is, there is no end of it
    with suppress(OSError):  # none is mounted
        kernel.unmount(BOX)


def new_processes(own: int) -> None:
    """The next fork starts a process tree of its own, whose first process takes all others with it."""
    kernel.setns(own, kernel.CLONE_NEWPID)  # a tree can only be made from one's own
    kernel.unshare(kernel.CLONE_NEWPID, "process namespace")


def enter(readable: list[str], hidden: list[str], user: int) -> int:
    """Lock this process into namespaces and return in its only child, the server: a descriptor of its process.

    OSError says which step failed.
    """
    about_self = os.open("/proc/self", os.O_DIRECTORY | os.O_CLOEXEC)
    is_root = os.getuid() == 0
    if is_root:
        kernel.unshare(kernel.CLONE_NEWNS, "mount namespace")
        build_root(readable, hidden)
        become(user)
    user, group = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWUSER, "user namespace")
    for name, text in {
        "setgroups": "deny",
        "gid_map": f"{INSIDE_ID} {group} 1",
        "uid_map": f"{INSIDE_ID} {user} 1",
    }.items():
        _write(about_self, name, text)
    os.close(about_self)
    others = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWPID
    kernel.unshare(kernel.CLONE_NEWNS | others, "mount, network, ipc, host name and process namespaces")
    socket.sethostname("box")
    if not is_root:
        build_root(readable, hidden)
    if os.fork():
        os.closerange(0, MAX_DESCRIPTOR)
        os.wait()  # outside the new process tree; the server goes with this process when it is killed
        os._exit(0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
    kernel.drop_bounding_capabilities()
    return os.pidfd_open(os.getpid())


def become(user: int) -> None:
    """Stop being root: limits on processes don't bind root."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # else what /proc says of us stays root's


def build_root(readable: list[str], hidden: list[str]) -> None:
    """Put the new root together and move into it; nothing of the old one can be named afterwards."""
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", STAGE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    in_hidden = [path for path in readable if path.startswith(tuple(f"{folder.rstrip('/')}/" for folder in hidden))]
    for path in readable:
        if path not in in_hidden:
            _show(path)
    for folder in hidden:
        if os.path.isdir(STAGE + folder):
            kernel.mount("tmpfs", STAGE + folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    for path in in_hidden:
        _show(path)
    for folder in ("dev", "etc", "box"):
        os.makedirs(f"{STAGE}/{folder}", exist_ok=True)
    for name in DEVICES:
        _touch(f"{STAGE}/dev/{name}")
    _touch(f"{STAGE}/dev/zero")
    os.truncate(f"{STAGE}/dev/zero", ZEROS_BYTES)
    os.symlink(f"{BOX}/.stdin", f"{STAGE}/dev/stdin")
    if not os.path.lexists(f"{STAGE}/tmp"):  # there already where something shown lies in it
        os.symlink(BOX, f"{STAGE}/tmp")
    _touch(f"{STAGE}/etc/passwd", f"box:x:{INSIDE_ID}:{INSIDE_ID}::{BOX}:/bin/false\n")
    kernel.make_read_only(STAGE)
    for name in DEVICES:
        kernel.mount(f"/dev/{name}", f"{STAGE}/dev/{name}", "", kernel.MS_BIND)
    os.chdir(STAGE)
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")


def _show(path: str) -> None:
    if os.path.lexists(STAGE + path) or not os.path.lexists(path):
        return
    os.makedirs(os.path.dirname(STAGE + path), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), STAGE + path)
        return
    if os.path.isdir(path):
        os.mkdir(STAGE + path)
    else:
        _touch(STAGE + path)
    kernel.mount(path, STAGE + path, "", kernel.MS_BIND | kernel.MS_REC)


def _touch(path: str, text: str = "") -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _write(folder: int, name: str, text: str) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"write {name} of the user namespace: {error.strerror}") from error
    finally:
        os.close(descriptor)
