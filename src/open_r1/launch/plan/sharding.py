"""How a training is spread over processes, by accelerate's file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from open_r1.errors import ConfigError
from open_r1.launch.accelerate_file import DEEPSPEED, FSDP, AccelerateFile

Strategy = Literal["ddp", "fsdp2", "zero1", "zero2", "zero3"]


@dataclass(frozen=True)
class Sharding:
    """What is divided among how many processes, one a GPU.

    ddp: nothing. zero1, zero2, zero3: optimizer states; gradients too; weights too (ZeRO, arXiv:1910.02054, section 5).
    fsdp2: all three, by PyTorch's fully_shard (arXiv:2304.11277).
    """

    strategy: Strategy = "ddp"
    processes: int = 1
    offloads_optimizer: bool = False
    """Optimizer states and gradients are in the host's memory (ZeRO-Offload, arXiv:2101.06840)."""
    offloads_weights: bool = False

    @property
    def is_deepspeed(self) -> bool:
        """Whether DeepSpeed trains: it keeps float32 weights beside those that it computes with."""
        return self.strategy.startswith("zero")

    def share(self, what: Literal["weights", "gradients", "optimizer"]) -> float:
        """The share of the whole that one process has."""
        divided = {"ddp": (), "zero1": ("optimizer",), "zero2": ("optimizer", "gradients")}
        return 1 / self.processes if what in divided.get(self.strategy, (what,)) else 1.0


def make_sharding(file: AccelerateFile | None, processes: int) -> Sharding:
    """What accelerate's file asks for, over so many processes; without a file, nothing is divided.

    ConfigError for a way of distributing that is not known.
    """
    if file is None or file.kind in ("NO", "MULTI_GPU", "MULTI_CPU"):
        return Sharding("ddp", processes)
    stage = file.value("zero_stage", 2)
    if file.kind == DEEPSPEED and stage:
        keys = ("offload_optimizer_device", "offload_param_device")
        is_off = [file.value(key, "none") != "none" for key in keys]
        return Sharding(cast(Strategy, f"zero{stage}"), processes, *is_off)
    if file.kind == FSDP:
        is_off = bool(file.value("fsdp_offload_params", False))
        return Sharding("fsdp2", processes, is_off, is_off)
    raise ConfigError(
        f"{file.path}: distributed_type {file.kind} can't be planned with; use MULTI_GPU, FSDP, or DEEPSPEED with "
        "zero_stage 1, 2 or 3."
    )
