"""`accelerate launch` for a recipe: over which processes, by which file, and whether the file and the recipe agree.

The recipe decides precision and accumulation. accelerate's file has settings of the same meaning, which would win without a
word; where both say something and differ, the launch is refused.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.configs.checks import check_batch
from open_r1.configs.reader import read_values
from open_r1.errors import ConfigError, UsageError
from open_r1.launch.accelerate_file import DEEPSPEED, FSDP, AccelerateFile
from open_r1.launch.recipe import LaunchRecipe, WrittenSettings, last_of, shown

SAME_IN_DEEPSPEED = {
    "gradient_accumulation_steps": ("gradient_accumulation_steps", 1),
    "gradient_clipping": ("max_grad_norm", 1.0),
    "train_micro_batch_size_per_gpu": ("per_device_train_batch_size", 8),
}
"""DeepSpeed's setting -> the recipe's of the same meaning, with its default."""


@dataclass(frozen=True)
class Layout:
    """Where a training's processes are.

    Args:
        nodes: Machines that train.
        processes_per_node: One a GPU, as a rule.
        has_gpus: Whether these machines have GPUs; on CPUs the processes talk by gloo.
    """

    nodes: int
    processes_per_node: int
    has_gpus: bool = True

    @property
    def processes(self) -> int:
        """All processes that train."""
        return self.nodes * self.processes_per_node


def check_agreement(file: AccelerateFile, recipe: WrittenSettings, layout: Layout) -> None:
    """ConfigError for the first thing that the file and the recipe both set, and set differently.

    UsageError where the file is for another number of machines.
    """
    choose_precision(file, recipe, layout)
    for ours, given, theirs, wanted in differences(file, recipe):
        raise ConfigError(
            f"{ours} and {theirs} disagree: {given!r} and {wanted!r}; the recipe decides, so leave it out of "
            f"accelerate's file or set it to {wanted!r} there."
        )
    is_doubled = file.kind == FSDP and file.value("fsdp_activation_checkpointing") is True
    if is_doubled and recipe.is_on("gradient_checkpointing", True):
        raise ConfigError(
            f"{shown(file.path)} has fsdp_activation_checkpointing, and the recipe gradient_checkpointing, which do the "
            "same; keep one of them."
        )
    bits = next((key for key in ("load_in_4bit", "load_in_8bit") if recipe.is_on(key)), None)
    if bits and (file.kind == FSDP or (file.kind == DEEPSPEED and file.value("zero_stage", 2) == 3)):
        raise ConfigError(
            f"{recipe.origin(bits)} sets {bits}, but by {shown(file.path)} the weights are divided, which quantized ones "
            "can't be; use ddp or zero2."
        )
    machines = file.value("num_machines", 1)
    if machines not in (1, layout.nodes):
        raise UsageError(
            f"{shown(file.path)} says num_machines: {machines}, but --nodes gives {layout.nodes} that train; make them the "
            "same."
        )


def differences(file: AccelerateFile, recipe: WrittenSettings) -> Iterator[tuple[str, Any, str, Any]]:
    """What DeepSpeed's settings and the recipe's say differently: place and value of each."""
    if file.kind != DEEPSPEED:
        return
    own = file.value("deepspeed_config_file")
    values = read_values(Path(own), "DeepSpeed's file") if own else {key: file.value(key) for key in SAME_IN_DEEPSPEED}
    for key, (name, default) in SAME_IN_DEEPSPEED.items():
        given, wanted = values.get(key), recipe.value(name, default)
        if given not in (None, "auto", wanted) and wanted is not None:
            place = own or file.settings[key].origin
            yield f"{place} ({key})", given, f"{recipe.origin(name)} ({name})", wanted


def choose_precision(file: AccelerateFile, recipe: WrittenSettings, layout: Layout) -> str:
    """accelerate's --mixed_precision: the recipe's, where it says something; on a CPU none unless the recipe asks for it."""
    given = str(file.value("mixed_precision", "no"))
    switches = {name: recipe.is_on(name) for name in ("bf16", "fp16") if recipe.value(name) is not None}
    wanted = next((name for name, is_on in switches.items() if is_on), "no" if "bf16" in switches else None)
    if recipe.on_cpu or not layout.has_gpus:
        return wanted or "no"
    if wanted is not None and wanted != given:
        name = wanted if wanted != "no" else "bf16"
        place = file.settings["mixed_precision"].origin if "mixed_precision" in file.settings else str(file.path)
        raise ConfigError(
            f"{place} has mixed_precision {given}, but {recipe.origin(name)} has {name} {str(recipe.is_on(name)).lower()}; "
            f"set mixed_precision {wanted} in accelerate's file, or {name} in the recipe as accelerate's file has it."
        )
    return given


def check_world_size(recipe: WrittenSettings, processes: int) -> None:
    """ConfigError where GRPO's groups don't fill the generation batch of that many processes, with the nearest that do."""
    if recipe.task != "grpo":
        return
    a_device = recipe.count("per_device_train_batch_size", 8)
    accumulation = recipe.count("gradient_accumulation_steps", 1)
    values = {
        "num_generations": recipe.count("num_generations", 8),
        "per_device_train_batch_size": a_device,
        "gradient_accumulation_steps": accumulation,
        "steps_per_generation": recipe.value("steps_per_generation"),
        "generation_batch_size": recipe.value("generation_batch_size"),
    }
    try:
        check_batch(values, processes)
    except ConfigError as error:
        near = nearest_processes(values, processes)
        advice = f" With these settings {last_of(list(map(str, near)))} processes are possible." if near else ""
        raise ConfigError(f"{processes} processes don't fit the recipe: {error}{advice}") from None
    whole = values["generation_batch_size"]
    if whole is not None and whole % (a_device * processes):
        raise ConfigError(
            f"generation_batch_size = {whole} is not a multiple of {a_device} completions a device × "
            f"{processes} processes = {a_device * processes}; leave it out, or choose a multiple."
        )


def nearest_processes(values: dict[str, Any], processes: int) -> list[int]:
    """The numbers of processes next below and above that a generation batch of whole groups has."""
    steps = values["steps_per_generation"] or values["gradient_accumulation_steps"]
    group, a_process = values["num_generations"], values["per_device_train_batch_size"] * steps
    if values["generation_batch_size"] is not None or group < 2:
        return []
    every = group // math.gcd(a_process, group)
    below = processes // every * every
    return [count for count in (below, below + every) if count]


def accelerate_words(
    file: AccelerateFile,
    recipe: LaunchRecipe,
    layout: Layout,
    *,
    rank: str = "0",
    address: str = "",
    port: int = 0,
    logs: Path | None = None,
    further: tuple[str, ...] = (),
) -> list[str]:
    """The words after `accelerate launch`.

    Args:
        rank: The number of this machine among those that train.
        address: Where the first machine is reached, for more than one.
        port: A free port there.
        logs: Folder for the output of each process; it goes to the terminal too.
        further: Settings that the launch adds to the recipe's.
    """
    words = ["--config_file", shown(file.path), "--num_processes", str(layout.processes)]
    if layout.nodes > 1:
        words += ["--num_machines", str(layout.nodes), "--machine_rank", rank]
        words += ["--main_process_ip", address, "--main_process_port", str(port)]
    precision = choose_precision(file, recipe, layout)
    if precision != str(file.value("mixed_precision", "no")):
        words += ["--mixed_precision", precision]
    if file.kind == DEEPSPEED:
        words += ["--gradient_accumulation_steps", str(recipe.count("gradient_accumulation_steps", 1))]
    if logs is not None:
        words += ["--tee", "3", "--log_dir", str(logs)]
    return [*words, *recipe.words(), *further]


def count_gpus(environment: Mapping[str, str] = os.environ) -> int:
    """The NVIDIA GPUs that a training can use here: those of the driver which CUDA_VISIBLE_DEVICES leaves."""
    from open_r1.launch.doctor.accelerators import find_gpus

    count, visible = len(find_gpus()[0]), environment.get("CUDA_VISIBLE_DEVICES")
    return count if visible is None else min(count, sum(one.strip() not in ("", "-1") for one in visible.split(",")))
