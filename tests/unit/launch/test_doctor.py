"""The doctor names each fault of a broken environment, with the command that fixes it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from open_r1.errors import ConfigError
from open_r1.launch import doctor
from open_r1.launch.doctor import Finding, accelerators, cluster, findings, judge_for, libraries, machine, needs_of
from open_r1.launch.doctor.accelerators import Gpu, judge_torch

CPU_TORCH = {
    "version": "2.13.0+cpu",
    "cuda": None,
    "usable": False,
    "device": "",
    "nccl": False,
    "bf16": False,
    "said": [],
}


def a_tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def a_distribution(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def problems_of(found: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in found if finding.level == "problem"}


BROKEN = """
import sys
sys.path.insert(0, {sandbox!r})
import restricted
restricted.install(["namespaces", "landlock"])
from open_r1.cli.main import main
status = main(["doctor", "--json"])
assert not {{"torch", "transformers", "datasets"}} & set(sys.modules)
sys.exit(status)
"""


def test_a_machine_broken_in_every_way_gets_each_fault_named_with_its_fix(repo: Path, tmp_path: Path) -> None:
    tools, packages = tmp_path / "bin", tmp_path / "packages"
    a_tool(tools, "nvidia-smi", "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    a_tool(tools, "sbatch", "exit 0")
    a_tool(tools, "sinfo", "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
    a_distribution(packages, "trl", "0.18.0")
    (packages / "torch").mkdir()
    (packages / "torch" / "__init__.py").write_text(
        "raise ImportError('libcudart.so.12: cannot open shared object file')"
    )
    (tmp_path / "slurm.conf").touch()
    environment = {
        "PATH": str(tools),
        "PYTHONPATH": str(packages),
        "TMPDIR": "/proc",
        "HOME": str(tmp_path),
        "SLURM_CONF": str(tmp_path / "slurm.conf"),
        "E2B_API_KEY": "e2b_a-secret-that-nobody-may-see",
    }
    ran = subprocess.run(
        [sys.executable, "-c", BROKEN.format(sandbox=str(repo / "tests" / "sandbox"))],
        env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    faults = {one["subject"]: one for one in json.loads(ran.stdout)["findings"] if one["level"] == "problem"}
    assert all(one["fix"] for one in faults.values())
    expected = {
        "versions": ("trl 0.18.0 is installed, and open-r1 needs trl<1.17,>=1.16", "trl=="),
        "GPUs": ("Driver/library version mismatch", "modprobe nvidia"),
        "torch": ("libcudart.so.12: cannot open shared object file", "pip install --force-reinstall torch=="),
        "C++ compiler": ("none on PATH, and deepspeed", "apt-get install g++"),
        "sandbox": ("programs can't be isolated", "code_provider: executor"),
        "disk, TMPDIR": ("/proc can't be written", "export TMPDIR="),
        "ulimit -n": ("256 open files", "--nofile="),
        "Slurm": ("Unable to contact slurm controller", "restart slurmctld"),
        "munge": ("not installed", "apt-get install munge"),
    }
    for subject, (found, fix) in expected.items():
        if subject == "C++ compiler" and libraries.installed("deepspeed") is None:
            continue
        assert found in faults[subject]["found"], subject
        assert fix in faults[subject]["fix"], subject
    assert "nobody-may-see" not in ran.stdout + ran.stderr


def test_a_torch_for_the_cpu_beside_gpus_is_a_problem() -> None:
    fault = problems_of(judge_torch(CPU_TORCH, [Gpu("NVIDIA H100", 81559, 0, "580.1")]))["torch"]
    assert "training would use the CPU" in fault.found and "pip uninstall -y torch" in fault.fix


def test_a_driver_that_is_too_old_for_torch_is_named_in_torchs_words() -> None:
    said = "The NVIDIA driver on your system is too old (found version 12040)."
    old = CPU_TORCH | {"version": "2.13.0", "cuda": "13.0", "said": [said]}
    fault = problems_of(judge_torch(old, [Gpu("NVIDIA A100", 40960, 0, "550.54")]))["torch"]
    assert said in fault.found and "update the driver" in fault.fix


def test_without_a_gpu_a_torch_for_the_cpu_is_fine() -> None:
    assert [finding.level for finding in judge_torch(CPU_TORCH, [])] == ["ok"]


def test_gpus_are_counted_and_their_memory_in_use_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_tool(
        tmp_path,
        "nvidia-smi",
        "echo 'NVIDIA H100 80GB HBM3, 81559, 70000, 580.65'; echo 'NVIDIA H100 80GB HBM3, 81559, 4, 580.65'",
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    gpus, said = accelerators.find_gpus()
    assert len(gpus) == 2 and said[0].found == "2: NVIDIA H100 80GB HBM3 (80 GiB), driver 580.65"
    assert said[1].level == "note" and "memory of GPU 0" in said[1].found


def test_a_tool_that_hangs_ends_by_its_time_limit(tmp_path: Path) -> None:
    a_tool(tmp_path, "sinfo", "exec sleep 30")
    assert findings.run_tool([str(tmp_path / "sinfo")], limit_s=0.3) == ("", "no answer within 0 s")


def test_an_untested_version_within_the_ranges_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_distribution(tmp_path, "rich", "14.9.9")
    monkeypatch.syspath_prepend(str(tmp_path))
    (said,) = [finding for finding in libraries.untested() if "rich" in finding.found]
    assert said.level == "note" and "rich 14.9.9 (tested: " in said.found and "constraints.txt" in said.fix


@pytest.mark.parametrize("folder", ["does-not-exist", "a-file"])
def test_a_tmpdir_that_is_not_a_folder_is_a_problem(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path / folder))
    fault = problems_of(machine.examine_disk())["disk, TMPDIR"]
    assert "is not a folder" in fault.found and fault.fix.startswith("mkdir -p")


def test_a_full_disk_is_a_problem(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("NO FULL DISK: mounting one needs root")
    try:
        fault = machine.examine_folder("this folder", tmp_path, "go elsewhere")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert fault.level == "problem" and "No space left on device" in fault.found and fault.fix == "go elsewhere"


@pytest.mark.parametrize(
    ("cause", "fix"),
    [
        ("/proc/sys/kernel/unprivileged_userns_clone is 0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("x; /proc/sys/user/max_user_namespaces is 0, which forbids", "sysctl -w user.max_user_namespaces=15000"),
        ("unshare failed", ""),
    ],
)  # fmt: skip
def test_a_switch_of_the_system_that_forbids_the_sandbox_is_switched(cause: str, fix: str) -> None:
    assert machine.switch_on(cause).removeprefix("sudo ") == fix


def test_a_small_shared_memory_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"total": 64 * 10**6}))
    fault = machine.examine_shared_memory(tmp_path)[0]
    assert fault.level == "problem" and fault.found.startswith("64 MB") and "--shm-size=16g" in fault.fix


def test_infiniband_without_an_active_port_is_a_problem(tmp_path: Path) -> None:
    port = tmp_path / "mlx5_0" / "ports" / "1"
    port.mkdir(parents=True)
    (port / "state").write_text("1: DOWN\n")
    assert cluster.examine_network(tmp_path)[0].level == "problem"
    (port / "state").write_text("4: ACTIVE\n")
    assert cluster.examine_network(tmp_path)[0] == Finding("InfiniBand", "ok", "active: mlx5_0")


def test_a_key_in_the_env_file_is_found_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dotenv", reason="python-dotenv is in the extra [code]")
    (tmp_path / ".env").write_text("MORPH_API_KEY=secret-value\n")
    monkeypatch.chdir(tmp_path)
    said = {finding.subject: finding for finding in machine.examine_keys()}
    assert said["Morph"].level == "ok" and "secret-value" not in str(said)


def test_a_recipe_makes_a_problem_of_what_it_needs_and_a_note_of_what_it_does_without(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("use_vllm: true\nreward_funcs: [accuracy]\nreport_to: [wandb]\n")
    needs = needs_of(tmp_path / "recipe.yaml")
    assert needs == {"torch", "vLLM", "Weights & Biases"}
    found = [Finding("vLLM", "note", "not installed", "pip"), Finding("sandbox", "problem", "no tier", "x")]
    assert [finding.level for finding in judge_for(found, needs)] == ["problem", "note"]


def test_the_needs_of_a_pipeline_are_those_of_its_stages_recipes(tmp_path: Path) -> None:
    (tmp_path / "grpo.yaml").write_text("reward_funcs: [code, format]\noptim: paged_adamw_8bit\n")
    (tmp_path / "pipeline.yaml").write_text(
        "stages:\n  problems: {kind: problems}\n  grpo: {kind: grpo, recipe: grpo.yaml}\n"
    )
    assert needs_of(tmp_path / "pipeline.yaml") == {"torch", "sandbox", "bitsandbytes"}
    (tmp_path / "pipeline.yaml").write_text(
        "stages: {problems: {kind: problems}, verify: {kind: verify, rewards: [code]}}\n"
    )
    assert needs_of(tmp_path / "pipeline.yaml") == {"sandbox"}
    overrides = "{use-vllm: true, reward_funcs: [format]}"
    (tmp_path / "pipeline.yaml").write_text(
        f"stages:\n  a: {{kind: grpo, recipe: grpo.yaml, overrides: {overrides}}}\n  b: {{kind: generate, backend: vllm}}\n"
    )
    assert needs_of(tmp_path / "pipeline.yaml") == {"torch", "vLLM", "bitsandbytes"}
    (tmp_path / "pipeline.yaml").write_text("stages: {a: {kind: grpo, recipe: 5}}\n")
    with pytest.raises(ConfigError, match="recipe '.*5' does not exist"):
        needs_of(tmp_path / "pipeline.yaml")


def test_a_recipe_that_does_not_exist_is_refused_before_the_examination(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        needs_of(tmp_path / "absent.yaml")


def test_a_check_that_fails_itself_is_a_finding_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def examine_disk() -> list[Finding]:
        raise FileNotFoundError("the working folder was removed")

    monkeypatch.setattr(doctor, "CHECKS", (examine_disk, libraries.examine_python))
    failed, other = doctor.examine()
    assert failed.subject == "disk" and "the working folder was removed" in failed.found
    assert other.subject == "Python"
