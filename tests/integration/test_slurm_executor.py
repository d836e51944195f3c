"""slurm/executor.slurm on a real Slurm: it starts, is found by its job's name, answers, and leaves cleanly."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster, slurm_cluster, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        cluster.environment["OPEN_R1_PYTHON"] = sys.executable
        cluster.environment["HOME"] = str(tmp_path_factory.mktemp("home"))
        yield cluster


def post(url: str, record: dict, token: str) -> bytes:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(
        urllib.request.Request(url, json.dumps(record).encode(), headers), timeout=60
    ) as reply:
        return reply.read()


def test_an_array_of_executors_is_found_by_name_and_answers(cluster: Cluster, repo: Path, tmp_path: Path) -> None:
    script = repo / "slurm" / "executor.slurm"
    cluster.run("sbatch", "--array=0-1", "--cpus-per-task=1", "--mem-per-cpu=1", script, cwd=tmp_path)
    wait_for(lambda: len(list_workers(cluster)) == 2, "two executors in squeue", tmp_path, 180)
    token = (Path(cluster.environment["HOME"]) / ".config/open-r1/executor.token").read_text().strip()
    addresses = [path.read_text().strip() for path in (tmp_path / "executors").iterdir()]
    assert sorted(address.rpartition(":")[2] for address in addresses) == sorted(list_workers(cluster))
    for address in addresses:
        url = f"http://127.0.0.1:{address.rpartition(':')[2]}"
        program = {"language": "python", "version": "*", "files": [{"content": "print(6 * 7)"}]}
        assert json.loads(post(f"{url}/api/v2/execute", program, token))["run"]["stdout"] == "42\n"
    cluster.run("scancel", "--state=RUNNING", "--user=root")
    wait_for(lambda: not cluster.run("squeue", "--noheader"), "the executors' end", tmp_path)
    assert list((tmp_path / "executors").iterdir()) == []


def list_workers(cluster: Cluster) -> list[str]:
    """The ports, as clients read them."""
    listing = cluster.run("squeue", "--noheader", "--states=RUNNING", "--format=%j %N")
    return re.findall(r"^piston-worker-(\d+) n1$", listing, re.MULTILINE)


@pytest.mark.parametrize("script", ["executor.slurm", "e2b_router.slurm", "morph_router.slurm"])
def test_slurm_would_take_the_script(cluster: Cluster, repo: Path, script: str) -> None:
    cluster.run("sbatch", "--test-only", repo / "slurm" / script)


def test_piston_workers_are_jobs_named_after_their_ports(cluster: Cluster, repo: Path, tmp_path: Path) -> None:
    launch = repo / "slurm" / "piston" / "launch_piston_workers.sh"
    cluster.run(launch, 3, "--hold", cwd=tmp_path)
    names = cluster.run("squeue", "--noheader", "--format=%j").splitlines()
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"piston-worker-\d{4}", name) for name in names)
    cluster.run("scancel", "--user=root")
