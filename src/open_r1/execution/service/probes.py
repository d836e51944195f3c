"""Harmless programs that show whether a provider runs programs, stops them at their limits, and shows them nothing.

Each would do no harm where it does not hold: none touches a file or a process that isn't its own. The attacks are in the
test suite. `Health` runs one of them again and again, through the same queue as all others.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from open_r1.execution.programs import Execution, Limits, Program, Provider, Status
from open_r1.execution.service.dispatch import Dispatcher
from open_r1.execution.service.requests import SHUTTING_DOWN, Refusal

HELLO_LIMITS = Limits(wall_s=30, cpu_s=30)

HELLO = {
    "python": "print('hello')",
    "c": '#include <stdio.h>\nint main(void) { puts("hello"); }',
    "cpp": '#include <iostream>\nint main() { std::cout << "hello\\n"; }',
    "javascript": "console.log('hello')",
    "bash": "echo hello",
    "java": 'public class Main { public static void main(String[] a) { System.out.println("hello"); } }',
    "rust": 'fn main() { println!("hello"); }',
    "go": 'package main\nimport "fmt"\nfunc main() { fmt.Println("hello") }',
}
"""A program a language; all write the same."""

LOOK_AROUND = """
import json, os, socket, sys

def reads(path):
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError:
        return False
    return True

def connects():
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True

print(json.dumps({
    "reads": [path for path in sys.argv[1:] if reads(path)],
    "sees in its environment": [name for name in os.environ if "TOKEN" in name or "KEY" in name or name == "USER"],
    "reaches": ["the network of this machine"] if connects() else [],
}))
"""
MAX_PRIVATE_FILES = 20


Fault = Callable[[Execution], str]
"""What is wrong with an execution; "" if nothing is."""


def expect(status: Status, output: bytes | None = None) -> Fault:
    """A fault where a program ends otherwise, or writes something else."""
    return lambda found: "" if found.status is status and output in (None, found.stdout.strip()) else describe(found)


def describe(execution: Execution) -> str:
    """How a probe ended, in words, with the beginning of its output and the end of its errors."""
    return (
        f"ended as {execution.status.value}, exit status {execution.exit_code}, "
        f"stdout {execution.stdout[:60]!r}, stderr {execution.stderr[-200:]!r}"
    )


def find_sights(execution: Execution) -> str:
    """A fault where a program has seen something of this machine."""
    try:
        seen = json.loads(execution.stdout)
        found = [f"{verb} {', '.join(things)}" for verb, things in seen.items() if things]
    except (ValueError, AttributeError, TypeError):
        return describe(execution)
    return f"a program {' and '.join(found)}" if found else ""


LIMIT_PROBES: dict[str, tuple[Program, Fault]] = {
    "stops a program at its time limit": (
        Program("while True: pass", limits=Limits(wall_s=1.0, cpu_s=0.5)),
        expect(Status.TIME_LIMIT),
    ),
    "stops a program at its memory limit": (
        Program("print(len(bytearray(200 << 20)))", limits=Limits(memory_mb=64)),
        expect(Status.MEMORY_LIMIT),
    ),
    "stops a program at its output limit": (
        Program("print('x' * 100_000)", limits=Limits(output_kb=8)),
        expect(Status.OUTPUT_LIMIT),
    ),
}


def probes(languages: Mapping[str, str]) -> dict[str, tuple[Program, Fault]]:
    """The probes for the languages that are there: what each shows, as the end of "it ...", its program and its fault."""
    runs = {
        f"runs {name}": (Program(HELLO[name], name, limits=HELLO_LIMITS), expect(Status.FINISHED, b"hello"))
        for name in languages
        if name in HELLO
    }
    look_around = Program(LOOK_AROUND, args=tuple(private_files()))
    return {**runs, **LIMIT_PROBES, "shows programs nothing of this machine": (look_around, find_sights)}


def private_files() -> list[str]:
    """Files of this machine that are no program's business; whether they can be read is asked from inside."""
    home = Path.home()
    own = sorted(path for path in home.iterdir() if path.is_file()) if home.is_dir() else []
    return ["/etc/shadow", "/proc/1/cmdline", __file__, *map(str, own[:MAX_PRIVATE_FILES])]


def run_probes(provider: Provider, languages: Mapping[str, str]) -> dict[str, str]:
    """Each probe's name and what was wrong, "" where nothing was."""
    asked = probes(languages)
    executions = provider.run([program for program, _ in asked.values()])
    return {
        name: find_fault(found, fault) for (name, (_, fault)), found in zip(asked.items(), executions, strict=True)
    }


def find_fault(found: Execution, fault: Fault) -> str:
    """What is wrong with an execution, "" for nothing; why it could not be run, where that is so."""
    if found.status is Status.UNAVAILABLE:
        return f"could not be run: {found.reason}: {found.detail}".rstrip(": ")
    return fault(found)


TEST_INPUT = b"20 22\n"
TEST_OUTPUT = b"42\n"
SELF_TEST = Program("print(sum(map(int, input().split())))", stdin=TEST_INPUT, limits=Limits(wall_s=20.0, cpu_s=10.0))


def judge_self_test(execution: Execution) -> str:
    """What is wrong with the result of `SELF_TEST`, in words; empty if it is right."""
    return find_fault(execution, expect(Status.FINISHED, TEST_OUTPUT.strip()))


class Health:
    """The last self-test and what is going on."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._status = "starting"
        self._tested_at: float | None = None

    async def keep_testing(self, interval_s: float) -> None:
        """Test now and every so often, until cancelled or shut down."""
        while not self._dispatcher.is_shutting_down:
            try:
                (execution,) = await self._dispatcher.submit("self-test", [SELF_TEST]).collect()
            except Refusal:  # as busy as can be, or leaving: no news
                pass
            else:
                self._status = "failing" if judge_self_test(execution) else "ok"
                self._tested_at = time.monotonic()
                self._dispatcher.metrics.healthy.set(self._status == "ok")
            await asyncio.sleep(interval_s)

    def report(self) -> tuple[dict[str, Any], bool]:
        """The answer of /health, and whether it is good. Without a word of what failed: anyone may ask."""
        record = {
            "status": SHUTTING_DOWN if self._dispatcher.is_shutting_down else self._status,
            "self_test_age_s": None if self._tested_at is None else round(time.monotonic() - self._tested_at, 1),
            "waiting": len(self._dispatcher.queue),
            "running": self._dispatcher.queue.num_running,
        }
        return record, record["status"] == "ok"
