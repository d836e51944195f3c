"""GPUs, their driver, CUDA's compiler, and torch, which is imported in a process of its own under a time limit."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.launch.doctor.findings import Finding, install, note, ok, problem, run_tool
from open_r1.launch.doctor.libraries import installed

IMPORT_LIMIT_S = 120.0
QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,memory.used,driver_version", "--format=csv,noheader,nounits")
DEVICES = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidia0"))
"""What there is of the driver where nvidia-smi is not."""

ASK_TORCH = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import torch
    found = {
        "version": torch.__version__, "cuda": torch.version.cuda or torch.version.hip, "usable": torch.cuda.is_available(),
        "device": str(torch.accelerator.current_accelerator()) if torch.accelerator.is_available() else "",
        "nccl": torch.distributed.is_available() and torch.distributed.is_nccl_available(),
    }
    found["bf16"] = found["usable"] and torch.cuda.is_bf16_supported(including_emulation=False)
    found["said"] = [str(warning.message).split("(Triggered")[0] for warning in caught]
    if found["usable"]:
        found["nccl_version"] = ".".join(map(str, torch.cuda.nccl.version()))
    try:
        import flash_attn
    except ModuleNotFoundError as error:
        found["flash_attn"] = "" if error.name == "flash_attn" else str(error)
    except Exception as error:  # built for another torch, it fails in any way
        found["flash_attn"] = str(error)
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Gpu:
    """One GPU, as nvidia-smi reports it; memory in MiB."""

    name: str
    memory_mb: int
    used_mb: int
    driver: str


def examine_accelerators() -> list[Finding]:
    """GPUs, driver, nvcc, torch's build, and whether they fit together."""
    gpus, findings = find_gpus()
    if gpus:
        findings += examine_nvcc()
    if not installed("torch"):
        return [*findings, note("torch", "not installed: no training, no models", install("[train]"))]
    output, fault = run_tool([sys.executable, "-c", ASK_TORCH], IMPORT_LIMIT_S)
    if fault:
        fix = f"python -c 'import torch', and if it fails: pip install --force-reinstall {tested_torch()}"
        return [*findings, problem("torch", f"importing torch {installed('torch')} fails: {fault}", fix)]
    found = json.loads(output.splitlines()[-1])
    return [*findings, *judge_torch(found, gpus)]


def find_gpus() -> tuple[list[Gpu], list[Finding]]:
    """The GPUs that nvidia-smi reports, and what there is to say about them."""
    if shutil.which("nvidia-smi") is None:
        if any(path.exists() for path in DEVICES):
            return [], [
                problem("GPUs", "the driver is loaded, and nvidia-smi is not on PATH", "apt-get install nvidia-utils")
            ]
        return [], [ok("GPUs", "no NVIDIA GPU: no nvidia-smi and no driver")]
    output, fault = run_tool(QUERY)
    if fault:
        fix = "sudo modprobe nvidia; restart the machine if the driver was updated"
        return [], [problem("GPUs", f"nvidia-smi fails: {fault}", fix)]
    rows = [line.rsplit(", ", 3) for line in output.splitlines() if line.count(", ") >= 3]
    gpus = [Gpu(name, number(total), number(used), driver) for name, total, used, driver in rows]
    if not gpus:
        return [], [
            problem("GPUs", "nvidia-smi reports no GPU", "nvidia-smi -L; in a container, start it with --gpus all")
        ]
    kinds = ", ".join(sorted({f"{gpu.name} ({gpu.memory_mb / 1024:.0f} GiB)" for gpu in gpus}))
    findings = [ok("GPUs", f"{len(gpus)}: {kinds}, driver {gpus[0].driver}")]
    if busy := [str(index) for index, gpu in enumerate(gpus) if gpu.used_mb > gpu.memory_mb / 10]:
        findings.append(note("GPUs", f"memory of GPU {', '.join(busy)} is in use by other processes", "nvidia-smi"))
    return gpus, findings


def number(text: str) -> int:
    """A number of nvidia-smi's, 0 where it has none."""
    return int(text) if text.strip().isdigit() else 0


def examine_nvcc() -> list[Finding]:
    """CUDA's compiler, which only flash-attn and DeepSpeed's own operations need."""
    output, fault = run_tool(["nvcc", "--version"])
    if fault:
        return [note("nvcc", f"{fault}: flash-attn can't be built here", "apt-get install nvidia-cuda-toolkit")]
    return [ok("nvcc", next((line.strip() for line in output.splitlines() if "release" in line), output.strip()))]


def judge_torch(found: dict[str, Any], gpus: list[Gpu]) -> list[Finding]:
    """What torch says of itself, beside the GPUs that there are."""
    version, build = found["version"], f"CUDA {found['cuda']}" if found["cuda"] else "CPU"
    about = f"{version}, built for {build}"
    findings = []
    if found["usable"] or (found["device"] and not gpus):
        findings.append(ok("torch", f"{about}, uses {found['device']}"))
        if not found["bf16"] and found["usable"]:
            findings.append(note("bf16", "these GPUs have no bf16", "add --bf16 false --fp16 true"))
    elif gpus and not found["cuda"]:
        fix = f"pip uninstall -y torch && {install('[train]')}; pip must find torch's build for CUDA"
        findings.append(problem("torch", f"{about}, beside {len(gpus)} GPUs: training would use the CPU", fix))
    elif gpus:
        said = f": {found['said'][0].strip()}" if found["said"] else ""
        fix = "update the driver, or install torch's build for the driver's CUDA (nvidia-smi shows it)"
        findings.append(problem("torch", f"{about}, can't use the GPUs{said}", fix))
    else:
        findings.append(ok("torch", f"{about}, uses the CPU"))
    if found["usable"] and len(gpus) > 1:
        nccl = ok("NCCL", found.get("nccl_version", ""))
        findings.append(nccl if found["nccl"] else problem("NCCL", "this torch has none", install("torch")))
    if fault := found.get("flash_attn"):
        fix = "pip install --force-reinstall --no-deps --no-build-isolation flash-attn"
        findings.append(problem("flash-attn", f"importing it fails: {' '.join(fault.split())}", fix))
    return findings


def tested_torch() -> str:
    """torch in the version that was tested, for pip."""
    from open_r1.launch.doctor.libraries import tested_versions

    return f"torch=={tested_versions()['torch']}" if "torch" in tested_versions() else "torch"
