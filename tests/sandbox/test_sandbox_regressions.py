"""Faults that the local sandbox once had, each with the smallest program that showed it."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from open_r1.errors import ConfigError
from open_r1.execution.programs import Limits, Program, Status
from open_r1.execution.sandbox import tiers, worker
from open_r1.execution.sandbox.local import LocalProvider

OPEN_DESCRIPTORS = """
import os
def is_open(n):
    try: os.fstat(n)
    except OSError: return False
    return True
print([n for n in range(3, 4096) if is_open(n)])
"""

HOLD_DESCRIPTORS_UNDER_WAY = """
import os, socket
a, b = socket.socketpair()
mine, other = a.fileno(), b.fileno()
a.detach(); b.detach()
for end, others in ((mine, 58), (other, 250)):
    try: socket.send_fds(socket.socket(fileno=os.dup(end)), [b'x'], [mine, other] + [0] * others)
    except OSError: pass
os._exit(0)
"""

FILL_THE_DISK_WITHOUT_A_NAME = """
import os, socket
full = os.open('/box', os.O_TMPFILE | os.O_RDWR, 0o600)
try:
    while True: os.write(full, bytes(1 << 16))
except OSError: pass
a, b = socket.socketpair()
ends = [a.fileno(), b.fileno(), full]
for end in (a, b): socket.send_fds(end, [b'x'], ends); end.detach()
os._exit(0)
"""

KEEPS_ITS_PRINTS = {
    "a stream in place of stdout": "import io, sys\nprint('a')\nsys.stdout = io.StringIO()",
    "no stdout at all": "import sys\nprint('a')\nsys.stdout = None",
    "stdout closed": "import sys\nprint('a')\nsys.stdout.close()",
    "a file of its own, left open": "import os\nout = os.fdopen(1, 'w')\nout.write('a\\n')",
    "a callback of threading's": "import threading\nthreading._register_atexit(print, 'a')",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalProvider]:
    with LocalProvider(workers=1) as provider:
        try:
            provider.check()
        except ConfigError as error:
            pytest.skip(f"NO SANDBOX HERE: {error}")
        yield provider


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """A trainer that has so many files open that all further ones have numbers above 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    yield
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("tier", tiers.TIERS)
@pytest.mark.usefixtures("many_descriptors")
def test_a_job_gets_no_descriptor_of_the_servers_however_many_the_trainer_has(tier: str) -> None:
    if obstacle := tiers.why_not(tier):
        pytest.skip(f"SANDBOX TIER {tier} UNTESTED: {obstacle}")
    with LocalProvider(workers=1, tier=tier) as sandbox:
        for _ in range(2):
            assert sandbox.execute(Program(OPEN_DESCRIPTORS)).stdout == b"[]\n"


def test_descriptors_that_a_job_left_under_way_cost_no_other_job(sandbox: LocalProvider) -> None:
    for number in range(2):
        sandbox.execute(Program(HOLD_DESCRIPTORS_UNDER_WAY))
        source = f'#include <cstdio>\nint main() {{ puts("{number}"); }}'
        compiled = sandbox.execute(Program(source, "cpp"))
        if compiled.reason == "unsupported_language":
            pytest.skip("NO COMPILER HERE")
        assert compiled.stdout == b"%d\n" % number, compiled


def test_a_nameless_file_takes_no_room_from_the_next_job(sandbox: LocalProvider) -> None:
    if sandbox.tier != "A":
        pytest.skip("only tier A has a folder")
    for _ in range(3):
        sandbox.execute(Program(FILL_THE_DISK_WITHOUT_A_NAME))
        wrote = sandbox.execute(Program("print(open('x', 'wb').write(bytes(30 << 20)) >> 20)"))
        assert wrote.stdout == b"30\n", wrote


class Word(StrEnum):
    A = "a"


@pytest.mark.parametrize("word", [np.str_("a"), Word.A, "a"])
def test_arguments_and_limits_of_kinds_that_are_nearly_plain_arrive(sandbox: LocalProvider, word: str) -> None:
    limits = Limits(wall_s=np.float64(3), cpu_s=np.float64(3), memory_mb=np.int64(256))  # type: ignore[arg-type]
    ran = sandbox.execute(Program("import sys; print(sys.argv[1:])", args=(word,), limits=limits))
    assert ran.stdout == b"['a']\n"


def test_the_command_of_the_server_is_not_shown_as_that_of_the_program(sandbox: LocalProvider) -> None:
    ran = sandbox.execute(Program("import sys; print(sys.orig_argv)", args=("word",)))
    assert ran.stdout == b"['python3', 'main.py', 'word']\n"


@pytest.mark.parametrize("limits", [Limits(wall_s=1e30), Limits(cpu_s=1e30), Limits(wall_s=float("nan"))])
def test_limits_beyond_all_sense_are_refused(sandbox: LocalProvider, limits: Limits) -> None:
    assert sandbox.execute(Program("print(1)", limits=limits)).reason == "bad_request"


def test_a_program_has_no_future_that_it_did_not_import(sandbox: LocalProvider) -> None:
    ran = sandbox.execute(Program("def f(x: List[int]): pass"))
    assert ran.exit_code == 1 and b"NameError" in ran.stderr


def test_input_is_read_as_it_is(sandbox: LocalProvider) -> None:
    ran = sandbox.execute(Program("print(repr(input()))", stdin=b"YES\r\n"))
    assert ran.stdout == b"'YES\\r'\n"


@pytest.mark.parametrize("name", KEEPS_ITS_PRINTS)
def test_what_was_printed_comes_out_whatever_became_of_the_stream(sandbox: LocalProvider, name: str) -> None:
    ran = sandbox.execute(Program(KEEPS_ITS_PRINTS[name]))
    assert (ran.stdout, ran.exit_code) == (b"a\n", 0), ran


def test_an_exit_status_that_fits_no_number_is_a_failure(sandbox: LocalProvider) -> None:
    assert sandbox.execute(Program("raise SystemExit(2 ** 70)")).exit_code == 255


def test_bash_is_not_stopped_for_good(sandbox: LocalProvider) -> None:
    ran = sandbox.execute(Program("echo a; kill -TSTP $$; echo b", "bash", limits=Limits(wall_s=3)))
    if ran.reason == "unsupported_language":
        pytest.skip("NO BASH HERE")
    assert (ran.status, ran.stdout) == (Status.FINISHED, b"a\nb\n")


def test_after_an_interruption_the_next_job_gets_its_own_answer(
    sandbox: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(worker.Worker, "_watch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sandbox.execute(Program("import time; time.sleep(0.2); print('late')"))
    assert sandbox.execute(Program("print('mine')")).stdout == b"mine\n"


def test_a_send_that_fails_leaves_no_descriptor(sandbox: LocalProvider) -> None:
    sandbox.execute(Program("print(1)"))
    before = None
    for _ in range(3):
        (server,) = (found.pid for found in sandbox._workers_made)
        assert server is not None
        os.kill(server, signal.SIGKILL)
        time.sleep(0.2)
        assert sandbox.execute(Program("print(1)")).stdout == b"1\n"  # lost, and run again
        now = len(os.listdir("/proc/self/fd"))
        assert before in (None, now)
        before = now


def test_a_fork_of_the_trainer_waits_for_no_lock_of_another_thread(sandbox: LocalProvider) -> None:
    sandbox.execute(Program("print(1)"))
    assert sandbox._idle is not None
    held, done = threading.Event(), threading.Event()

    def hold(lock: threading.Lock) -> None:
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold, args=(sandbox._idle.mutex,))
    thread.start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    deadline = time.monotonic() + 10
    while (ended := os.waitpid(pid, os.WNOHANG)[0]) == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    done.set()
    thread.join()
    if not ended:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert ended == pid


def test_a_job_ends_with_its_server_in_tier_b() -> None:
    if obstacle := tiers.why_not("B"):
        pytest.skip(f"SANDBOX TIER B UNTESTED: {obstacle}")
    with LocalProvider(workers=1, tier="B") as sandbox:
        sandbox.execute(Program("print(1)"))
        (server,) = (found.pid for found in sandbox._workers_made)
        assert server is not None
        job = sandbox.submit(Program("import time; time.sleep(60)", limits=Limits(wall_s=8)))
        child = wait_for_child(server)
        os.kill(server, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{child}").exists()
        assert job.result().status is Status.TIME_LIMIT  # lost, and run again


def test_a_job_whose_server_ended_before_it_was_locked_down_ends_too() -> None:
    from open_r1.execution.sandbox.server.main import TierB

    reader, writer = os.pipe()
    server = os.fork()
    if not server:
        tier = object.__new__(TierB)
        tier._server, tier._readable = os.getpid(), []
        if not os.fork():  # the job
            while os.getppid() == tier._server:
                time.sleep(0.01)
            try:
                tier.lock_down(SimpleNamespace(argv=()))  # pyright: ignore
                os.write(writer, b"runs")
            finally:
                os._exit(0)
        os._exit(0)
    os.close(writer)
    os.waitpid(server, 0)
    with open(reader, "rb") as pipe:
        assert pipe.read() == b""


def wait_for_child(parent: int) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.02)
    raise AssertionError("no job was started")
