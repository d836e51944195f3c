"""Linux calls that the standard library doesn't have, each raising OSError with the call's name."""

from __future__ import annotations

import ctypes
import os
import platform

from open_r1.execution.sandbox.server.syscalls import NUMBERS

CLONE_NEWTIME, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x80, 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
CLONE_THREAD = 0x00010000

MS_NOSUID, MS_NODEV, MS_NOATIME, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 1024, 4096, 16384, 1 << 18
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_READ_ONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522
HIGHEST_CAPABILITY = 63
NO_CALL = -1
"""A number that no call has: ENOSYS."""

MACHINE = platform.machine()
SYSCALLS = NUMBERS.get(MACHINE, {})
_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, argument: int = 0) -> None:
    """Set an attribute of this process (prctl(2)); OSError if the kernel refuses."""
    _check(_libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0), f"prctl {option}")


def unshare(flags: int, what: str) -> None:
    """Enter new namespaces (unshare(2)); OSError says `what` was refused."""
    _check(_libc.unshare(flags), f"unshare {what}")


def setns(descriptor: int, flags: int) -> None:
    """Join the namespace of an open descriptor (setns(2)); OSError if the kernel refuses."""
    _check(_libc.setns(descriptor, flags), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a filesystem, or change a mount (mount(2)); OSError names the target."""
    words = [word.encode() for word in (source, target, kind)]
    _check(_libc.mount(*words, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def unmount(target: str) -> None:
    """Lazily: a process that uses it keeps it, but its name is gone."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def make_read_only(path: str) -> None:
    """The mount at `path` and all below: read-only, no set-uid programs, no devices."""
    wanted = MOUNT_ATTR_READ_ONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
    attributes = (ctypes.c_uint64 * 4)(wanted, 0, 0, 0)
    call("mount_setattr", AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, ctypes.sizeof(attributes))


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root of this mount namespace and put the former root at `old` (pivot_root(2))."""
    call("pivot_root", new.encode(), old.encode())


def drop_capabilities() -> None:
    """Give up every capability of this process."""
    header, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    call("capset", header, none)


def drop_bounding_capabilities() -> None:
    """No program started from here can gain a capability."""
    for capability in range(HIGHEST_CAPABILITY + 1):
        _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)  # EINVAL past the kernel's last
    _libc.prctl(PR_CAP_AMBIENT, ctypes.c_ulong(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)


def call(name: str, *arguments: object) -> int:
    """A system call by name; numbers are passed as C longs."""
    number = SYSCALLS.get(name, NO_CALL)
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in (number, *arguments)]
    return _check(_libc.syscall(*words), name)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
