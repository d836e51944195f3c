"""The filter of system calls that a program runs under, assembled as classic BPF.

An allow-list: what isn't named gets EPERM; another architecture's calls (32-bit, x32) end the program. Calls that are
safe with some arguments only (clone, prctl, ...) have a rule each.
"""

from __future__ import annotations

import ctypes
import errno
import signal
import struct
from collections.abc import Sequence
from typing import NamedTuple

from open_r1.execution.sandbox.server import kernel

LOAD, JUMP_EQUAL, JUMP_GREATER_OR_EQUAL, JUMP_IF_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT = 0, 4
ALLOW, KILL = 0x7FFF0000, 0x80000000
DO_NOTHING = 0x00050000
REFUSE, NOT_THERE, NO_MEMORY = (DO_NOTHING | number for number in (errno.EPERM, errno.ENOSYS, errno.ENOMEM))
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
    """What a program may do beyond computing."""

    fork: bool = False
    """Start processes, not only threads."""
    execute: bool = False
    write: bool = True
    """Change names and attributes of files."""
    signal_only: int | None = None
    """The one process that may be signalled, where others could be named; None where none could."""


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def install(instructions: bytes) -> None:
    """Filter the calls of this thread and what it starts, for good. Needs no_new_privs."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.addressof(code))
    kernel.call("seccomp", SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(program))


def require_filter() -> None:
    """OSError where this kernel has no filters."""
    kernel.call("seccomp", SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(ctypes.c_uint32(KILL)))


def assemble(rules: Rules) -> bytes:
    """The filter's instructions, 8 bytes each: one comparison a call, and the call's rule right after it."""
    code = [_load(ARCHITECTURE_AT), _jump(JUMP_EQUAL, ARCHITECTURES[kernel.MACHINE], 1, 0), _return(KILL)]
    code.append(_load(NUMBER_AT))
    if kernel.MACHINE == "x86_64":
        code += _jump(JUMP_GREATER_OR_EQUAL, X32_BIT, 0, 1), _return(KILL)
    for number, rule in _actions(rules).items():
        code += _jump(JUMP_EQUAL, number, 0, len(rule)), *rule
    return b"".join([*code, _return(REFUSE)])


def _actions(rules: Rules) -> dict[int, Code]:
    """What to do, by a call's number; calls that aren't here are refused."""
    allowed = [*kernel.HARMLESS, *(kernel.WRITING if rules.write else ())]
    allowed += kernel.PROCESSES if rules.signal_only is None else ()
    allowed += ("fork", "vfork") if rules.fork else ()
    allowed += ("execve", "execveat") if rules.execute else ()
    actions: dict[str, Code] = {name: (_return(ALLOW),) for name in allowed}
    if rules.signal_only is not None:
        actions["kill"] = actions["tgkill"] = _only_if(0, (rules.signal_only,))
        del actions["sendmsg"]  # it may name any socket on the disk as its addressee, out of a filter's sight
    actions["sendto"] = _NO_ADDRESS
    actions["clone"] = _clone_rule(rules.fork)
    actions["clone3"] = (_return(NOT_THERE),)  # its flags are out of a filter's sight; libraries fall back to clone
    actions["prlimit64"] = _only_if(0, (0,))  # limits of itself alone
    actions["prctl"] = _only_if(0, HARMLESS_PRCTL)
    actions["ioctl"] = _only_if(1, HARMLESS_IOCTL)
    actions["fcntl"] = _only_if(1, HARMLESS_FCNTL)
    actions["socketpair"] = _only_if(0, (AF_UNIX,))
    actions["mmap"] = _MAP_RULE
    if rules.fork:  # seems to work and does nothing: the time of children whose end is ignored would not be counted
        actions["rt_sigaction"] = (
            _load_argument(0),
            _jump(JUMP_EQUAL, signal.SIGCHLD, 0, 1),
            _return(DO_NOTHING),
            _return(ALLOW),
        )
    return {kernel.SYSCALLS[name]: code for name, code in actions.items() if name in kernel.SYSCALLS}


def _clone_rule(fork: bool) -> Code:
    """Threads, or processes as well, but never a namespace."""
    no_namespace = (_load_argument(0), _jump(JUMP_IF_SET, NAMESPACES, 0, 1), _return(REFUSE))
    if fork:
        return (*no_namespace, _return(ALLOW))
    return (*no_namespace, _jump(JUMP_IF_SET, kernel.CLONE_THREAD, 1, 0), _return(REFUSE), _return(ALLOW))


def _only_if(argument: int, values: Sequence[int]) -> Code:
    """Allowed where an argument has one of some values."""
    tests = [instruction for value in values for instruction in (_jump(JUMP_EQUAL, value, 0, 1), _return(ALLOW))]
    return (_load_argument(argument), *tests, _return(REFUSE))


def _load_argument(number: int, half: int = 0) -> bytes:
    """The lower half of an argument, or the upper one."""
    return _load(16 + 8 * number + 4 * half)


def _load(offset: int) -> bytes:
    return struct.pack("HBBI", LOAD, 0, 0, offset)


def _jump(operation: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("HBBI", operation, if_true, if_false, value)


def _return(action: int) -> bytes:
    return struct.pack("HBBI", RETURN, 0, 0, action)


_NO_ADDRESS = (
    _load_argument(4), _jump(JUMP_EQUAL, 0, 1, 0), _return(REFUSE),
    _load_argument(4, 1), _jump(JUMP_EQUAL, 0, 1, 0), _return(REFUSE), _return(ALLOW),
)  # fmt: skip
"""The address of `sendto` is null: it is what `send` is made of."""

_MAP_RULE = (
    _load_argument(3),
    _jump(JUMP_IF_SET, MAP_ANONYMOUS, 1, 0), _return(ALLOW),
    _jump(JUMP_IF_SET, MAP_SHARED, 1, 0), _return(ALLOW),
    _load_argument(1, 1), _jump(JUMP_EQUAL, 0, 1, 0), _return(NO_MEMORY),
    _load_argument(1), _jump(JUMP_GREATER_OR_EQUAL, PAGE_BYTES + 1, 0, 1), _return(NO_MEMORY), _return(ALLOW),
)  # fmt: skip
"""Shared memory of no file has at most a page: the kernel keeps all of it while one page is mapped, and limits miss that."""
