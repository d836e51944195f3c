"""GPUs by name: memory, arithmetic and bandwidth as in their data sheets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from open_r1.errors import UsageError, nearest

GIB = 1 << 30


@dataclass(frozen=True)
class GPU:
    """A kind of GPU.

    Args:
        name: What `--gpus` calls it.
        device: A part of the name that its driver reports.
        memory_gib: Memory, in GiB.
        flops: Dense bfloat16 operations a second.
        bandwidth: Bytes that its memory delivers a second.
    """

    name: str
    device: str
    memory_gib: float
    flops: float
    bandwidth: float

    @property
    def memory(self) -> int:
        """Memory, in bytes."""
        return int(self.memory_gib * GIB)


GPUS = (
    GPU("B200-180GB", "B200", 178, 2.25e15, 8.0e12),
    GPU("H200-141GB", "H200", 139.8, 9.89e14, 4.8e12),
    GPU("H100-PCIe-80GB", "H100 PCIe", 79.6, 7.56e14, 2.0e12),
    GPU("H100-NVL-94GB", "H100 NVL", 93.6, 8.35e14, 3.9e12),
    GPU("H100-80GB", "H100", 79.6, 9.89e14, 3.35e12),
    GPU("A100-40GB", "A100-SXM4-40GB", 39.4, 3.12e14, 1.555e12),
    GPU("A100-80GB", "A100", 79.3, 3.12e14, 2.039e12),
    GPU("L40S-48GB", "L40S", 44.7, 3.62e14, 8.64e11),
    GPU("L40-48GB", "L40", 44.7, 1.81e14, 8.64e11),
    GPU("L4-24GB", "L4", 22.5, 1.21e14, 3.0e11),
    GPU("A10G-24GB", "A10G", 22.5, 7.0e13, 6.0e11),
    GPU("RTX4090-24GB", "RTX 4090", 24.0, 1.65e14, 1.008e12),
    GPU("RTX3090-24GB", "RTX 3090", 24.0, 7.1e13, 9.36e11),
)
"""NVIDIA's data sheets; the order is that in which a driver's name is looked up: the first whose `device` is in it."""

EXAMPLE = "H100-80GB"
MOST_GPUS = 1024
"""GPUs of one machine at most; a larger number is a slip."""
GROUP = re.compile(r"(?:(\d+)\s*[xX×*]\s*)?(.+)")


def of_device(name: str) -> GPU | None:
    """The kind of GPU whose driver reports this name; None for one that the table does not have."""
    return next((gpu for gpu in GPUS if gpu.device in name), None)


def find_gpu(name: str) -> GPU:
    """The GPU of a name: "H100-80GB", in any case, with or without the memory. UsageError, with the nearest, for others."""
    wanted = name.strip().lower().replace(" ", "").replace("_", "-")
    known = {gpu.name.lower(): gpu for gpu in GPUS}
    short: dict[str, GPU] = {}
    for gpu in sorted(GPUS, key=lambda gpu: -gpu.memory_gib):
        short.setdefault(gpu.name.lower().rpartition("-")[0], gpu)
    if found := known.get(wanted) or short.get(wanted):
        return found
    names = [gpu.name for gpu in GPUS]
    raise UsageError(f"unknown GPU '{name}'{nearest(name.upper(), names)} Known: {', '.join(names)}.")


def read_gpus(text: str) -> tuple[int, GPU]:
    """Number and kind of "8xH100-80GB", or one of "RTX4090". UsageError for another form or an unknown GPU."""
    if text.strip().isdecimal():
        raise UsageError(
            f"--gpus {text} is a number without a kind of GPU; write for example {text}x{EXAMPLE}. "
            f"Known: {', '.join(gpu.name for gpu in GPUS)}."
        )
    match = GROUP.fullmatch(text.strip())
    count = int(match[1] or 1) if match else 0
    if match is None or not 1 <= count <= MOST_GPUS:
        raise UsageError(
            f"--gpus {text!r} can't be read; write a number from 1 to {MOST_GPUS} and a GPU, for example 8x{EXAMPLE}."
        )
    return count, find_gpu(match[2])
