"""The filter of system calls that a program runs under, assembled as classic BPF.

An allow-list: what isn't named gets EPERM; another architecture's calls (32-bit, x32) end the program. Calls that are
safe with some arguments only (clone, prctl, ...) have a rule each. Numbers are found by bisection, because the kernel
runs a new filter once for every call there is, and a filter is installed for every job.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Sequence
from typing import NamedTuple

from open_r1.execution.sandbox.server import kernel, syscalls

LOAD, JUMP, JUMP_EQUAL, JUMP_GREATER_OR_EQUAL, JUMP_IF_SET, RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT = 0, 4
FARTHEST = 255
FIRST_ARGUMENT_AT, SECOND_ARGUMENT_AT, FOURTH_ARGUMENT_AT, FIFTH_ARGUMENT_AT = 16, 24, 40, 48
ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE, NOT_THERE, NO_MEMORY = (0x00050000 | number for number in (errno.EPERM, errno.ENOSYS, errno.ENOMEM))
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000
SECCOMP_SET_MODE_FILTER, SECCOMP_GET_ACTION_AVAIL = 1, 2

NAMESPACES = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWCGROUP | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWTIME
)  # fmt: skip
HARMLESS_IOCTL = (0x5401, 0x802C542A, 0x540F, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TCGETS2, TIOCGPGRP, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what a file is, and how it waits."""
HARMLESS_FCNTL = (*range(8), 36, 37, 38, 1030, 1031, 1032, 1034)
"""F_DUPFD to F_SETLKW, F_OFD_GETLK to F_OFD_SETLKW, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_GET_SEALS: descriptors
and locks. Not here: owners and signals of a descriptor, leases and notifications, which reach other processes."""
MAP_SHARED, MAP_ANONYMOUS = 0x01, 0x20
PAGE_BYTES = 4096
AF_UNIX = 1
HARMLESS_PRCTL = (3, 15, 16, 41, 42, 0x53564D41)
"""GET_DUMPABLE, SET_NAME, GET_NAME, SET_THP_DISABLE, GET_THP_DISABLE, SET_VMA."""

Code = tuple[bytes, ...]


class Rules(NamedTuple):
    """What a program may do beyond computing.

    Args:
        fork: Start processes, not only threads.
        execute: Start another program in its own place; needed to start any but those of the server's interpreter.
        write: Change names and attributes of files.
        signal_only: The one process that may be signalled, where others could be named; None where none could.
    """

    fork: bool = False
    execute: bool = False
    write: bool = True
    signal_only: int | None = None


class Filter:
    """An assembled filter, ready to be installed in any process forked from this one."""

    def __init__(self, rules: Rules) -> None:
        code = b"".join(assemble(rules))
        self._code = ctypes.create_string_buffer(code, len(code))
        self._program = _Program(len(code) // 8, ctypes.addressof(self._code))
        self._install = kernel.PreparedCall("seccomp", SECCOMP_SET_MODE_FILTER, 0, ctypes.pointer(self._program))

    def install(self) -> None:
        """For this thread and what it starts, for good. Needs no_new_privs."""
        self._install()


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def require_filter() -> None:
    """OSError where this kernel has no filters."""
    kernel.call("seccomp", SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(ctypes.c_uint32(KILL)))


def assemble(rules: Rules) -> Code:
    """The filter's instructions, 8 bytes each."""
    same_machine = (_load(ARCHITECTURE_AT), _jump(JUMP_EQUAL, ARCHITECTURES[kernel.MACHINE], 1, 0), _return(KILL))
    not_x32 = (_jump(JUMP_GREATER_OR_EQUAL, X32_BIT, 0, 1), _return(KILL)) if kernel.MACHINE == "x86_64" else ()
    return (*same_machine, _load(NUMBER_AT), *not_x32, *_Tree(_ranges(_actions(rules))).code)


def _actions(rules: Rules) -> dict[int, Code]:
    """Call number -> what to do; calls that aren't here are refused."""
    allowed = [*syscalls.HARMLESS, *(syscalls.WRITING if rules.write else ())]
    allowed += syscalls.PROCESSES if rules.signal_only is None else ()
    allowed += ("fork", "vfork") if rules.fork else ()
    allowed += ("execve", "execveat") if rules.execute else ()
    actions: dict[str, Code] = {name: (_return(ALLOW),) for name in allowed}
    if rules.signal_only is not None:
        actions["kill"] = actions["tgkill"] = _if_first_argument((rules.signal_only,), ALLOW, REFUSE)
        del actions["sendmsg"]  # it may name any socket on the disk as its addressee, out of a filter's sight
    actions["sendto"] = _NO_ADDRESS
    actions["clone"] = _clone_rule(rules.fork)
    actions["clone3"] = (_return(NOT_THERE),)  # its flags are out of a filter's sight; libraries fall back to clone
    actions["prlimit64"] = _if_first_argument((0,), ALLOW, REFUSE)  # limits of itself alone
    actions["prctl"] = _if_first_argument(HARMLESS_PRCTL, ALLOW, REFUSE)
    actions["ioctl"] = (_load(SECOND_ARGUMENT_AT), *_if_any(HARMLESS_IOCTL, ALLOW, REFUSE))
    actions["fcntl"] = (_load(SECOND_ARGUMENT_AT), *_if_any(HARMLESS_FCNTL, ALLOW, REFUSE))
    actions["mmap"] = _MAP_RULE
    actions["socketpair"] = _if_first_argument((AF_UNIX,), ALLOW, REFUSE)
    return {kernel.SYSCALLS[name]: code for name, code in actions.items() if name in kernel.SYSCALLS}


def _clone_rule(fork: bool) -> Code:
    """Threads, or processes as well, but never a namespace."""
    no_namespace = (_load(FIRST_ARGUMENT_AT), _jump(JUMP_IF_SET, NAMESPACES, 0, 1), _return(REFUSE))
    if fork:
        return (*no_namespace, _return(ALLOW))
    return (*no_namespace, _jump(JUMP_IF_SET, kernel.CLONE_THREAD, 1, 0), _return(REFUSE), _return(ALLOW))


def _if_first_argument(values: Sequence[int], then: int, otherwise: int) -> Code:
    return (_load(FIRST_ARGUMENT_AT), *_if_any(values, then, otherwise))


def _if_any(values: Sequence[int], then: int, otherwise: int) -> Code:
    tests = [instruction for value in values for instruction in (_jump(JUMP_EQUAL, value, 0, 1), _return(then))]
    return (*tests, _return(otherwise))


def _ranges(actions: dict[int, Code]) -> list[tuple[int, Code]]:
    """(first number, code) of each run of numbers that are treated alike, from 0 to the end."""
    ranges: list[tuple[int, Code]] = []
    for number in range(max(actions) + 2):
        code = actions.get(number, (_return(REFUSE),))
        if not ranges or ranges[-1][1] != code:
            ranges.append((number, code))
    return ranges


class _Tree:
    """Finds a call's range by bisection. Written from the end, because jumps lead forward only: what a range leads to
    is there once, and every place is known by how many instructions follow it."""

    def __init__(self, ranges: Sequence[tuple[int, Code]]) -> None:
        self._backwards: list[bytes] = []
        self._places: dict[Code, int] = {}
        self._place(ranges)
        self.code = tuple(reversed(self._backwards))

    def _place(self, ranges: Sequence[tuple[int, Code]]) -> int:
        if len(ranges) == 1:
            return self._place_once(ranges[0][1])
        middle = len(ranges) // 2
        above, below = self._place(ranges[middle:]), self._place(ranges[:middle])
        above, below = self._within_reach(above), self._within_reach(below)
        distances = (len(self._backwards) - place for place in (above, below))
        self._backwards.append(_jump(JUMP_GREATER_OR_EQUAL, ranges[middle][0], *distances))
        return len(self._backwards)

    def _place_once(self, code: Code) -> int:
        if code not in self._places:
            self._backwards += reversed(code)
            self._places[code] = len(self._backwards)
        return self._places[code]

    def _within_reach(self, place: int) -> int:
        """The place, or that of a jump to it: a conditional jump spans 255 instructions, this one any number."""
        if len(self._backwards) - place < FARTHEST:
            return place
        self._backwards.append(_jump(JUMP, len(self._backwards) - place, 0, 0))
        return len(self._backwards)


def _load(offset: int) -> bytes:
    return struct.pack("HBBI", LOAD, 0, 0, offset)


def _jump(operation: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("HBBI", operation, if_true, if_false, value)


def _return(action: int) -> bytes:
    return struct.pack("HBBI", RETURN, 0, 0, action)


_NO_ADDRESS = (
    _load(FIFTH_ARGUMENT_AT), _jump(JUMP_EQUAL, 0, 1, 0), _return(REFUSE),
    _load(FIFTH_ARGUMENT_AT + 4), _jump(JUMP_EQUAL, 0, 1, 0), _return(REFUSE), _return(ALLOW),
)  # fmt: skip
"""The address of `sendto` is null: it is what `send` is made of."""

_MAP_RULE = (
    _load(FOURTH_ARGUMENT_AT),
    _jump(JUMP_IF_SET, MAP_ANONYMOUS, 1, 0), _return(ALLOW),
    _jump(JUMP_IF_SET, MAP_SHARED, 1, 0), _return(ALLOW),
    _load(SECOND_ARGUMENT_AT + 4), _jump(JUMP_EQUAL, 0, 1, 0), _return(NO_MEMORY),
    _load(SECOND_ARGUMENT_AT), _jump(JUMP_GREATER_OR_EQUAL, PAGE_BYTES + 1, 0, 1), _return(NO_MEMORY), _return(ALLOW),
)  # fmt: skip
"""Shared memory of no file has at most a page: the kernel keeps all of it while one page is mapped, and limits miss that."""
