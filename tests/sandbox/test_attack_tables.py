"""Every attack of the tables is stopped in every tier, and each one's control shows that it could have been seen."""

from __future__ import annotations

from collections.abc import Iterable

import attacks_escape
import attacks_network
import attacks_secrets
import pytest
from _pytest.mark.structures import ParameterSet
from attacks import (
    Attack,
    Box,
    World,
    arguments_of,
    assert_blocked,
    assert_reached,
    describe,
    program_of,
    program_text,
    run_outside,
)

TABLES = {"network": attacks_network.TABLE, "secrets": attacks_secrets.TABLE, "escape": attacks_escape.TABLE}


def entries(attacks: Iterable[tuple[str, Attack]]) -> list[ParameterSet]:
    return [pytest.param(attack, id=f"{area}-{attack.title}") for area, attack in attacks]


ATTACKS = [(area, attack) for area, table in TABLES.items() for attack in table]
CONTROLS = {(a.probe, a.title if callable(a.control) else repr(a.control)): (area, a) for area, a in ATTACKS}.values()
"""One of those that are alike."""


@pytest.mark.parametrize("attack", entries(ATTACKS))
def test_attack_is_stopped(box: Box, world: World, attack: Attack) -> None:
    if box.tier not in attack.tiers:
        pytest.skip(f"not for tier {box.tier}: {attack.title}")
    world.contacts.clear()
    ran = box.probe(attack.probe, *arguments_of(attack.target, world), stdin=world.secret.encode())
    assert_blocked(ran)
    assert not world.contacts


@pytest.mark.parametrize("attack", entries((area, attack) for area, attack in CONTROLS if attack.where == "box"))
def test_control_in_the_box_gets_through(box: Box, world: World, attack: Attack) -> None:
    """The same probe after what may be had."""
    if box.tier not in attack.tiers:
        pytest.skip(f"not for tier {box.tier}: {attack.title}")
    ran = box.probe(attack.probe, *arguments_of(attack.control, world), stdin=world.secret.encode())
    assert_reached(ran.stdout or describe(ran))


@pytest.mark.parametrize("attack", entries((area, attack) for area, attack in CONTROLS if attack.where == "outside"))
def test_control_outside_gets_through(world: World, attack: Attack) -> None:
    if reason := attack.needs():
        pytest.skip(f"CONTROL NOT RUN: {reason}")
    program = program_of(attack.probe, *arguments_of(attack.control, world))
    assert_reached(run_outside(program, env={"TOKEN": world.secret}))


def test_calls_that_the_sandbox_stops_reach_the_kernel_elsewhere() -> None:
    """The arguments alone don't make the calls fail as the sandbox does. A container's own filter may stop many."""
    calls = {name: arguments for name, arguments in attacks_escape.CALLS.items() if name != "memfd_secret"}
    program = program_text(attacks_escape.reach_kernel)
    program += f"\nfor name, arguments in {calls!r}.items():\n    report(reach_kernel, name, *arguments)\n"
    reached = [line for line in run_outside(program).splitlines() if line.startswith("ESCAPED")]
    assert len(reached) >= 10
