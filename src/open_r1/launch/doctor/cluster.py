"""What several machines need: InfiniBand for NCCL, Slurm and munge."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from open_r1.launch.doctor.findings import Finding, note, ok, problem, run_tool

INFINIBAND = Path("/sys/class/infiniband")
SLURM_CONFIGURATIONS = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf", "/run/slurm/conf/slurm.conf")


def examine_network(folder: Path = INFINIBAND) -> list[Finding]:
    """InfiniBand's ports, and what keeps NCCL from them."""
    states = {path: path.read_text(encoding="ascii") for path in folder.glob("*/ports/*/state")}
    if not states:
        return [ok("InfiniBand", "none; NCCL uses Ethernet between machines")]
    active = sorted({path.parts[-4] for path, state in states.items() if "ACTIVE" in state})
    if not active:
        return [problem("InfiniBand", f"no port of {len(states)} is active", "ibstat; sudo systemctl start opensm")]
    findings = [ok("InfiniBand", f"active: {', '.join(active)}")]
    if os.environ.get("NCCL_IB_DISABLE") == "1":
        findings.append(note("InfiniBand", "NCCL_IB_DISABLE is 1, so NCCL does without it", "unset NCCL_IB_DISABLE"))
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        findings.append(
            problem("ulimit -l", "locked memory is limited, and InfiniBand needs it", "ulimit -l unlimited")
        )
    return findings


def examine_slurm() -> list[Finding]:
    """Whether Slurm answers, and munge, which signs what its commands say."""
    if shutil.which("sbatch") is None:
        return [ok("Slurm", "not here: no sbatch on PATH")]
    if not is_set_up():
        return [note("Slurm", "installed, but not set up: there is no slurm.conf", "sudoedit /etc/slurm/slurm.conf")]
    findings = []
    output, fault = run_tool(["sinfo", "--noheader", "--format=%P %D %t"])
    if fault:
        findings.append(
            problem("Slurm", f"its controller does not answer: {fault}", "sudo systemctl restart slurmctld")
        )
    else:
        findings.append(ok("Slurm", "; ".join(line.strip() for line in output.splitlines()) or "no partition"))
    if shutil.which("munge") is None:
        return [*findings, problem("munge", "not installed, and Slurm needs it", "apt-get install munge")]
    _, fault = run_tool(["munge", "--no-input"])
    if fault:
        return [*findings, problem("munge", f"it does not answer: {fault}", "sudo systemctl restart munge")]
    return [*findings, ok("munge", "answers")]


def is_set_up() -> bool:
    """Whether Slurm's commands find a configuration, in a file or, as SLURM_CONF_SERVER has it, from a server."""
    places = [os.environ.get("SLURM_CONF", ""), *SLURM_CONFIGURATIONS]
    return any(place and Path(place).is_file() for place in places) or bool(os.environ.get("SLURM_CONF_SERVER"))
