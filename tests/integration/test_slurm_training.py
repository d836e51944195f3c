"""slurm/train.slurm on a real Slurm: two virtual nodes of this machine, whose processes train together on the CPU."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster, slurm_cluster, wait_for

from open_r1.rundir import read_json, read_jsonl, write_jsonl
from open_r1.tasks import draw_problems, get_family

DEMO = ["--model", "tiny", "--task", "grpo", "--config", "demo", "--accelerator", "ddp", "--dp", "1", "--tp", "1"]
SHORT = ["--args", "--max_steps=10 --save_steps=2 --preflight_prompts=0"]  # the model has learned nothing yet
LIMIT_S = 240.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("slurm")
    with slurm_cluster(folder) as cluster:
        cluster.environment.update(
            OPEN_R1_PYTHON=sys.executable, SBATCH_GPUS_PER_NODE="0", HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1"
        )
        yield cluster


@pytest.fixture
def here(tmp_path: Path, tiny_model: Path) -> Path:
    """A working folder with what the recipe starts from."""
    problems = draw_problems(get_family("sums"), 64, "train", 0, (1, 2))
    folder = tmp_path / "runs" / "tiny"
    shutil.copytree(tiny_model, folder / "sft")
    (folder / "problems").mkdir()
    rows = [{"prompt": problem.prompt, "solution": problem.gold} for problem in problems]
    write_jsonl(folder / "problems" / "rl.jsonl", rows)
    return tmp_path


def submit(cluster: Cluster, repo: Path, here: Path, *words: str) -> str:
    return cluster.run("sbatch", "--parsable", "--nodes=2", repo / "slurm" / "train.slurm", *words, cwd=here)


def wait_until_ended(cluster: Cluster, here: Path) -> None:
    wait_for(lambda: not cluster.run("squeue", "--noheader"), "the job's end", here, LIMIT_S)


def output_of(here: Path, job: str) -> str:
    return (here / f"open-r1-train-{job}.out").read_text()


@pytest.mark.slow
def test_two_nodes_train_one_model_and_a_run_that_is_stopped_and_requeued_ends_with_the_same(
    cluster: Cluster, repo: Path, here: Path
) -> None:
    job = submit(cluster, repo, here, *DEMO, *SHORT)
    wait_until_ended(cluster, here)
    out = here / "runs" / "tiny" / "grpo-demo"
    assert (out / "done.json").exists(), output_of(here, job)
    unbroken = read_json(out / "done.json")
    assert unbroken["steps"] == 10
    assert len(read_jsonl(out / "metrics.jsonl")) >= 10
    for node in ("node-0", "node-1"):
        assert list((here / "logs" / f"open-r1-train-{job}" / node).rglob("stderr.log"))
    shutil.rmtree(out)

    job = submit(cluster, repo, here, *DEMO, *SHORT)
    wait_for((out / "checkpoint-2").exists, "a checkpoint", here, LIMIT_S)
    cluster.run("scancel", "--signal=TERM", job)
    wait_until_ended(cluster, here)
    said = output_of(here, job)
    assert "putting job" in said, said
    assert "going on from checkpoint-" in said, said
    assert read_json(out / "done.json")["weights"] == unbroken["weights"]
