"""A training inside a Slurm job: one task a node runs `accelerate launch`, vLLM gets the last node where it needs one.

`slurm/train.slurm` runs this through `open-r1 launch --in-job`, on the job's first node. SIGTERM, which Slurm sends before
the time limit, goes to all processes of the training; where that ended with a checkpoint, the job is requeued.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from open_r1.errors import REQUEUE_STATUS, RunError
from open_r1.launch.batch import job_number, requeue, run_forwarding
from open_r1.launch.node import RANK, STOPPED
from open_r1.launch.slurm import run_slurm
from open_r1.launch.training import TrainingLaunch
from open_r1.launch.vllm_node import serve_words, vllm_node

FIRST_PORT, PORTS = 20_000, 10_000
"""Below the range from which systems give ports to outgoing connections."""


@dataclass(frozen=True)
class Allocation:
    """What Slurm has given to this job."""

    job: str
    name: str
    nodes: tuple[str, ...]
    gpus_per_node: int
    cpus_per_task: str = ""

    @property
    def logs(self) -> Path:
        """Folder for the output of every process."""
        return Path("logs") / f"{self.name}-{self.job}"

    def srun(self, nodes: tuple[str, ...], *further: str) -> list[str]:
        """`srun` of one task on each of these nodes, which may use all of it."""
        count, cpus = len(nodes), [f"--cpus-per-task={self.cpus_per_task}"] if self.cpus_per_task else []
        place = [f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1", f"--nodelist={','.join(nodes)}"]
        return ["srun", *place, "--overlap", "--cpu-bind=none", *cpus, *further]


def read_allocation(environment: Mapping[str, str] = os.environ) -> Allocation:
    """This job's allocation. RunError outside of a job."""
    if "SLURM_JOB_NODELIST" not in environment:
        raise RunError("this is not inside a Slurm job; submit slurm/train.slurm with sbatch.")
    named = run_slurm("scontrol", "show", "hostnames", environment["SLURM_JOB_NODELIST"])
    gpus = re.findall(r"\d+$", environment.get("SLURM_GPUS_ON_NODE") or "0")
    return Allocation(
        job_number(environment),
        environment.get("SLURM_JOB_NAME", "train"),
        tuple(named.stdout.split()),
        int(gpus[0]) if gpus else 0,
        environment.get("SLURM_CPUS_PER_TASK", ""),
    )


def run_training_job(launch: TrainingLaunch, allocation: Allocation, report: Callable[[str], None]) -> int:
    """Train over the job's nodes; returns the training's exit status, after the job is requeued where that is 75."""
    logs = allocation.logs.resolve()
    logs.mkdir(parents=True, exist_ok=True)
    stopped = logs / "stopped"
    stopped.unlink(missing_ok=True)
    os.environ[STOPPED] = str(stopped)
    training, last = allocation.nodes[: launch.layout.nodes], allocation.nodes[-1]
    port = free_port(allocation.job)
    url, serving = "", nullcontext()
    if launch.server is not None:
        url = f"http://{node_address(last)}:{port + 1}"
        words = [*allocation.srun((last,)), *serve_words(launch.recipe, launch.server, port + 1)]
        report(f"starting vLLM on {last}: {shlex.join(words)}")
        serving = vllm_node(words, url, str(launch.recipe.value("model_name_or_path")), logs / "vllm.log")
    address = node_address(training[0]) if len(training) > 1 else ""
    words = launch.words(RANK, address, port, logs / f"node-{RANK}", url)
    start = allocation.srun(training, "--kill-on-bad-exit=1", "--label")
    with serving:
        report(f"{shlex.join(start)} accelerate launch {shlex.join(words)}".replace(f"'{RANK}'", RANK))
        status = run_forwarding([*start, sys.executable, "-P", "-m", "open_r1.launch.node", *words])
    if stopped.exists():
        requeue(os.environ)
        return REQUEUE_STATUS
    return status


def node_address(node: str) -> str:
    """A name or number under which the other nodes reach this one, as Slurm does."""
    found = re.search(r"NodeAddr=(\S+)", run_slurm("scontrol", "show", "node", node).stdout)
    return found[1] if found else node


def free_port(job: str) -> int:
    """A port of this machine such that the next one is free too; jobs that share the machine begin at different ones."""
    start = int(re.findall(r"\d+", job)[0]) * 10
    for offset in range(0, PORTS, 2):
        port = FIRST_PORT + (start + offset) % PORTS
        if not is_taken(port):
            return port
    raise RunError(f"no port from {FIRST_PORT} to {FIRST_PORT + PORTS} is free on {socket.gethostname()}.")


def is_taken(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0
