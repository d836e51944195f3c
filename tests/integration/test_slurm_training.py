"""slurm/train.slurm on a real Slurm: two virtual nodes of this machine, whose processes train together on the CPU."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster, free_port, slurm_cluster, wait_for

from open_r1.errors import RunError, UsageError
from open_r1.launch.site import Site
from open_r1.launch.slurm import SlurmJob, check_cluster
from open_r1.launch.slurm import submit as submit_job
from open_r1.rundir import read_json, read_jsonl, write_jsonl
from open_r1.tasks import draw_problems, get_family

DEMO = ["--model", "tiny", "--task", "grpo", "--config", "demo"]
SHORT = "--max_steps=8 --save_steps=2 --preflight_prompts=0"  # the model has learned nothing yet
LIMIT_S = 300.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("slurm")
    with slurm_cluster(folder) as cluster:
        cluster.environment.update(
            OPEN_R1_PYTHON=sys.executable, SBATCH_GPUS_PER_NODE="0", HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1"
        )
        yield cluster


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A working folder with what the recipe starts from."""
    here = tmp_path_factory.mktemp("here")
    problems = draw_problems(get_family("sums"), 64, "train", 0, (1, 2))
    folder = here / "runs" / "tiny"
    shutil.copytree(tiny_model, folder / "sft")
    (folder / "problems").mkdir()
    rows = [{"prompt": problem.prompt, "solution": problem.gold} for problem in problems]
    write_jsonl(folder / "problems" / "rl.jsonl", rows)
    return here


def submit(cluster: Cluster, repo: Path, here: Path, accelerator: str, out: Path, settings: str = SHORT) -> str:
    """Queue the guide's command; returns the job's number."""
    words = [*DEMO, "--accelerator", accelerator, "--dp", "1", "--tp", "1", "--args", f"{settings} --output_dir={out}"]
    return cluster.run("sbatch", "--parsable", "--nodes=2", repo / "slurm" / "train.slurm", *words, cwd=here)


def wait_until_ended(cluster: Cluster, here: Path, job: str) -> str:
    """What the job said, when it and its requeued successors have ended."""
    wait_for(lambda: not cluster.run("squeue", "--noheader"), "the job's end", here, LIMIT_S)
    return (here / f"open-r1-train-{job}.out").read_text()


@pytest.fixture(scope="module")
def unbroken(cluster: Cluster, repo: Path, here: Path) -> tuple[Path, str]:
    """A run over two nodes that nothing interrupts, and its job."""
    out = here / "unbroken"
    job = submit(cluster, repo, here, "ddp", out)
    said = wait_until_ended(cluster, here, job)
    assert (out / "done.json").exists(), said
    return out, job


@pytest.mark.slow
def test_two_nodes_train_one_model_and_keep_the_output_of_each_process(unbroken: tuple[Path, str], here: Path) -> None:
    out, job = unbroken
    assert read_json(out / "done.json")["steps"] == 8
    assert read_json(out / "identity.json")["processes"] == "2"
    assert any(row.get("grad_norm") for row in read_jsonl(out / "metrics.jsonl")), "some step changed the weights"
    for node in ("node-0", "node-1"):
        assert list((here / "logs" / f"open-r1-train-{job}" / node).rglob("stderr.log"))


@pytest.mark.slow
def test_a_job_that_is_asked_to_stop_is_requeued_and_ends_with_the_same_weights(
    cluster: Cluster, repo: Path, here: Path, unbroken: tuple[Path, str]
) -> None:
    out = here / "stopped"
    job = submit(cluster, repo, here, "ddp", out)
    wait_for((out / "checkpoint-2").exists, "a checkpoint", here, LIMIT_S)
    cluster.run("scancel", "--signal=TERM", job)
    said = wait_until_ended(cluster, here, job)
    assert f"putting job {job} back into the queue" in said, said
    assert "going on from checkpoint-" in said, said
    assert read_json(out / "done.json")["weights"] == read_json(unbroken[0] / "done.json")["weights"]


@pytest.mark.slow
def test_zero_2_trains_over_two_nodes_through_the_same_script(cluster: Cluster, repo: Path, here: Path) -> None:
    pytest.importorskip("deepspeed", reason="DEEPSPEED ABSENT: pip install -e '.[deepspeed]'")
    out = here / "zero2"
    job = submit(cluster, repo, here, "zero2", out, "--max_steps=2 --save_strategy=no --preflight_prompts=0")
    said = wait_until_ended(cluster, here, job)
    assert (out / "done.json").exists(), said
    assert read_json(out / "identity.json")["processes"] == "2"
    assert [row["step"] for row in read_jsonl(out / "metrics.jsonl") if "loss" in row] == [1, 2]


@pytest.mark.slow
def test_what_a_cluster_can_not_do_is_said_before_anything_is_queued(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", cluster.environment["PATH"])
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    check_cluster(Site("all"))
    with pytest.raises(UsageError, match=r"partition 'al' does not exist; did you mean 'all'\?"):
        check_cluster(Site("al"))
    with pytest.raises(UsageError, match=r"wants 3 nodes, more than its partition has \(all 2\)"):
        check_cluster(Site(), 3)
    with pytest.raises(RunError, match=r"sbatch did not queue the job: .*license.*; nothing was queued"):
        submit_job(SlurmJob("licensed", ("true",), tmp_path, gpus_per_node=0), Site(flags=["--licenses=none-such"]))
    text = Path(cluster.environment["SLURM_CONF"]).read_text()
    broken = tmp_path / "slurm.conf"
    monkeypatch.setenv("SLURM_CONF", str(broken))
    broken.write_text(text.replace("munge.socket", "no.socket"))
    with pytest.raises(UsageError, match="munge does not run here"):
        check_cluster(Site())
    broken.write_text(re.sub("SlurmctldPort=.*", f"SlurmctldPort={free_port()}", text))
    with pytest.raises(UsageError, match="slurmctld does not answer"):
        check_cluster(Site())
