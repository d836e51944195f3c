"""What a reader needs to judge or repeat a run: versions, seed, hardware, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from open_r1 import __version__

VERSIONED = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "tokenizers", "math-verify", "vllm")


def describe_environment(seed: int) -> dict[str, Any]:
    """Versions, seed, hardware and commit: what a reader needs to judge or repeat a run."""
    import torch

    versions = {"open-r1": __version__, "python": platform.python_version()}
    for name in VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "seed": seed,
        "threads": torch.get_num_threads(),
        "cpu_cores": os.cpu_count(),
        "machine": platform.machine(),
        "accelerators": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "commit": git_commit(),
    }


def git_commit() -> str | None:
    """The commit of the checkout that Open R1 runs from, if it is one."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
