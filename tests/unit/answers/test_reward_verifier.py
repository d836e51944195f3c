"""The verifier: limits that hold, results in order, the same from everywhere."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from open_r1.answers.check import check_answer, settle_pairs
from open_r1.answers.verifier import Pair, Verifier
from open_r1.errors import RunError
from open_r1.processes.pool import JobOutcome
from open_r1.rewards import accuracy_reward, get_accuracy_reward

LIMIT_S = 1.0
BUSY = 20
"""A limit of processor time may take so many times longer on a machine that others use too."""
SLOW_CHECKER = "slow_checker:check"


@pytest.fixture
def slow_verifier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Verifier]:
    """A verifier whose checker misbehaves as the answer tells it to."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    verifier = Verifier(workers=2, limit_s=LIMIT_S, checker=SLOW_CHECKER)
    verifier.check([Pair("warm", "up")])
    yield verifier
    verifier.close()


@pytest.mark.parametrize("trouble", ["sleep", "hang in C", "ignore signals"])
def test_a_check_that_hangs_is_killed_at_its_limit(slow_verifier, trouble):
    started = time.monotonic()
    assert slow_verifier.check([Pair("a", trouble), Pair("a", "a")]) == ["timeout", "correct"]
    assert time.monotonic() - started < BUSY * LIMIT_S


def test_slow_pairs_have_the_same_verdicts_together_as_alone(slow_verifier):
    """The limit is processor time: on a machine that is shared with others a pair takes longer, not more."""
    pairs = [Pair(str(number), "compute 0.5") for number in range(4)]
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        assert slow_verifier.check(pairs) == ["wrong"] * 4
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.parametrize("trouble", ["die", "abort", "eat memory"])
def test_a_worker_that_dies_costs_only_its_pair(slow_verifier, trouble):
    assert slow_verifier.check([Pair("a", trouble), Pair("a", "a"), Pair("a", "b")]) == ["error", "correct", "wrong"]


def test_verdicts_come_in_order_and_hangs_don_t_hold_up_the_rest(slow_verifier):
    hangs = [Pair(str(number), "sleep") for number in range(4)]
    others = [Pair(str(number % 7), str(number % 5)) for number in range(300)]
    started = time.monotonic()
    verdicts = slow_verifier.check([*hangs, *others])
    assert time.monotonic() - started < len(hangs) / 2 * BUSY * LIMIT_S
    assert verdicts[:4] == ["timeout"] * 4
    assert verdicts[4:] == ["correct" if pair.gold == pair.answer else "wrong" for pair in others]


def test_equal_pairs_are_checked_once(slow_verifier):
    started = time.monotonic()
    assert slow_verifier.check([Pair("a", "pause 0.3")] * 50) == ["wrong"] * 50
    assert time.monotonic() - started < 5


def test_output_of_a_library_does_not_come_between(slow_verifier):
    assert slow_verifier.check([Pair("a", "print"), Pair("a", "a")]) == ["correct", "correct"]


def test_a_lost_server_is_started_again(slow_verifier):
    os.kill(slow_verifier.pool.server.process.pid, signal.SIGKILL)
    assert slow_verifier.check([Pair("a", "a"), Pair("a", "b")]) == ["correct", "wrong"]


def test_a_server_that_is_interrupted_is_ended_at_once_and_its_verdicts_are_never_read(slow_verifier):
    process = slow_verifier.pool.server.process
    with pytest.raises(KeyboardInterrupt), _interruption(0.3):
        slow_verifier.check([Pair("a", "pause 0.6"), Pair("b", "b"), Pair("c", "sleep")])
    assert process.returncode == -signal.SIGKILL
    for _ in range(3):
        assert slow_verifier.check([Pair("a", "b")]) == ["wrong"]
        assert slow_verifier.check([Pair("a", "a")]) == ["correct"]


def test_a_server_that_is_interrupted_while_it_starts_leaves_nothing_running(monkeypatch):
    started: list[subprocess.Popen] = []
    start = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *words, **options: started.append(start(*words, **options)) or started[-1]
    )
    verifier = Verifier(workers=1)
    with pytest.raises(KeyboardInterrupt), _interruption(0.05):
        verifier.check([Pair("a", "a")])
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_rewards_are_right_after_a_step_was_interrupted(slow_verifier):
    reward = get_accuracy_reward(slow_verifier)
    with pytest.raises(KeyboardInterrupt), _interruption(0.3):
        reward([r"\boxed{pause 0.6}", r"\boxed{b}"], solution=[r"\sum_a b"] * 2)
    for number in range(2, 5):
        assert reward([rf"\boxed{{{number}}}"], solution=[r"\sum_a b"]) == [0.0]
        assert reward([rf"\boxed{{\sum_a{number}}}"], solution=[rf"\sum_a {number}"]) == [1.0]


def test_a_pair_that_another_reward_asked_about_is_not_checked_again(slow_verifier):
    pairs = [Pair("a", "sleep"), Pair("a", "a"), Pair("a", "b")]
    assert slow_verifier.check(pairs) == ["timeout", "correct", "wrong"]
    started = time.monotonic()
    assert slow_verifier.check([*pairs[::-1], Pair("b", "b")]) == ["wrong", "correct", "timeout", "correct"]
    assert time.monotonic() - started < LIMIT_S / 2


def test_an_ordered_pair_is_another_pair(slow_verifier):
    slow_verifier._last = {Pair("a", "a"): "timeout"}
    assert slow_verifier.check([Pair("a", "a", ordered=True), Pair("a", "a")]) == ["correct", "timeout"]


def test_an_error_is_not_remembered(slow_verifier, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(slow_verifier.pool, "map", lambda pairs, ahead: [JobOutcome("died") for _ in pairs])
        assert slow_verifier.check([Pair("a", "a")]) == ["error"]
    assert slow_verifier.check([Pair("a", "a")]) == ["correct"]


def test_close_ends_the_server_and_the_next_check_starts_one(slow_verifier):
    process = slow_verifier.pool.server.process
    slow_verifier.close()
    assert process.poll() is not None
    assert slow_verifier.check([Pair("a", "a")]) == ["correct"]


def test_a_checker_that_is_not_there_is_an_error_with_a_remedy():
    with pytest.raises(RunError, match="could not be started"):
        Verifier(workers=1, checker="no_such_module:check").check([Pair("a", "b")])


PAIRS = [Pair("x+1", "1+x"), Pair("x+1", "x-1"), Pair(r"\sqrt{12}", r"2\sqrt{3}"), Pair("5", r"\frac{5}")]
VERDICTS = ["correct", "wrong", "correct", "unparsable_answer"]


def test_pairs_get_their_verdicts(verifier):
    assert verifier.check(PAIRS) == VERDICTS


def test_the_same_from_many_threads(verifier):
    results: list[list[str]] = []

    def check(number: int) -> None:
        pairs = [Pair(f"z+{number}", f"{number}+z"), Pair(f"z+{number}", f"z-{number}")]  # of each thread its own
        results.append(verifier.check([*pairs, *PAIRS]))

    threads = [threading.Thread(target=check, args=(number,)) for number in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [["correct", "wrong", *VERDICTS]] * 4


def test_the_same_inside_an_event_loop(verifier):
    async def check() -> list[str]:
        return verifier.check([Pair("w+2", "2+w"), *PAIRS])

    assert asyncio.run(check()) == ["correct", *VERDICTS]


def _check_in_child(connection) -> None:
    connection.send(accuracy_reward([r"\boxed{1+x}", r"\boxed{x-1}"], ["x+1", "x+1"]))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_same_in_a_child_process(method):
    assert accuracy_reward([r"\boxed{1+x}"], ["x+1"]) == [1.0]  # the parent's server is running
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    child = context.Process(target=_check_in_child, args=(theirs,), daemon=True)
    child.start()
    assert ours.poll(60)
    assert ours.recv() == [1.0, 0.0]
    child.join(30)
    assert child.exitcode == 0
    assert accuracy_reward([r"\boxed{x+1+0}"], ["x+1"]) == [1.0]


def test_the_same_with_torch_s_threads_running():
    pytest.importorskip("torch")
    script = """
        import torch
        torch.set_num_threads(2)
        from open_r1.rewards import accuracy_reward
        assert accuracy_reward([r"\\boxed{1+x}"], ["x+1"]) == [1.0]
        torch.randn(300, 300).mm(torch.eye(300))
        print("fine")
    """
    assert _run(script) == "fine"


def test_nothing_is_left_running_when_the_process_ends():
    script = """
        from open_r1.answers.verifier import Pair, Verifier
        verifier = Verifier(workers=2)
        verifier.check([Pair("x+1", "1+x")])
        print(verifier.pool.server.process.pid)
    """
    pid = int(_run(script))
    assert _ends(pid)


def test_nothing_is_left_running_when_the_process_is_killed():
    script = """
        import os, signal
        from open_r1.answers.verifier import Pair, Verifier
        verifier = Verifier(workers=2)
        verifier.check([Pair("x+1", "1+x")])
        print(verifier.pool.server.process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert _ends(int(_run(script)))


def test_plain_answers_start_no_process_and_import_no_sympy():
    script = """
        import sys
        from open_r1.rewards import accuracy_reward
        from open_r1.answers.verifier import default_verifier
        golds = ["12", "Thu", "3, 7, 12", "-4"] * 3
        answers = ["12", "Thu", "3, 7, 12", "-4", "13", "Fri", "3 7 12", "x = 4", "7+", "Thu Thu", "3, 7", "2x + 3 = 5"]
        values = accuracy_reward([f"<answer>\\\\boxed{{{answer}}}</answer>" for answer in answers], golds)
        assert values == [1.0] * 4 + [0.0] * 8, values
        assert default_verifier().pool.server is None
        heavy = {"sympy", "math_verify", "torch", "transformers", "trl", "datasets", "numpy"} & set(sys.modules)
        assert not heavy, heavy
        print("light")
    """
    assert _run(script) == "light"


def test_the_cores_are_shared_out_among_the_processes_of_a_machine(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert Verifier().workers == 1


@pytest.mark.parametrize("unset", ["", None])
def test_a_process_count_that_is_empty_is_none(monkeypatch, unset):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = Verifier().workers
    if unset is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", unset)
    assert Verifier().workers == alone


@contextmanager
def _interruption(after_s: float) -> Iterator[None]:
    """A KeyboardInterrupt in the main thread, as Ctrl-C gives one, `after_s` seconds from now."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, after_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout, done.stderr
    return done.stdout.strip()


def _ends(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text(encoding="ascii"):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(("trouble", "reason"), [("sleep", "timeout"), ("die", "unparsable_answer")])
def test_a_failure_is_the_answer_s_where_its_gold_is_settled_in_time(slow_verifier, trouble, reason):
    verdict = check_answer(r"\sum_a b", rf"\boxed{{{trouble}}}", slow_verifier)
    assert (verdict.reason, verdict.outcome.value) == (reason, 0.0)


@pytest.mark.parametrize(("trouble", "reason"), [("sleep", "gold_timeout"), ("die", "error")])
def test_a_gold_that_cannot_be_settled_leaves_the_sample_unscored(slow_verifier, trouble, reason):
    assert settle_pairs([Pair(trouble, trouble)], slow_verifier) == [reason]
