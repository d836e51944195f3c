"""Linux calls that the standard library doesn't have, each raising OSError with the call's name."""

from __future__ import annotations

import ctypes
import os
import platform
from itertools import groupby, pairwise
from operator import itemgetter

from open_r1.execution.sandbox.server.syscalls import NUMBERS

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_NEWTIME = 0x00000080
CLONE_THREAD = 0x00010000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_NOATIME, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    32,
    1024,
    4096,
    16384,
    1 << 18,
)
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_READ_ONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
CAPABILITY_VERSION_3 = 0x20080522
HIGHEST_CAPABILITY = 63
NO_CALL = -1
"""A number that no call has: ENOSYS."""

MACHINE = platform.machine()
SYSCALLS = NUMBERS.get(MACHINE, {})
_libc = ctypes.CDLL(None, use_errno=True)
_libc_with_interpreter = ctypes.PyDLL(None, use_errno=True)


def fork() -> int:
    """As `os.fork`, without the hooks that renew locks and random seeds in the child: one thread has nothing to renew,
    and each hook copies pages."""
    return _checked(_libc_with_interpreter.fork(), "fork")


def prctl(option: int, argument: int = 0) -> None:
    _checked(_libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0), f"prctl {option}")


def unshare(flags: int, what: str) -> None:
    _checked(_libc.unshare(flags), f"unshare {what}")


def setns(descriptor: int, flags: int) -> None:
    _checked(_libc.setns(descriptor, flags), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    words = [word.encode() for word in (source, target, kind)]
    _checked(_libc.mount(*words, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def unmount(target: str) -> None:
    """Lazily: a process that uses it keeps it, but its name is gone."""
    _checked(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def make_read_only(path: str) -> None:
    """The mount at `path` and all below: read-only, no set-uid programs, no devices."""
    wanted = MOUNT_ATTR_READ_ONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
    attributes = (ctypes.c_uint64 * 4)(wanted, 0, 0, 0)
    call("mount_setattr", AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, ctypes.sizeof(attributes))


def pivot_root(new: str, old: str) -> None:
    call("pivot_root", new.encode(), old.encode())


def drop_bounding_capabilities() -> None:
    """No program started from here can gain a capability."""
    for capability in range(HIGHEST_CAPABILITY + 1):
        _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)  # EINVAL past the kernel's last
    _libc.prctl(PR_CAP_AMBIENT, ctypes.c_ulong(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)


def make_forks_cheap() -> None:
    """Merge areas of memory, as a fork copies them one by one.

    The four or five areas of a library become two, as neighbours with the same access are one: what can't be written is
    made executable as well, and what was made read-only after loading is writable again. That is a program's own memory;
    none of what isolates rests on it.
    """
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
        areas = [line.split(maxsplit=5) for line in file]
    for library, group in groupby((area for area in areas if len(area) == 6), key=itemgetter(5)):
        _merge(list(group) if library.startswith("/") else [])


def _merge(areas: list[list[str]]) -> None:
    if not any("x" in area[1] for area in areas):
        return
    for area, after in pairwise([*areas, ["", ""]]):
        if "w" in area[1] or "r" not in area[1]:
            continue
        start, end = (int(address, 16) for address in area[0].split("-"))
        access = PROT_READ | (PROT_WRITE if "w" in after[1] else PROT_EXEC)
        _libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(end - start), access)


def call(name: str, *arguments: object) -> int:
    """A system call by name; numbers are passed as C longs."""
    return PreparedCall(name, *arguments)()


class PreparedCall:
    """A system call to be made in a job's child, with all that it needs made before the fork."""

    def __init__(self, name: str, *arguments: object) -> None:
        number = SYSCALLS.get(name, NO_CALL)
        self._name = name
        self._words = [ctypes.c_long(word) if isinstance(word, int) else word for word in (number, *arguments)]

    def __call__(self) -> int:
        result = _libc.syscall(*self._words)
        return result if result >= 0 else _checked(result, self._name)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def close_from(lowest: int) -> PreparedCall:
    """What closes every descriptor from `lowest` on."""
    return PreparedCall("close_range", lowest, 0x7FFFFFFF, 0)


drop_capabilities = PreparedCall("capset", (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)())
