"""What a reader needs to judge or repeat a run."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from open_r1 import __version__

VERSIONED = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "tokenizers", "math-verify", "vllm")


def describe_environment(seed: int) -> dict[str, Any]:
    """Versions, seed, hardware and the commit of the checkout that Open R1 runs from, if it is one."""
    import torch

    versions = {"open-r1": __version__, "python": platform.python_version()}
    for name in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    words, commit = ["git", "rev-parse", "HEAD"], None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        commit = subprocess.check_output(
            words, cwd=Path(__file__).parent, text=True, timeout=5, stderr=subprocess.DEVNULL
        ).strip()
    return {
        "versions": versions,
        "seed": seed,
        "threads": torch.get_num_threads(),
        "cpu_cores": os.cpu_count(),
        "machine": platform.machine(),
        "accelerators": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "commit": commit,
    }
