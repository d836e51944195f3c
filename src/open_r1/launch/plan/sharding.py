"""How a training is spread over processes, by accelerate's file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from open_r1.errors import ConfigError, UsageError
from open_r1.launch.accelerate import DEEPSPEED, FSDP, AccelerateFile
from open_r1.launch.plan.settings import ReadSettings

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
    if file.kind == DEEPSPEED:
        stage = file.value("zero_stage", 2)
        if stage not in (1, 2, 3):
            raise ConfigError(f"{file.path}: zero_stage must be 1, 2 or 3, but is {stage!r}.")
        keys = ("offload_optimizer_device", "offload_param_device")
        is_off = [file.value(key, "none") != "none" for key in keys]
        return Sharding(cast(Strategy, f"zero{stage}"), processes, *is_off)
    if file.kind == FSDP:
        is_off = bool(file.value("fsdp_offload_params", False))
        return Sharding("fsdp2", processes, is_off, is_off)
    raise ConfigError(
        f"{file.path}: distributed_type {file.kind} can't be planned with; use MULTI_GPU, FSDP or DEEPSPEED."
    )


def check_agreement(file: AccelerateFile, read: ReadSettings, nodes: int) -> None:
    """ConfigError where accelerate's file and the settings, or the number of nodes, contradict each other."""
    values, precision = read.values, str(file.value("mixed_precision", "no"))

    def disagree(key: str, what: str, advice: str) -> ConfigError:
        place = read.origins.get(key, "the recipe, by default,")
        return ConfigError(f"{file.path} says {what}, but {place} sets {key} to {getattr(values, key)!r}; {advice}.")

    if precision == "bf16" and values.bf16 is False and not values.use_cpu:
        raise disagree("bf16", "mixed_precision: bf16", "set bf16 true, or mixed_precision 'no'")
    if precision == "fp16" and values.bf16:
        raise disagree("bf16", "mixed_precision: fp16", "set both to bf16")
    if precision == "bf16" and values.fp16:
        raise disagree("fp16", "mixed_precision: bf16", "set both to bf16")
    steps, key = file.value("gradient_accumulation_steps"), "gradient_accumulation_steps"
    if file.kind == DEEPSPEED and steps not in (None, values.gradient_accumulation_steps):
        raise disagree(key, f"{key}: {steps}", f"leave it out of {file.path}")
    if file.kind == FSDP and file.value("fsdp_activation_checkpointing") is True and values.gradient_checkpointing:
        raise disagree("gradient_checkpointing", "fsdp_activation_checkpointing: true", "keep one of them")
    bits = next((key for key in ("load_in_4bit", "load_in_8bit") if getattr(values, key)), None)
    if bits and make_sharding(file, 1).strategy in ("zero3", "fsdp2"):
        raise disagree(bits, "that the weights are divided, which quantized ones can't be", "use ddp or zero2")
    machines = int(file.value("num_machines", 1))
    if machines != 1 and nodes not in (1, machines):
        raise UsageError(f"{file.path} says num_machines: {machines}, but --nodes is {nodes}; make them the same.")
