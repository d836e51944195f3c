"""A Slurm cluster of two virtual nodes on this machine, with daemons, keys and folders of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scontrol", "scancel")
NODES = ("n1", "n2")
START_LIMIT_S = 60

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=60
SlurmdParameters=config_overrides
KillWait=30
NodeName=n1 NodeAddr=127.0.0.1 NodeHostname={host} Port={first_port} CPUs=16 RealMemory=64000 State=UNKNOWN
NodeName=n2 NodeAddr=127.0.0.1 NodeHostname={host} Port={second_port} CPUs=16 RealMemory=64000 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Args:
        environment: What makes Slurm's commands talk to it.
    """

    folder: Path
    environment: dict[str, str]

    def run(self, *words: object, cwd: Path | None = None, check: bool = True) -> str:
        ran = subprocess.run(
            [str(word) for word in words],
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
        return ran.stdout.strip()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def why_no_cluster() -> str:
    """What is missing for a cluster here; "" if nothing is."""
    missing = [program for program in PROGRAMS if not find_program(program)]
    if missing:
        return f"SLURM ABSENT: no {', '.join(missing)}; apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "SLURM NEEDS ROOT: its daemons are started as root"


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[Cluster]:
    """Skips, loudly, where there can be none."""
    if reason := why_no_cluster():
        pytest.skip(reason)
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir()
    config = folder / "slurm.conf"
    ports = {name: free_port() for name in ("controller_port", "first_port", "second_port")}
    config.write_text(CONFIG.format(host=socket.gethostname(), folder=folder, **ports))
    environment = dict(os.environ) | {"SLURM_CONF": str(config), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    cluster = Cluster(folder, environment)
    daemons = [start_munged(folder)]
    try:
        daemons.append(start("slurmctld", folder, environment, "-D"))
        daemons += [start("slurmd", folder, environment, "-D", "-N", node) for node in NODES]
        wait_for(lambda: cluster.run("sinfo", "--noheader", "--format=%D%t", check=False) == "2idle", "nodes", folder)
        yield cluster
        cluster.run("scancel", "--user=root", check=False)
        wait_for(lambda: not cluster.run("squeue", "--noheader", check=False), "the jobs' end", folder)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait(timeout=20)


def start_munged(folder: Path) -> subprocess.Popen[bytes]:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    names = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    process = start(
        "munged", folder, dict(os.environ), "--foreground", "--force", f"--socket={folder}/munge.socket", *names
    )
    wait_for((folder / "munge.socket").exists, "munge's socket", folder)
    return process


def start(name: str, folder: Path, environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    program = find_program(name)
    assert program
    with (folder / f"{name}.out").open("wb") as out:
        return subprocess.Popen([program, *words], env=environment, stdout=out, stderr=subprocess.STDOUT)


def wait_for(is_so, what: str, folder: Path, limit_s: float = START_LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        logs = "\n".join(f"{path.name}: {path.read_text(errors='replace')[-800:]}" for path in folder.glob("*.out"))
        assert time.monotonic() < deadline, f"{what} did not come within {limit_s:.0f} s\n{logs}"
        time.sleep(0.2)
