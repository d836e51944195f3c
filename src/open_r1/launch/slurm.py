"""A command as a Slurm job: its script, its submission, and what is checked before anything is queued.

    job = SlurmJob("sft", ("open-r1", "run", "recipe.yaml", "--only", "sft"), logs=Path("runs/x/logs"), after=("812",))
    check_cluster(site)
    number = submit(job, site)

A job starts when those it comes after have ended well, and is cancelled when one of them fails. It gets SIGTERM some
minutes before its time limit, and goes back into the queue when its command then ends with status 75 (`batch`).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.errors import RunError, UsageError, nearest
from open_r1.launch.site import VARIABLE, Site
from open_r1.rundir import write_text

SLURM_LIMIT_S = 60
"""Seconds to wait for one of Slurm's commands."""

REMEDIES = (
    ("munge", "munge does not run here, by which Slurm knows who asks; start it: systemctl start munge"),
    ("contact slurm controller", "slurmctld does not answer; start it, or wait until the cluster is back"),
    ("connect failure", "slurmctld does not answer; start it, or wait until the cluster is back"),
    ("configuration source", "Slurm is not set up here; submit from a login node of the cluster"),
)
"""What Slurm's own messages contain -> what is wrong and what to do."""


@dataclass(frozen=True)
class SlurmJob:
    """One job.

    Args:
        command: What the job runs, on its first node, in the folder that it is submitted from.
        logs: Folder of its script and output.
        gpus_per_node: None leaves it to the site.
        after: Numbers of the jobs that must have ended well before this one starts.
        array: The number of tasks of a job array; each finds its own, from 0, in SLURM_ARRAY_TASK_ID.
        time_limit: As sbatch takes it, "2-00:00:00"; the partition's own where it is empty.
        stop_before_s: Seconds before the time limit at which the job is asked to stop.
    """

    name: str
    command: tuple[str, ...]
    logs: Path
    nodes: int = 1
    gpus_per_node: int | None = None
    after: tuple[str, ...] = ()
    array: int | None = None
    time_limit: str = ""
    stop_before_s: int = 300

    def flags(self, site: Site) -> list[str]:
        """sbatch's flags, as a script has them; those of the site come last, and count where both name one."""
        gpus = site.gpus_per_node if self.gpus_per_node is None else self.gpus_per_node
        output = "%x-%A_%a.out" if self.array else "%x-%j.out"
        return [
            f"--job-name={self.name}",
            f"--nodes={self.nodes}",
            "--ntasks-per-node=1",
            *([f"--gpus-per-node={gpus}"] if gpus else []),
            *([f"--time={self.time_limit}"] if self.time_limit else []),
            *([f"--array=0-{self.array - 1}"] if self.array else []),
            *([f"--dependency=afterok:{':'.join(self.after)}", "--kill-on-invalid-dep=yes"] if self.after else []),
            shlex.quote(f"--output={str(self.logs.resolve()).replace('%', '%%')}/{output}"),
            "--open-mode=append",
            "--requeue",
            f"--signal=B:TERM@{self.stop_before_s}",
            *site.sbatch_flags(),
        ]

    def script(self, site: Site) -> str:
        """The batch script: flags, the site's preparation, the command."""
        run = shlex.join([sys.executable, "-P", "-m", "open_r1.launch.batch", *self.command])
        directives = [f"#SBATCH {flag}" for flag in self.flags(site)]
        return "\n".join(["#!/bin/bash", *directives, "set -euo pipefail", *site.shell_lines(), f"exec {run}", ""])


def submit(job: SlurmJob, site: Site) -> str:
    """Queue a job, its script kept beside its output; returns its number. RunError for what Slurm refuses."""
    job.logs.mkdir(parents=True, exist_ok=True)
    path = job.logs / f"{job.name}.slurm"
    write_text(path, job.script(site))
    return submit_script([str(path)])


def submit_script(words: Sequence[str], site_file: Path | None = None) -> str:
    """`sbatch` with these words; returns the job's number. RunError for what Slurm refuses.

    Args:
        site_file: What the job prepares its shell by; it gets this shell's environment in any case.
    """
    site = {VARIABLE: str(site_file.resolve())} if site_file else {}
    ran = run_slurm("sbatch", "--parsable", *words, environment=os.environ | site)
    if ran.returncode:
        reason = " ".join(line.partition("error: ")[2] or line for line in ran.stderr.strip().splitlines())
        raise RunError(f"sbatch did not queue the job: {reason or 'it said nothing'}; nothing was queued.")
    return ran.stdout.strip().partition(";")[0]


def check_cluster(site: Site, nodes: int = 1) -> None:
    """UsageError where nothing can be queued, or would wait for ever.

    That is without Slurm, munge or the controller, in a partition that does not exist, and for more nodes than it has.
    """
    if shutil.which("sbatch") is None:
        raise UsageError("there is no Slurm here: sbatch is not on PATH; submit from a login node of the cluster.")
    ran = run_slurm("sinfo", "--noheader", "--summarize", "--format=%P %D")
    if ran.returncode:
        said = " ".join(ran.stderr.split())
        remedy = next((remedy for sign, remedy in REMEDIES if sign in said.lower()), "see what `sinfo` says")
        raise UsageError(f"Slurm can't be used: {remedy}. sinfo said: {said or 'nothing'}")
    rows = [line.split() for line in ran.stdout.splitlines() if line.strip()]
    known = {name.rstrip("*"): int(count) for name, count in rows}
    asked = partition_of(site).split(",") if partition_of(site) else [n[:-1] for n, _ in rows if n.endswith("*")]
    for name in asked:
        if name not in known:
            raise UsageError(
                f"partition '{name}' does not exist{nearest(name, known)} Partitions here: {', '.join(known) or 'none'}."
            )
    if asked and nodes > max(known[name] for name in asked):
        most = " and ".join(f"{name} {known[name]}" for name in asked)
        raise UsageError(f"the job wants {nodes} nodes, more than its partition has ({most}); it would wait for ever.")


def partition_of(site: Site) -> str:
    """The partition that a submission names, as sbatch reads it: the last flag counts."""
    named = re.findall(r"(?:^|\s)(?:--partition[= ]|-p\s*)(\S+)", " ".join(site.sbatch_flags()))
    return named[-1] if named else ""


def run_slurm(*words: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One of Slurm's commands. RunError when it does not answer."""
    options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": SLURM_LIMIT_S, "env": environment}
    try:
        return subprocess.run(words, check=False, **options)
    except subprocess.TimeoutExpired:
        raise RunError(f"`{words[0]}` did not answer within {SLURM_LIMIT_S} s; is slurmctld overloaded?") from None
