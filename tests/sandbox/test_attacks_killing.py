"""Attacks: ending the server, the grader, or a neighbour. What is killed must not be what counts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks import ROOMY, Box, World, describe, program_text, run_outside
from probing import LIBC, call, ctypes, sleeping_child, struct
from processes import family

from open_r1.execution.programs import Execution, Limits, Program, Status

NOBODY = 65534
UNUSED_USERS = range(60578, 61184)
"""Between the users that systemd maps homes to and its dynamic ones; 65534 is `nobody`, as whom services run."""
BRIEF = Limits(wall_s=5, cpu_s=5)


def send_signals(pids, first):
    """Every signal to every process that can be thought of, by every call that sends one; the deadliest last."""
    import signal
    import threading

    numbers = [number for number in range(1, 65) if number not in (9, 19)] + [19, 9]
    for number in numbers:  # its own process is among those meant: let as much as can be pass by
        if number in signal.valid_signals() - {9, 19, signal.SIGCHLD}:
            signal.signal(number, signal.SIG_IGN)
    sent = []
    for number in numbers[first:]:
        for pid in pids:
            for send in (
                lambda pid, number: os.kill(pid, number),
                lambda pid, number: call("tkill", pid, number),
                lambda pid, number: call("tgkill", pid, pid, number),
                lambda pid, number: call("rt_sigqueueinfo", pid, number, struct.pack("iii116x", number, 0, -1)),
                lambda pid, number: call("pidfd_send_signal", call("pidfd_open", pid, 0), number, 0, 0),
            ):
                if pid == os.getpid() or pid == threading.get_native_id():
                    continue
                try:
                    send(pid, number)
                    sent.append((pid, number))
                except OSError:
                    continue
    return sent


def signal_by_ownership(pids, number):
    """Have the kernel send it: the owner of a descriptor is told of input, by a signal of choice."""
    import fcntl
    import socket

    sent = []
    for pid in pids:
        for option in (fcntl.F_SETOWN, 15):
            ours, theirs = socket.socketpair()
            try:
                fcntl.fcntl(ours, 10, number)
                owner = pid if option == fcntl.F_SETOWN else struct.pack("ii", 1, pid)
                if pid:
                    fcntl.fcntl(ours, option, owner)
                fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC)
                theirs.send(b"x")
                sent.append(pid)
            except OSError:
                continue
    return sent


def signal_by_timer(pids, number):
    """A timer's signal goes to a thread that its maker names."""
    sent = []
    for pid in pids:
        event = struct.pack("qiii44x", 0, number, 4, pid)
        timer = ctypes.c_int()
        try:
            call("timer_create", 1, event, ctypes.byref(timer))
            call("timer_settime", timer.value, 0, struct.pack("qqqq", 0, 0, 0, 1000), 0)
            sent.append(pid)
        except OSError:
            continue
    LIBC.usleep(50_000)
    return sent


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process outside, of the same user as the box's programs are for the kernel."""
    process = subprocess.Popen(["sleep", "600"], user=NOBODY if os.getuid() == 0 else None)
    yield process
    process.kill()
    process.wait()


def assert_tried(ran: Execution) -> None:
    """The probe came to its end, whether it could send or not, or to its own."""
    was_ended = ran.status is Status.TIME_LIMIT or (ran.exit_code or 0) < 0
    assert was_ended or ran.stdout.startswith((b"blocked", b"ESCAPED")), describe(ran)


def servers_of(box: Box) -> set[int]:
    box.expect_clean()
    return {process.pid for process in family(os.getpid()) if process.name.startswith("python")}


@pytest.mark.parametrize("first", [0, -2, -1], ids=["all", "stop_and_kill", "kill"])
def test_signals_reach_nobody_else(box: Box, world: World, victim: subprocess.Popen[bytes], first: int) -> None:
    servers = servers_of(box)
    targets = [
        world.grader_pid,
        world.sleeper_pid,
        victim.pid,
        *servers,
        -victim.pid,
        -world.grader_pid,
        -1,
        0,
        1,
        2,
        3,
    ]
    for pids in ([target for target in targets if target not in (0, -1)], [-1, 0]):
        assert_tried(box.probe(send_signals, pids, first, limits=BRIEF))
    assert victim.poll() is None
    assert servers_of(box) == servers


@pytest.mark.parametrize("how", [signal_by_ownership, signal_by_timer])
def test_the_kernel_sends_no_signal_for_a_program(
    box: Box, world: World, victim: subprocess.Popen[bytes], how
) -> None:
    servers = servers_of(box)
    assert_tried(box.probe(how, [world.grader_pid, victim.pid, *servers, 1, 2, 3], int(signal.SIGKILL), limits=BRIEF))
    time.sleep(0.1)
    assert victim.poll() is None
    assert servers_of(box) == servers


def be_signalled(_how):
    """Both ways of sending, to a child of one's own."""
    ended = []
    for send in (send_signals, signal_by_ownership):
        child = sleeping_child()
        send([child], -1 if send is send_signals else 9)
        _, status = os.waitpid(child, 0)
        ended += [send.__name__] if os.WIFSIGNALED(status) else []
    return ended


def test_outside_the_same_signals_arrive() -> None:
    text = program_text(send_signals, signal_by_ownership, be_signalled) + "\nreport(be_signalled, 0)\n"
    assert "ESCAPED: ['send_signals', 'signal_by_ownership']" in run_outside(text)


FROM_C = """
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    int targets[] = {1, -1, 0, 2, 3, getppid()};
    setvbuf(stdout, 0, _IONBF, 0);
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    for (int number = 1; number < 65; number++)
        for (int i = 0; i < 6; i++) {
            if (number == SIGSTOP || (number == SIGKILL && targets[i] != 1)) continue;
            if (targets[i] != 1 && (number == 32 || number == 33)) continue; /* the C library's, not to be ignored */
            kill(targets[i], number);
            syscall(SYS_tkill, targets[i], number);
            syscall(SYS_tgkill, targets[i], targets[i], number);
        }
    usleep(100000);
    puts("still here");
    return 7;
}
"""
FROM_BASH = """
trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE CHLD CONT TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS
for signal in HUP INT QUIT ILL TRAP ABRT BUS FPE USR1 SEGV USR2 PIPE ALRM TERM CHLD CONT TSTP TTIN TTOU URG IO PWR SYS 34 64
do kill -$signal 1 2>/dev/null; kill -$signal $PPID 2>/dev/null; done
kill -KILL 1; kill -STOP 1; kill -STOP $PPID; kill -KILL $PPID
sleep 0.1
echo still here
exit 7
"""


@pytest.mark.parametrize(("language", "source"), [("c", FROM_C), ("bash", FROM_BASH)], ids=["c", "bash"])
def test_the_first_process_of_the_box_takes_no_signal(box_a: Box, language: str, source: str) -> None:
    """It tells how the program ended: were it ended by the program, the sample would go unscored."""
    servers = servers_of(box_a)
    ran = box_a.run(source, language=language, limits=BRIEF)
    assert (ran.status, ran.exit_code, ran.stdout) == (Status.FINISHED, 7, b"still here\n"), describe(ran)
    assert servers_of(box_a) == servers


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP, signal.SIGSEGV])
@pytest.mark.parametrize("language", ["python", "c", "bash"])
def test_a_signal_to_itself_is_the_programs_own_end(box_a: Box, language: str, number: signal.Signals) -> None:
    """Finished, or out of time where it stopped; never the sandbox's failure."""
    source = {
        "python": f"import os\nos.kill(os.getpid(), {int(number)})\nimport time; time.sleep(30)",
        "c": f"#include <signal.h>\n#include <unistd.h>\nint main(void) {{ raise({int(number)}); sleep(30); }}",
        "bash": f"kill -{int(number)} $$; sleep 30",
    }[language]
    ran = box_a.run(source, language=language, limits=Limits(wall_s=2, cpu_s=2))
    assert ran.status in (Status.FINISHED, Status.TIME_LIMIT), describe(ran)
    assert not ran.succeeded


VICTIM = "import time\nfor step in range(30):\n    time.sleep(0.1)\nprint('whole')"
KILLER = """
import os, signal, time
end = time.monotonic() + 2
while time.monotonic() < end:
    for target in (-1, 0, *range(1, 300), os.getppid()):
        for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
            if target in (os.getpid(), 0, -1) and number != signal.SIGWINCH and os.getpid() != 1:
                continue
            try: os.kill(target, number)
            except OSError: pass
"""


def test_a_neighbour_is_left_alone(two_workers: Box) -> None:
    programs = [Program(VICTIM, limits=ROOMY), Program(KILLER, limits=ROOMY)]
    victim, killer = two_workers.provider.run(programs)
    assert victim.stdout == b"whole\n", describe(victim)
    assert killer.status is not Status.UNAVAILABLE, describe(killer)


FORGERS = {
    "writes_to_all": "import os\nfor d in range(3, 4096):\n    for text in (b'E', b'S0', b'{\"exit_code\": 0}'):\n"
    "        try: os.write(d, text)\n        except OSError: pass\nprint('done'); raise SystemExit(3)",
    "copies_streams_to_all": "import os\nfor d in range(3, 60):\n    os.dup2(1, d)\nprint('done'); raise SystemExit(3)",
    "closes_all": "import os\nos.write(1, b'done\\n')\nos.closerange(0, 65536)\nos._exit(3)",
    "closes_standard_ones": "import os\nos.write(1, b'done\\n')\nfor d in (0, 1, 2): os.close(d)\nos._exit(3)",
    "sends_descriptors": "import socket, os\na, b = socket.socketpair()\ntry:\n    for d in (0, 1, 2):\n"
    "        socket.send_fds(a, [b'x'], [d])\nexcept OSError: pass\nprint('done', flush=True); os._exit(3)",
    "shrinks_the_pipe": "import fcntl, os\nfcntl.fcntl(1, 1031, 4096)\nprint('done'); raise SystemExit(3)",
    "makes_streams_block": "import os\nfor d in (0, 1, 2): os.set_blocking(d, False)\nprint('done'); raise SystemExit(3)",
    "seeks_its_input": "import os\nos.lseek(0, 1 << 40, 0)\nprint('done'); raise SystemExit(3)",
    "exits_127": "import os\nos.write(1, b'done\\n')\nos.write(2, b'EOSError: unshare failed')\nos._exit(3)",
}  # fmt: skip


@pytest.mark.parametrize("how", FORGERS)
def test_the_servers_words_are_not_forged(box: Box, how: str) -> None:
    ran = box.run(FORGERS[how], stdin=b"x" * 100)
    assert (ran.status, ran.exit_code, ran.stdout) == (Status.FINISHED, 3, b"done\n"), describe(ran)


@pytest.mark.parametrize("which", ["first", "server"])
def test_a_server_that_dies_costs_its_own_program_alone(two_workers: Box, which: str) -> None:
    """Killed from outside while both are at work: one sample at most goes unscored, and the next job finds a new server."""
    others = {process.pid for process in family(os.getpid())}
    two_workers.provider.run([Program("import time\ntime.sleep(0.2)", limits=ROOMY)] * 4)
    slow = [Program(f"import time\ntime.sleep(2)\nprint({number})", limits=ROOMY) for number in range(4)]
    running = [two_workers.provider.submit(program) for program in slow]
    time.sleep(0.7)
    servers = [
        process for process in family(os.getpid()) if process.parent == os.getpid() and process.pid not in others
    ]
    assert len(servers) == 2
    below = [process for process in family(servers[0].pid) if family(process.pid)] or servers
    os.kill((servers if which == "first" else below)[0].pid, signal.SIGKILL)
    ended = [future.result(timeout=120) for future in running]
    unscored = [ran for ran in ended if ran.status is Status.UNAVAILABLE]
    right = [ran for number, ran in enumerate(ended) if ran.stdout == f"{number}\n".encode() and ran.succeeded]
    assert len(unscored) <= 1 and len(unscored) + len(right) == 4, [describe(ran) for ran in ended]
    for _ in range(4):
        two_workers.expect_clean()


def test_the_kernel_says_that_a_program_has_no_rights(box: Box) -> None:
    """Its status as /proc shows it outside: no capability, no new privileges, a filter, not root."""
    box.expect_clean()
    before = {process.pid for process in family(os.getpid())}
    running = box.provider.submit(Program("import time\ntime.sleep(1.5)\nprint('done')", limits=ROOMY))
    time.sleep(0.7)
    (program,) = [process for process in family(os.getpid()) if process.pid not in before]
    text = Path(f"/proc/{program.pid}/status").read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert running.result().stdout == b"done\n"
    rights = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    if box.tier == "B":
        rights.pop("CapBnd")
    assert not any(rights.values()), rights
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    if os.getuid() == 0:
        assert not status["Groups"].split() or status["Groups"].split() == status["Gid"].split()[:1]
        assert {int(word) for word in status["Uid"].split()} < set(UNUSED_USERS)


def test_the_kernel_says_otherwise_of_others() -> None:
    ran = run_outside("print(open('/proc/self/status').read())")
    assert "Seccomp:\t0" in ran or "NoNewPrivs:\t0" in ran, "this very test runs in a sandbox like ours"
