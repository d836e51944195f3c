"""A pipeline as dependent jobs on a real Slurm: `open-r1 run PIPELINE --slurm`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster, slurm_cluster

from open_r1.rundir import read_json, write_jsonl

RECIPE = """
output_dir: out
stages:
  problems: {kind: problems, families: {sums: [2, 4]}, sft: 50, rl: 2, held_out: 2}
  traces: {kind: traces}
  base: {kind: model, shape: {hidden_size: 32, num_layers: 1}}
  aside: {kind: traces, style: deep}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("slurm")
    with slurm_cluster(folder) as cluster:
        site = folder / "site.yaml"
        site.write_text("partition: all\ngpus_per_node: 0\n")
        cluster.environment.update(OPEN_R1_SITE=str(site), OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
        yield cluster


def run(cluster: Cluster, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "open_r1.cli.main", "run", "pipeline.yaml", *words]
    return subprocess.run(
        command, cwd=folder, env=cluster.environment, capture_output=True, text=True, timeout=300, check=False
    )


def statuses(folder: Path) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in read_json(folder / "out" / "pipeline.json")["stages"]}


@pytest.mark.slow
def test_a_pipeline_runs_as_dependent_jobs(cluster: Cluster, tmp_path: Path) -> None:
    tmp_path /= "50% of #1"  # each of which means something to sbatch
    tmp_path.mkdir()
    (tmp_path / "pipeline.yaml").write_text(RECIPE)
    ran = run(cluster, tmp_path, "--slurm", "--wait")
    assert ran.returncode == 0, ran.stderr
    jobs = dict(re.findall(r"/4 (\w+)\] job (\d+)", ran.stderr))
    assert f"job {jobs['base']} after {jobs['traces']}" in ran.stderr
    assert "done in" in (tmp_path / "out" / "slurm.jobs" / f"base-{jobs['base']}.out").read_text()
    assert statuses(tmp_path) == dict.fromkeys(("problems", "traces", "base", "aside"), "done")
    assert (tmp_path / "out" / "base" / "model.safetensors").exists()
    again = run(cluster, tmp_path, "--slurm", "--wait")
    assert again.returncode == 0 and "job" not in again.stderr, again.stderr


@pytest.mark.slow
def test_a_failed_stage_stops_those_that_wait_for_it_and_its_log_is_named(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(RECIPE)
    assert run(cluster, tmp_path, "--until", "problems").returncode == 0
    made = tmp_path / "out" / "problems" / "sft.jsonl"
    kept = made.read_text()
    made.write_text('{"prompt": "no solution"}\n')  # which the stage `traces` finds out alone,
    (made.parent / "made.json").unlink()  # as long as nothing says that the file was another
    failed = run(cluster, tmp_path, "--slurm", "--wait", "--until", "base")
    assert failed.returncode == 1
    (log,) = re.findall(r"stage 'traces' failed, see (\S+); not run: base;", failed.stderr)
    assert "KeyError: 'solution'" in (tmp_path / log).read_text()
    assert not (tmp_path / "out" / "base").exists() and not cluster.run("squeue", "--noheader")
    shown = run(cluster, tmp_path, "--dry-run")
    assert f"traces failed: see {log}" in shown.stdout, shown.stderr
    made.write_text(kept)
    assert run(cluster, tmp_path, "--slurm", "--wait").returncode == 0
    assert statuses(tmp_path)["base"] == "done"


@pytest.mark.slow
def test_a_second_submission_is_refused_while_jobs_are_queued(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(RECIPE)
    cluster.run("scontrol", "update", "partition=all", "state=down")
    try:
        assert run(cluster, tmp_path, "--slurm").returncode == 0
        refused = run(cluster, tmp_path, "--slurm")
        assert refused.returncode == 2 and "are in the queue: problems (" in refused.stderr
        assert "in job" in run(cluster, tmp_path, "--dry-run").stdout
        (numbers,) = re.findall(r"scancel ([\d ]+)", refused.stderr)
        cluster.run("scancel", *numbers.split())
    finally:
        cluster.run("scontrol", "update", "partition=all", "state=up")


@pytest.mark.slow
def test_nothing_is_queued_where_the_pipeline_can_not_run(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(RECIPE.replace("sums: [2, 4]", "sums: [2, 90]"))
    refused = run(cluster, tmp_path, "--slurm")
    assert refused.returncode == 2 and "difficulty of sums" in refused.stderr
    assert not cluster.run("squeue", "--noheader")


@pytest.mark.slow
def test_a_job_array_over_shards_makes_what_one_process_makes(cluster: Cluster, repo: Path, tmp_path: Path) -> None:
    rows = [{"completion": f"\\boxed{{{n % 9}}}", "solution": str(n % 4)} for n in range(50)]
    write_jsonl(tmp_path / "traces.jsonl", rows)
    environment = cluster.environment | {"OPEN_R1_PYTHON": sys.executable}
    words = ["verify", "traces.jsonl", "--output"]
    submit = ["sbatch", "--wait", "--array=0-2", "--export=ALL", str(repo / "slurm" / "data.slurm"), *words, "v.jsonl"]
    subprocess.run(submit, cwd=tmp_path, env=environment, check=True, timeout=300, stdout=subprocess.DEVNULL)
    data = [sys.executable, "-P", "-m", "open_r1.cli.main", "data"]
    for command in (["merge", "v.jsonl"], [*words, "whole.jsonl"]):
        subprocess.run([*data, *command], cwd=tmp_path, env=environment, check=True, timeout=300, capture_output=True)
    assert (tmp_path / "v.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
