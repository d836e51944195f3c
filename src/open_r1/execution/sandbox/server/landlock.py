"""Landlock: a process gives up files, TCP, and signals and sockets beyond itself, with no privilege needed.

The kernel's documentation, userspace-api/landlock, has the numbers. ABI 6 is the first that keeps signals and abstract
sockets inside; below it this sandbox doesn't use Landlock at all.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress

from open_r1.execution.sandbox.server import kernel

NEEDED_ABI = 6
EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER = 1, 1 << 1, 1 << 2, 1 << 3
EVERY_FILE_ACCESS = (1 << 16) - 1
EVERY_TCP_ACCESS = 3
EVERY_SCOPE = 3
PATH_BENEATH = 1
ASK_FOR_ABI = 1


def abi() -> int:
    """The version of Landlock that this kernel has; 0 for none."""
    try:
        return kernel.call("landlock_create_ruleset", None, 0, ASK_FOR_ABI)
    except (OSError, KeyError):
        return 0


def restrict(readable: Iterable[str], writable: Iterable[str] = ()) -> None:
    """From now on: read and execute below `readable`, write to files `writable` alone, no TCP, no signal to others."""
    attributes = (ctypes.c_uint64 * 3)(EVERY_FILE_ACCESS, EVERY_TCP_ACCESS, EVERY_SCOPE)
    ruleset = kernel.call("landlock_create_ruleset", attributes, ctypes.sizeof(attributes), 0)
    try:
        for path in readable:
            with suppress(FileNotFoundError, PermissionError):  # what can't be reached need not be allowed
                _allow(ruleset, path, EXECUTE | READ_FILE | (READ_FOLDER if os.path.isdir(path) else 0))
        for path in writable:
            _allow(ruleset, path, WRITE_FILE)
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, descriptor), 12)
        kernel.call("landlock_add_rule", ruleset, PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
