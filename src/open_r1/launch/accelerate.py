"""`accelerate launch` for a recipe: over which processes, by which file, and whether the file and the recipe agree.

The recipe decides precision and accumulation. accelerate's file has settings of the same meaning, which would win without a
word; where both say something and differ, the launch is refused.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from open_r1.configs.checks import check_batch
from open_r1.configs.reader import Setting, read_recipe, read_values
from open_r1.errors import ConfigError, UsageError, nearest
from open_r1.launch.recipe import LaunchRecipe, last_of, roots, shown

DEEPSPEED, FSDP = "DEEPSPEED", "FSDP"
DEVICE_LIMIT_S = 20

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


@dataclass(frozen=True)
class AccelerateFile:
    """One of accelerate's configuration files."""

    path: Path

    @cached_property
    def settings(self) -> dict[str, Setting]:
        """Its settings, those of DeepSpeed and FSDP beside the others."""
        found = {setting.key: setting for setting in read_recipe(self.path)}
        parts = [part for name in ("deepspeed_config", "fsdp_config") if name in found for part in found[name].parts]
        return found | {part.key: part for part in parts}

    def value(self, name: str, default: Any = None) -> Any:
        """A setting's value, `default` where the file does not have it or leaves it to the training ("auto")."""
        setting = self.settings.get(name)
        return default if setting is None or setting.value in (None, "auto") else setting.value

    @property
    def kind(self) -> str:
        """accelerate's distributed_type, as MULTI_GPU, FSDP or DEEPSPEED."""
        return str(self.value("distributed_type", "NO"))


def find_accelerate_file(name: str) -> AccelerateFile:
    """A file by its path or, for those in `recipes/accelerate_configs`, its name. UsageError names the nearest."""
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise UsageError(f"accelerate's file '{name}' does not exist; check the path.")
        return AccelerateFile(Path(name))
    known = {path.stem: path for root in reversed(roots("recipes/accelerate_configs")) for path in root.glob("*.yaml")}
    if name not in known:
        names = ", ".join(sorted(known))
        raise UsageError(f"unknown accelerator '{name}'{nearest(name, known)} Known: {names}, or a YAML file.")
    return AccelerateFile(known[name])


def check_agreement(file: AccelerateFile, recipe: LaunchRecipe, layout: Layout) -> None:
    """ConfigError for the first thing that the file and the recipe both set, and set differently."""
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


def differences(file: AccelerateFile, recipe: LaunchRecipe) -> Iterator[tuple[str, Any, str, Any]]:
    """What DeepSpeed's settings and the recipe's say differently: place and value of each."""
    if file.kind != DEEPSPEED:
        return
    own = file.value("deepspeed_config_file")
    values = read_values(Path(own)) if own else {key: file.value(key) for key in SAME_IN_DEEPSPEED}
    for key, (name, default) in SAME_IN_DEEPSPEED.items():
        given, wanted = values.get(key), recipe.value(name, default)
        if given not in (None, "auto", wanted) and wanted is not None:
            place = own or file.settings[key].origin
            yield f"{place} ({key})", given, f"{recipe.origin(name)} ({name})", wanted


def choose_precision(file: AccelerateFile, recipe: LaunchRecipe, layout: Layout) -> str:
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


def check_world_size(recipe: LaunchRecipe, layout: Layout) -> None:
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
        check_batch(values, layout.processes)
    except ConfigError as error:
        near = nearest_processes(values, layout.processes)
        advice = f" With these settings {last_of(list(map(str, near)))} processes are possible." if near else ""
        raise ConfigError(f"{layout.processes} processes don't fit {shown(recipe.path)}: {error}{advice}") from None
    whole = values["generation_batch_size"]
    if whole is not None and whole % (a_device * layout.processes):
        raise ConfigError(
            f"generation_batch_size = {whole} is not a multiple of {a_device} completions a device × "
            f"{layout.processes} processes = {a_device * layout.processes}; leave it out, or choose a multiple."
        )


def nearest_processes(values: dict[str, Any], processes: int) -> list[int]:
    """The numbers of processes next below and above that a generation batch of whole groups has."""
    steps = values["steps_per_generation"] or values["gradient_accumulation_steps"]
    group, a_process = values["num_generations"], values["per_device_train_batch_size"] * steps
    if values["generation_batch_size"] is not None or group < 2:
        return []
    fits = [count for count in range(1, processes + group + 1) if a_process * count % group == 0]
    below, above = [count for count in fits if count < processes], [count for count in fits if count > processes]
    return [*below[-1:], *above[:1]]


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


def count_gpus() -> int:
    """The NVIDIA GPUs of this machine, as the driver lists them; 0 where there is none."""
    try:
        ran = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=DEVICE_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return len(ran.stdout.splitlines()) if ran.returncode == 0 else 0
