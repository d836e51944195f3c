"""Where namespaces are blocked, tier B does; where more is lacking, nothing is run, and it is said why."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from attacks import HERE


def sandbox_without(lacks: str, tier: str = "") -> dict[str, str]:
    """What a sandbox says and does in a process whose system lacks something."""
    command = [sys.executable, str(HERE / "restricted.py"), lacks, *([tier] if tier else [])]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_with_everything_the_best_tier_is_used(needs_tier: Callable[[str], None]) -> None:
    needs_tier("A")
    said = sandbox_without("")
    assert (said["tier"], said["stdout"]) == ("A", "ran /box\n"), said


def test_in_a_container_that_blocks_namespaces_tier_b_is_used(needs_tier: Callable[[str], None]) -> None:
    """As in Docker's default filter: unshare, mount and clone into namespaces are refused, Landlock is there."""
    needs_tier("B")
    said = sandbox_without("namespaces")
    assert said["tier"] == "B", said
    assert said["stdout"].startswith("ran "), said


def test_without_landlock_tier_a_is_used(needs_tier: Callable[[str], None]) -> None:
    needs_tier("A")
    said = sandbox_without("landlock")
    assert (said["tier"], said["stdout"]) == ("A", "ran /box\n"), said


@pytest.mark.parametrize("lacks", ["namespaces,landlock", "seccomp"])
def test_without_either_tier_nothing_is_run_and_the_cause_is_named(lacks: str) -> None:
    said = sandbox_without(lacks)
    assert "tier" not in said, said
    assert (said["status"], said["reason"], said["stdout"]) == ("unavailable", "no_isolation", ""), said
    for text in (said["refusal"], said["detail"]):
        assert all(word in text for word in ("tier A", "tier B", "piston", "e2b")), text
        causes = ("seccomp",) if lacks == "seccomp" else ("namespace", "Landlock")
        assert all(cause in text for cause in causes), text


@pytest.mark.parametrize(("lacks", "tier", "cause"), [("namespaces", "A", "namespace"), ("landlock", "B", "Landlock")])
def test_a_tier_asked_for_is_not_replaced_by_another(lacks: str, tier: str, cause: str) -> None:
    said = sandbox_without(lacks, tier)
    assert cause in said["refusal"], said
    assert (said["status"], said["stdout"]) == ("unavailable", ""), said
