"""What an attack is, what it is after, and how it is tried.

An attack is one entry of a table: a probe (see `probing`), what it goes for, and a control, which is the same probe after
something that may be had. The control has to succeed; so a probe that can find nothing anywhere is found out.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from open_r1.execution.programs import Execution, Limits, Program, Provider, Status

HERE = Path(__file__).parent
PRELUDE = (HERE / "probing.py").read_text(encoding="utf-8")

ROOMY = Limits(wall_s=60, cpu_s=30, memory_mb=512)
"""For programs that are to end by themselves, however busy the machine is."""


@dataclass
class World:
    """What stands outside the sandbox, waiting to be reached: servers, secrets, processes. Made by the fixture `world`."""

    folder: Path
    secret: str
    tcp_port: int = 0
    tcp6_port: int = 0
    udp_port: int = 0
    unix_path: str = ""
    abstract_name: str = ""
    datagram_path: str = ""
    datagram_name: str = ""
    grader_pid: int = 0
    sleeper_pid: int = 0
    secret_file: str = ""
    scratch_file: str = ""
    contacts: list[str] = field(default_factory=list)
    """What the servers were reached by."""


Targets = tuple[Any, ...] | Callable[[World], tuple[Any, ...]]


@dataclass(frozen=True)
class Attack:
    """One entry of a table.

    Args:
        probe: The function that tries it in the box.
        target: Its arguments when it attacks.
        control: Its arguments when it goes for something permitted.
        where: Whether the control runs in the box or outside, unprivileged.
        name: The probe's unless several entries share it.
        tiers: Where it is tried: "A", "B" or both.
        needs: Says why this machine can't run the control; empty when it can.
    """

    probe: Callable[..., Any]
    target: Targets
    control: Targets
    where: Literal["box", "outside"] = "box"
    name: str = ""
    tiers: str = "AB"
    needs: Callable[[], str] = lambda: ""

    @property
    def title(self) -> str:
        return self.name or self.probe.__name__


def program_text(*functions: Callable[..., Any]) -> str:
    """What programs are made of, and these functions."""
    return "\n\n".join([PRELUDE, *map(inspect.getsource, functions)])


def program_of(probe: Callable[..., Any], *targets: Any) -> str:
    """The text of a program that runs one probe and reports how it ended."""
    return f"{program_text(probe)}\nreport({', '.join([probe.__name__, *map(repr, targets)])})\n"


def arguments_of(targets: Targets, world: World) -> tuple[Any, ...]:
    return targets(world) if callable(targets) else targets


def run_outside(program: str, env: dict[str, str] | None = None, timeout_s: float = 60) -> str:
    """What a harmless program prints when an ordinary user runs it outside the sandbox."""
    ran = subprocess.run(
        [sys.executable, "-I", str(HERE / "outside.py")],
        input=program.encode(), capture_output=True, timeout=timeout_s, cwd="/", env=env, check=False,
    )  # fmt: skip
    return ran.stdout.decode() + ran.stderr.decode()


@cache
def without_namespaces() -> str:
    """Why a control that makes a user namespace can't run here; empty when it can."""
    ran = run_outside("import ctypes, os\nprint(ctypes.CDLL(None).unshare(0x10000000))")
    return "" if ran.strip() == "0" else f"ordinary users can't make user namespaces here: {ran}"


@dataclass
class Box:
    """A provider of one tier, as the attacks use it."""

    tier: str
    provider: Provider

    def run(self, source: str, **program: Any) -> Execution:
        """Run a program, which may end as it likes but must be answered for, and a clean one after it."""
        program.setdefault("limits", ROOMY)
        ran = self.provider.execute(Program(source, **program))
        assert ran.status is not Status.UNAVAILABLE, f"it would go unscored: {ran.reason}: {ran.detail}"
        self.expect_clean()
        return ran

    def probe(self, probe: Callable[..., Any], *targets: Any, **program: Any) -> Execution:
        return self.run(program_of(probe, *targets), **program)

    def expect_clean(self) -> None:
        """A clean program still gets the right answer."""
        ran = self.provider.execute(
            Program("import sys\nprint(sum(map(int, sys.stdin.read().split())))", stdin=b"19 23\n", limits=ROOMY)
        )
        assert (ran.status, ran.exit_code, ran.stdout) == (Status.FINISHED, 0, b"42\n"), describe(ran)


def describe(ran: Execution) -> str:
    """An execution, for an assertion's message."""
    return (
        f"{ran.status} exit {ran.exit_code} {ran.reason} {ran.detail}\n"
        f"stdout: {ran.stdout[-2000:]!r}\nstderr: {ran.stderr[-4000:].decode(errors='replace')}"
    )


def assert_blocked(ran: Execution) -> None:
    """The probe said that it got nothing, or was ended for trying; one that failed by its own fault proves nothing."""
    assert b"ESCAPED" not in ran.stdout, describe(ran)
    if ran.status is Status.FINISHED and (ran.exit_code or 0) >= 0:
        assert ran.stdout.startswith(b"blocked"), f"the probe itself failed: {describe(ran)}"


def assert_reached(output: str | bytes) -> None:
    """The control got what it went for."""
    text = output if isinstance(output, str) else output.decode(errors="replace")
    assert text.startswith("ESCAPED"), f"the control finds nothing, so the attack proves nothing: {text}"
