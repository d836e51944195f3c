"""A job's script, its submission, the checks before it, and the way back into the queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm

from open_r1.errors import ConfigError, RunError, UsageError
from open_r1.launch.batch import run_batch
from open_r1.launch.site import Site, quote, read_site
from open_r1.launch.slurm import SlurmJob, check_cluster, submit

JOB = {"SLURM_JOB_ID": "12"}


def test_a_script_has_the_sites_wishes_and_runs_the_command(tmp_path: Path) -> None:
    site = Site("gpu", "me", 4, ["cuda/13"], {"HF_HOME": "$SCRATCH/hf"}, ["--exclusive"])
    script = SlurmJob("sft", ("echo", "two words"), tmp_path, nodes=2, after=("7", "8")).script(site)
    for line in (
        "#SBATCH --nodes=2", "#SBATCH --gpus-per-node=4", "#SBATCH --partition=gpu", "#SBATCH --account=me",
        "#SBATCH --exclusive", "#SBATCH --dependency=afterok:7:8", "#SBATCH --kill-on-invalid-dep=yes",
        "#SBATCH --requeue", "#SBATCH --signal=B:TERM@300", f"#SBATCH --output={tmp_path}/%x-%j.out",
        "module load cuda/13", 'export HF_HOME="$SCRATCH/hf"',
    ):  # fmt: skip
        assert line in script.splitlines()
    assert script.splitlines()[-1].endswith("-P -m open_r1.launch.batch echo 'two words'")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_an_array_names_its_tasks_and_their_logs(tmp_path: Path) -> None:
    script = SlurmJob("dedup", ("true",), tmp_path, gpus_per_node=0, array=8).script(Site())
    assert "#SBATCH --array=0-7" in script
    assert "%x-%A_%a.out" in script
    assert "gpus" not in script


def test_submitting_keeps_the_script_and_gives_the_number(slurm: FakeSlurm, tmp_path: Path) -> None:
    logs = tmp_path / "new" / "logs"
    assert submit(SlurmJob("sft", ("true",), logs), Site()) == "4711"
    assert slurm.words() == [f"sbatch --parsable {logs / 'sft.slurm'}"]
    assert (logs / "sft.slurm").read_text().startswith("#!/bin/bash\n#SBATCH --job-name=sft\n")


def test_what_slurm_refuses_is_one_sentence(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.answer("sbatch", error="sbatch: error: Batch job submission failed: Invalid account\n", status=1)
    with pytest.raises(RunError, match="Invalid account; nothing was queued"):
        submit(SlurmJob("sft", ("true",), tmp_path), Site())


def test_a_partition_that_does_not_exist_is_refused_with_the_nearest(slurm: FakeSlurm) -> None:
    check_cluster(Site("gpu"))
    check_cluster(Site("gpu,cpu"))
    with pytest.raises(UsageError, match=r"partition 'gpus' does not exist; did you mean 'gpu'\? .*gpu, cpu"):
        check_cluster(Site("gpus"))
    with pytest.raises(UsageError, match="partition 'big'"):
        check_cluster(Site("gpu", flags=["--partition=big"]))
    assert all(word.startswith("sinfo") for word in slurm.words())


def test_more_nodes_than_the_partition_has_are_refused(slurm: FakeSlurm) -> None:
    for site in (Site(), Site("gpu"), Site("cpu,gpu")):
        check_cluster(site, 4)
    with pytest.raises(UsageError, match=r"wants 3 nodes, more than its partition has \(cpu 2\)"):
        check_cluster(Site("cpu"), 3)
    with pytest.raises(UsageError, match=r"wants 5 nodes, more than its partition has \(gpu 4\)"):
        check_cluster(Site(), 5)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("sinfo: error: If munged is up, restart with --num-threads=10", "systemctl start munge"),
        ("slurm_load_partitions: Unable to contact slurm controller (connect failure)", "slurmctld does not answer"),
        ("sinfo: fatal: Could not establish a configuration source", "submit from a login node"),
    ],
)
def test_what_keeps_slurm_from_working_is_named_with_its_remedy(slurm: FakeSlurm, said: str, remedy: str) -> None:
    slurm.answer("sinfo", error=said, status=1)
    with pytest.raises(UsageError, match=remedy):
        check_cluster(Site())


def test_without_slurm_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="sbatch is not on PATH"):
        check_cluster(Site())


def test_a_site_file_is_found_by_its_variable_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text("partition: gpu\ngpus_per_node: 4\nenvironment: {A: $HOME/x, B: '1'}\n")
    assert read_site(environment={"OPEN_R1_SITE": str(file)}).gpus_per_node == 4
    assert Site() == read_site(environment={})
    file.write_text("partitions: gpu\n")
    with pytest.raises(ConfigError, match=r"site.yaml:1: unknown setting 'partitions'; did you mean 'partition'\?"):
        read_site(file)
    file.write_text("flags: [exclusive]\n")
    with pytest.raises(ConfigError, match="'exclusive' is not a flag"):
        read_site(file)
    with pytest.raises(ConfigError, match=r"site file '.*none.yaml' does not exist"):
        read_site(environment={"OPEN_R1_SITE": str(tmp_path / "none.yaml")})


@pytest.mark.parametrize("text", ["", "# partition: gpu\n\n# account: me\n", "---\n"])
def test_a_site_file_that_says_nothing_means_the_defaults(tmp_path: Path, text: str) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(text)
    assert read_site(file) == Site()


@pytest.mark.parametrize("value", ["a b", 'say "hi"', "`date`", "$(date)", "back\\slash", "5$"])
def test_an_environment_value_reaches_the_job_as_it_is_written(value: str) -> None:
    ran = subprocess.run(["bash", "-c", f"printf %s {quote(value)}"], capture_output=True, text=True, check=True)
    assert ran.stdout == value


def test_a_variable_in_a_value_is_replaced_in_the_job() -> None:
    ran = subprocess.run(
        ["bash", "-c", f"X=7; printf %s {quote('$X/${X}')}"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "7/7"


def test_status_75_alone_brings_a_job_back_into_the_queue(slurm: FakeSlurm) -> None:
    for status in (0, 1, 2, 130):
        assert run_batch(["bash", "-c", f"exit {status}"], JOB) == status
    assert not slurm.words()
    assert run_batch(["bash", "-c", "exit 75"], JOB) == 75
    assert slurm.words()[-1] == "scontrol requeue 12"
    array = {"SLURM_JOB_ID": "14", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "2"}
    run_batch(["bash", "-c", "exit 75"], array)
    assert slurm.words()[-1] == "scontrol requeue 12_2"


def test_a_job_that_slurm_ends_is_not_brought_back(slurm: FakeSlurm) -> None:
    slurm.answer("squeue", "COMPLETING\n")
    assert run_batch(["bash", "-c", "exit 75"], JOB) == 75
    assert not any("requeue" in word for word in slurm.words())


def test_sigterm_reaches_the_command_and_its_status_comes_back(tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = f"trap 'exit 75' TERM; touch {started}; while true; do sleep 0.05; done"
    words = [sys.executable, "-P", "-m", "open_r1.launch.batch", "bash", "-c", command]
    environment = {key: value for key, value in os.environ.items() if key != "SLURM_JOB_ID"}
    with subprocess.Popen(words, env=environment) as process:
        deadline = time.monotonic() + 30
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 75


def test_a_command_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(RunError, match="'no-such-command' can't be started"):
        run_batch(["no-such-command"], {})
