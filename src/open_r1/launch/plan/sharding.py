"""How a training is spread over processes: read from an accelerate file, or named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from open_r1.configs.reader import read_values
from open_r1.errors import ConfigError, UsageError, nearest
from open_r1.launch.plan.settings import ReadSettings

Strategy = Literal["ddp", "fsdp2", "zero1", "zero2", "zero3"]

NAMES: dict[str, Strategy] = {
    "ddp": "ddp", "fsdp": "fsdp2", "fsdp2": "fsdp2", "zero1": "zero1", "zero2": "zero2", "zero3": "zero3",
}  # fmt: skip
"""What an accelerate file is called -> what it asks for."""
FOLDER = Path("recipes/accelerate_configs")


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


def read_accelerator(name: str | Path | None) -> tuple[Mapping[str, Any], str]:
    """The settings of an accelerate file and its place; of a name, the file of recipes/accelerate_configs.

    None is no file: data parallel. UsageError for a name that is neither a file nor known.
    """
    if name is None:
        return {}, "no accelerate file"
    word = str(name)
    places = [Path(word), FOLDER / f"{word}.yaml", Path(__file__).parents[4] / FOLDER / f"{word}.yaml"]
    found = next((place for place in places if place.is_file()), None)
    if found is not None:
        return read_values(found), str(found)
    if word in NAMES:
        if word.startswith("zero"):
            return {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": word[-1]}}, word
        return {"distributed_type": "FSDP" if "fsdp" in word else "MULTI_GPU"}, word
    raise UsageError(
        f"--accelerator '{word}' is not a file and not a name that is known{nearest(word, NAMES)} "
        f"Names: {', '.join(NAMES)}; or give an accelerate file."
    )


def make_sharding(file: Mapping[str, Any], place: str, processes: int) -> Sharding:
    """The sharding that an accelerate file asks for, over so many processes. ConfigError for one that is not known."""
    kind = str(file.get("distributed_type", "MULTI_GPU")).upper()
    if kind == "DEEPSPEED":
        zero = file.get("deepspeed_config") or {}
        stage = str(zero.get("zero_stage", 2))
        if stage not in ("1", "2", "3"):
            raise ConfigError(f"{place}: zero_stage must be 1, 2 or 3, but is {stage}.")
        is_off = [zero.get(key) not in (None, "none") for key in ("offload_optimizer_device", "offload_param_device")]
        return Sharding(NAMES[f"zero{stage}"], processes, *is_off)
    if kind == "FSDP":
        is_off = bool((file.get("fsdp_config") or {}).get("fsdp_offload_params", False))
        return Sharding("fsdp2", processes, is_off, is_off)
    if kind not in ("NO", "MULTI_GPU", "MULTI_CPU"):
        raise ConfigError(f"{place}: distributed_type {kind} can't be planned with; use MULTI_GPU, FSDP or DEEPSPEED.")
    return Sharding("ddp", processes)


def check_agreement(file: Mapping[str, Any], place: str, read: ReadSettings, nodes: int) -> None:
    """ConfigError where an accelerate file and a recipe, or the number of nodes, contradict each other."""
    values, origins = read.values, read.origins

    def disagree(key: str, what: str, advice: str) -> ConfigError:
        return ConfigError(f"{place} says {what}, but {origins.get(key, 'the recipe')} sets {key} to "
                           f"{getattr(values, key)!r}; {advice}.")  # fmt: skip

    precision = str(file.get("mixed_precision", "no"))
    if precision == "bf16" and values.bf16 is False and not values.use_cpu:
        raise disagree("bf16", "mixed_precision: bf16", "set bf16 true, or mixed_precision 'no'")
    if precision == "fp16" and values.bf16:
        raise disagree("bf16", "mixed_precision: fp16", "set both to bf16")
    if precision == "bf16" and values.fp16:
        raise disagree("fp16", "mixed_precision: bf16", "set both to bf16")
    steps = (file.get("deepspeed_config") or {}).get("gradient_accumulation_steps", "auto")
    if steps not in ("auto", values.gradient_accumulation_steps):
        key = "gradient_accumulation_steps"
        raise disagree(key, f"{key}: {steps}", f"leave it out of {place}")
    fsdp = file.get("fsdp_config") or {}
    if fsdp.get("fsdp_activation_checkpointing") and values.gradient_checkpointing:
        key = "gradient_checkpointing"
        raise disagree(key, "fsdp_activation_checkpointing: true", "keep one of them")
    shards_weights = make_sharding(file, place, 1).strategy in ("zero3", "fsdp2")
    bits = next((key for key in ("load_in_4bit", "load_in_8bit") if getattr(values, key)), None)
    if bits and shards_weights:
        raise disagree(bits, "that the weights are divided, which quantized ones can't be", "use ddp or zero2")
    machines = int(file.get("num_machines", 1) or 1)
    if nodes not in (1, machines) and machines != 1:
        raise UsageError(f"{place} says num_machines: {machines}, but --nodes is {nodes}; make them the same.")
