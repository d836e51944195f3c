"""What this machine has and lacks for training, each finding with the command that fixes it.

    open-r1 doctor [--for recipe.yaml]

Nothing heavy is imported: versions come from metadata, torch is asked in a process of its own. The checks run at the
same time, and one that hangs ends by its time limit.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from open_r1.launch.doctor.accelerators import examine_accelerators
from open_r1.launch.doctor.cluster import examine_network, examine_slurm
from open_r1.launch.doctor.findings import Finding, Level
from open_r1.launch.doctor.libraries import examine_optional, examine_python, examine_versions
from open_r1.launch.doctor.machine import (
    examine_compilers,
    examine_disk,
    examine_keys,
    examine_limits,
    examine_sandbox,
    examine_tools,
)
from open_r1.launch.doctor.recipe import judge_for, needs_of

__all__ = ["Finding", "Level", "examine", "judge_for", "needs_of"]

Check = Callable[[], list[Finding]]

CHECKS: tuple[Check, ...] = (
    examine_python,
    examine_versions,
    examine_accelerators,
    examine_optional,
    examine_compilers,
    examine_sandbox,
    examine_disk,
    examine_limits,
    examine_tools,
    examine_keys,
    examine_network,
    examine_slurm,
)


def examine() -> list[Finding]:
    """Look at everything; takes as long as the slowest check, the import of torch."""
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        return [finding for findings in pool.map(carry_out, CHECKS) for finding in findings]


def carry_out(check: Check) -> list[Finding]:
    """What a check finds; where the machine is so broken that the check itself fails, that is a finding."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - recorded as a finding, beside those of the other checks
        what = check.__name__.removeprefix("examine_").replace("_", " ")
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return [Finding(what, "problem", f"it can't be examined: {said}", "open-r1 executor check; df; ulimit -a")]
