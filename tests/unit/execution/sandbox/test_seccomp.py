"""The filter of system calls, run call by call through an interpreter of the kernel's instructions."""

from __future__ import annotations

import errno
import struct

import pytest

from open_r1.execution.sandbox.server import kernel, seccomp
from open_r1.execution.sandbox.server.seccomp import ALLOW, KILL, NOT_THERE, REFUSE, Rules

SELF = 4321
DANGEROUS = {
    "x86_64": """
        socket=41 ptrace=101 mount=165 chroot=161 bpf=321 keyctl=250 setns=308 unshare=272 memfd_create=319
        process_vm_readv=310 io_uring_setup=425 userfaultfd=323 perf_event_open=298 shmget=29 mq_open=240
        open_by_handle_at=304 pidfd_getfd=438 personality=135 setuid=105 mknod=133 setxattr=188
    """,
    "aarch64": """
        socket=198 ptrace=117 mount=40 chroot=51 bpf=280 keyctl=219 setns=268 unshare=97 memfd_create=279
        process_vm_readv=270 io_uring_setup=425 userfaultfd=282 perf_event_open=241 shmget=194 mq_open=180
        open_by_handle_at=265 pidfd_getfd=438 personality=92 setuid=146 mknodat=33 setxattr=5
    """,
}
"""Numbers from the kernel's tables, typed here by hand: what must be refused whatever ours say."""


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request, monkeypatch):
    monkeypatch.setattr(kernel, "MACHINE", request.param)
    monkeypatch.setattr(kernel, "SYSCALLS", kernel.NUMBERS[request.param])
    return request.param


def decide(rules: Rules, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the assembled filter does with a call."""
    if architecture is None:
        architecture = seccomp.ARCHITECTURES[kernel.MACHINE]
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    return interpret(seccomp.assemble(rules), struct.pack("=iIQ6Q", number, architecture, 0, *padded))


def interpret(instructions: bytes, data: bytes) -> int:
    """What a filter returns, by the kernel's rules for classic BPF."""
    code = list(struct.iter_unpack("HBBI", instructions))
    place, accumulator = 0, 0
    while True:
        operation, if_true, if_false, value = code[place]
        place += 1
        if operation == seccomp.LOAD:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif operation == seccomp.RETURN:
            return value
        else:
            test = {
                seccomp.JUMP_EQUAL: accumulator == value,
                seccomp.JUMP_GREATER_OR_EQUAL: accumulator >= value,
                seccomp.JUMP_IF_SET: bool(accumulator & value),
            }[operation]
            place += if_true if test else if_false


def test_every_number_is_decided_as_the_lists_say(machine):
    numbers = kernel.NUMBERS[machine]
    special = {"clone", "clone3", "prlimit64", "prctl", "ioctl", "fcntl", "socketpair", "mmap"}
    allowed = {*kernel.HARMLESS, *kernel.WRITING, *kernel.PROCESSES} - special
    expected = {numbers[name]: ALLOW for name in allowed if name in numbers}
    for number in range(600):
        if number not in {numbers[name] for name in special if name in numbers}:
            assert decide(Rules(), number) == expected.get(number, REFUSE), number


def test_dangerous_calls_are_refused_under_every_rule(machine):
    for rules in (Rules(), Rules(True, True), Rules(write=False, signal_only=SELF)):
        for call in DANGEROUS[machine].split():
            assert decide(rules, int(call.partition("=")[2])) == REFUSE, call


def test_threads_are_allowed_and_processes_only_by_rule(machine):
    clone = kernel.NUMBERS[machine]["clone"]
    thread, process = kernel.CLONE_THREAD | 0x100, 17
    assert decide(Rules(), clone, thread) == ALLOW
    assert decide(Rules(), clone, process) == REFUSE
    assert decide(Rules(fork=True), clone, process) == ALLOW
    for namespace in (kernel.CLONE_NEWUSER, kernel.CLONE_NEWPID, kernel.CLONE_NEWNS, kernel.CLONE_NEWNET):
        assert decide(Rules(fork=True), clone, namespace | process) == REFUSE
    assert decide(Rules(fork=True), kernel.NUMBERS[machine]["clone3"]) == NOT_THERE
    assert NOT_THERE & 0xFFFF == errno.ENOSYS


def test_programs_are_started_only_by_rule(machine):
    execve = kernel.NUMBERS[machine]["execve"]
    assert decide(Rules(), execve) == REFUSE
    assert decide(Rules(execute=True), execve) == ALLOW


def test_signals_reach_one_process_alone_where_others_could_be_named(machine):
    kill = kernel.NUMBERS[machine]["kill"]
    rules = Rules(write=False, signal_only=SELF)
    assert decide(rules, kill, SELF) == ALLOW
    assert decide(rules, kill, SELF + 1) == REFUSE
    assert decide(rules, kill, (-1) & 0xFFFFFFFF) == REFUSE
    assert decide(rules, kernel.NUMBERS[machine]["unlinkat"]) == REFUSE


def test_limits_and_controls_are_filtered_by_argument(machine):
    numbers = kernel.NUMBERS[machine]
    assert decide(Rules(), numbers["prlimit64"], 0) == ALLOW
    assert decide(Rules(), numbers["prlimit64"], 1) == REFUSE
    assert decide(Rules(), numbers["prctl"], 15) == ALLOW  # PR_SET_NAME
    assert decide(Rules(), numbers["prctl"], 4) == REFUSE  # PR_SET_DUMPABLE
    assert decide(Rules(), numbers["ioctl"], 0, 0x5401) == ALLOW  # TCGETS
    assert decide(Rules(), numbers["ioctl"], 0, 0x541B) == ALLOW  # FIONREAD
    for command in (0x5412, 0x541C, 0x5414, 0x40086602, 0):  # TIOCSTI, TIOCLINUX, TIOCSWINSZ, FS_IOC_SETFLAGS
        assert decide(Rules(), numbers["ioctl"], 0, command) == REFUSE
    for command in (0, 7, 36, 1030):  # F_DUPFD, F_SETLKW, F_OFD_GETLK, F_DUPFD_CLOEXEC
        assert decide(Rules(), numbers["fcntl"], 0, command) == ALLOW
    for command in (8, 10, 15, 1024, 1026):  # F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY
        assert decide(Rules(), numbers["fcntl"], 0, command) == REFUSE
    assert decide(Rules(), numbers["socketpair"], 1) == ALLOW  # AF_UNIX
    for family in (2, 16, 30, 40):  # AF_INET, AF_NETLINK, AF_TIPC, AF_VSOCK
        assert decide(Rules(), numbers["socketpair"], family) == REFUSE


@pytest.mark.parametrize(
    ("flags", "length", "allowed"),
    [
        (0x22, 1 << 30, True),  # private, of no file
        (0x01, 1 << 30, True),  # shared, of a file
        (0x21, 4096, True),
        (0x21, 4097, False),
        (0x23, 8192, False),  # MAP_SHARED_VALIDATE
        (0x21 | 0x4000, 8192, False),
        (0x21, 1 << 32, False),
        (0x21 | 1 << 32, 8192, False),
    ],
)
def test_shared_memory_of_no_file_has_at_most_a_page(machine, flags, length, allowed):
    decided = decide(Rules(), kernel.NUMBERS[machine]["mmap"], 0, length, 3, flags, 0xFFFFFFFF)
    assert decided == (ALLOW if allowed else 0x00050000 | errno.ENOMEM)


def test_calls_of_another_architecture_end_the_program(machine):
    assert decide(Rules(), 0, architecture=0x40000003) == KILL  # i386
    if machine == "x86_64":
        assert decide(Rules(), 0x40000000 | 1) == KILL  # x32
        assert decide(Rules(), 0xFFFFFFFF - (1 << 32)) == KILL
