"""A plan of a recipe on GPUs: memory, time, whether it fits, and the nearest change with which it does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from open_r1.configs.reader import Setting, read_changes, read_recipe
from open_r1.errors import ConfigError
from open_r1.gpus import GPU, read_gpus
from open_r1.launch.accelerate import Layout, check_agreement, check_world_size
from open_r1.launch.accelerate_file import find_accelerate_file
from open_r1.launch.plan.architectures import Architecture, read_architecture
from open_r1.launch.plan.data import count_rows, prompt_length
from open_r1.launch.plan.durations import (
    DATA_SETS,
    KV_BYTES,
    MFU,
    Durations,
    cache_bytes,
    generation_seconds,
    plan_durations,
)
from open_r1.launch.plan.memory import Memory, Workload, plan_memory
from open_r1.launch.plan.settings import ReadSettings, RecipeSettings, kind_of, read_settings
from open_r1.launch.plan.sharding import Sharding, make_sharding
from open_r1.launch.recipe import Task, check_trains, task_of

USABLE = 0.92
"""Share of a GPU's memory that a training gets: the rest is the CUDA context's, NCCL's and lost between blocks."""


@dataclass(frozen=True)
class Machine:
    """GPUs that train, all of one kind; without one, the CPU of this machine."""

    gpu: GPU | None
    per_node: int = 1
    nodes: int = 1

    @property
    def processes(self) -> int:
        """Processes of the training, one a GPU."""
        return self.per_node * self.nodes

    @property
    def limit(self) -> int:
        """Bytes that one process may use."""
        if self.gpu is None:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return int(USABLE * self.gpu.memory)

    @property
    def name(self) -> str:
        """As `--gpus` has it, with the nodes where there are several."""
        one = "CPU" if self.gpu is None else f"{self.per_node}x{self.gpu.name}"
        return one if self.nodes == 1 else f"{self.nodes} nodes of {one}"


@dataclass(frozen=True)
class Plan:
    """What a training needs and how long it takes.

    Args:
        limit: Bytes that each process may use.
        change: The nearest change with which it fits, as settings; empty where it fits, or where nothing helps.
        assumptions: What the figures rest on beside the recipe, a sentence each.
    """

    name: str
    kind: Task
    model: str
    architecture: Architecture
    machine: Machine
    sharding: Sharding
    memory: Memory
    limit: int
    trained: int
    durations: Durations | None
    change: tuple[str, ...]
    assumptions: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the memory suffices."""
        return self.memory.total <= self.limit

    @property
    def hours(self) -> float | None:
        """Hours of the whole training; None on a CPU, or where the number of rows is not known."""
        return None if self.durations is None else self.durations.hours

    def record(self) -> dict[str, Any]:
        """The plan in JSON's terms: bytes, seconds, hours."""
        time = self.durations
        return {
            "name": self.name,
            "kind": self.kind,
            "model": self.model,
            "parameters": self.architecture.parameters,
            "trained_parameters": self.trained,
            "gpus": self.machine.name,
            "processes": self.machine.processes,
            "sharding": asdict(self.sharding),
            "fits": self.fits,
            "memory": {
                "total": self.memory.total,
                "limit": self.limit,
                "moment": self.memory.moment,
                "parts": self.memory.parts,
                "host": self.memory.host,
            },
            "change": list(self.change),
            **({} if time is None else asdict(time)),
            "hours": self.hours,
            "assumptions": list(self.assumptions),
        }


@dataclass(frozen=True)
class Training:
    """A training to plan.

    Args:
        settings: As they are written, the last of each name first to count.
        architecture: The model's, where a stage makes it; by default that of model_name_or_path.
        accelerator: The accelerate file that its pipeline names.
        rows: Rows of its data, where a stage makes them.
        prompt_tokens: Tokens of a prompt, where a stage makes the problems.
        is_stage: Whether it is one of a pipeline's.
    """

    name: str
    task: Task
    settings: tuple[Setting, ...]
    architecture: Architecture | None = None
    accelerator: str | None = None
    rows: int | None = None
    prompt_tokens: int | None = None
    is_stage: bool = False

    @contextmanager
    def named(self) -> Iterator[None]:
        """Gives the messages of a pipeline's stage its name."""
        try:
            yield
        except ConfigError as error:
            raise (ConfigError(f"stage '{self.name}': {error}") if self.is_stage else error) from None


def training_of(recipe: str | Path | None, changes: Sequence[str] = (), name: str = "") -> Training:
    """The training of a recipe with "key=value" in place of what it says. UsageError for a recipe that trains nothing."""
    path = Path(recipe) if recipe else None
    written = [*(read_recipe(path) if path else []), *read_changes(changes)]
    if path:
        check_trains(path, written)
    task = (task_of(path) if path else None) or kind_of(written)
    return Training(name or str(recipe or task), task, tuple(written))


def plan(
    recipe: str | Path | None = None,
    gpus: str = "8xH100-80GB",
    accelerator: str | Path | None = None,
    nodes: int = 1,
    changes: Sequence[str] = (),
    *,
    name: str = "",
    **options: Any,
) -> Plan:
    """The plan of the training of one recipe; see `plan_training`.

    Args:
        recipe: A recipe's file.
        changes: "key=value", in place of the recipe's.
    """
    return plan_training(training_of(recipe, changes, name), gpus, accelerator, nodes, **options)


def plan_training(
    training: Training,
    gpus: str = "8xH100-80GB",
    accelerator: str | Path | None = None,
    nodes: int = 1,
    *,
    rows: int | None = None,
    mean_tokens: int | None = None,
    prompt_tokens: int | None = None,
    mfu: float = MFU,
) -> Plan:
    """The plan of one SFT or GRPO training.

    Args:
        gpus: Those of each node that train, "8xH100-80GB".
        accelerator: An accelerate file or its name; None is data parallel.
        rows: Rows of the data; by default those of a local file or a published set.
        mean_tokens: Mean tokens of a sample (SFT) or completion (GRPO); by default the most that the recipe allows.
        prompt_tokens: Tokens of a GRPO prompt; by default max_prompt_length, or the longest of a local file.

    Raises:
        UsageError: An unknown GPU or accelerate file, settings that contradict each other, a model of unknown size.
    """
    with training.named():
        read = read_settings(training.task, training.settings)
        values, model = read.values, read.values.model_name_or_path
        if training.architecture is None and not model:
            raise ConfigError("the recipe has no model_name_or_path; give one by --set model_name_or_path=MODEL.")
        architecture = training.architecture or read_architecture(str(model), values.model_revision)
        per_node, gpu = read_gpus(gpus)
        machine = Machine(None) if values.use_cpu else Machine(gpu, per_node, nodes)
        named = None if values.use_cpu else accelerator or training.accelerator
        file = find_accelerate_file(str(named)) if named else None
        if file is not None:
            check_agreement(file, read, Layout(nodes, per_node))
        check_world_size(read, machine.processes)
        prompt = prompt_length(values, prompt_tokens or training.prompt_tokens) if read.task == "grpo" else (0, "")
        work = make_workload(
            read.task, values, architecture, make_sharding(file, machine.processes), machine, prompt[0]
        )
        rows = rows or training.rows or count_rows(values)
        return make_plan(training.name, read, work, machine, rows, mean_length(work, mean_tokens, prompt[1]), mfu)


def make_plan(
    name: str,
    read: ReadSettings,
    work: Workload,
    machine: Machine,
    rows: int | None,
    mean: tuple[float, str],
    mfu: float,
) -> Plan:
    """The plan of a workload; `mean` is as of `mean_length`."""
    values, kind = work.settings, work.kind
    memory, limit = memory_of(work, machine), machine.limit
    durations, assumptions = None, [*read.notices, mean[1]]
    if machine.gpu is not None:
        sampling = sampling_of(work, machine, memory, mean[0]) if kind == "grpo" else (0.0, 0)
        durations = plan_durations(work, machine.gpu, mfu, rows, mean[0], sampling)
        if kind == "grpo" and values.use_vllm and values.vllm_mode == "server":
            assumptions.append("vLLM's server has one further GPU of this kind.")
        assumptions.append(f"The update reaches {mfu:.0%} of the GPUs' bfloat16 peak (MFU).")
        if durations.steps is None:
            assumptions.append("The number of rows is not known, so that hours are not; give --rows N.")
    change = () if memory.total <= limit else nearest_change(work, machine)
    return Plan(
        name, kind, str(values.model_name_or_path or "its stage's"), work.architecture, machine, work.sharding, memory,
        limit, work.trained, durations, change, tuple(assumptions),
    )  # fmt: skip


def make_workload(
    kind: Task, values: RecipeSettings, architecture: Architecture, sharding: Sharding, machine: Machine, prompt: int
) -> Workload:
    """What each process computes, at the longest sample that the recipe allows. ConfigError where it allows any length."""
    length = values.max_length if kind == "sft" else values.max_completion_length
    if length is None:
        key = "max_length" if kind == "sft" else "max_completion_length"
        raise ConfigError(f"{key} is null, so that samples may be of any length; give --set {key}=N to plan with.")
    return Workload(
        kind, architecture, values, sharding, values.per_device_train_batch_size, length + prompt,
        values.gradient_accumulation_steps, machine.gpu is not None, prompt,
    )  # fmt: skip


def memory_of(work: Workload, machine: Machine) -> Memory:
    """The memory of the training, with what generation needs on the same GPU."""
    memory = plan_memory(work)
    values = work.settings
    if work.kind == "sft" or (values.use_vllm and values.vllm_mode == "server"):
        return memory
    if values.use_vllm and machine.gpu is not None:
        share = round(values.vllm_gpu_memory_utilization * machine.gpu.memory)
        if not values.vllm_enable_sleep_mode:
            return replace(memory, parts=memory.parts | {"vLLM": share})
        return larger(memory, Memory("generation", resting(memory) | {"vLLM": share}, memory.host))
    cache = generated_at_once(work) * work.length * cache_bytes(work.architecture) * work.compute_bytes // KV_BYTES
    logits = 3 * 4 * generated_at_once(work) * work.architecture.vocab_size  # float32 scores, noisy ones, a copy
    return larger(memory, Memory("generation", resting(memory) | {"KV cache": cache, "logits": logits}, memory.host))


def resting(memory: Memory) -> dict[str, int]:
    """The parts that are there while samples are generated."""
    names = ("weights", "optimizer", "communication", "reference model")
    return {name: memory.parts[name] for name in names if name in memory.parts}


def larger(first: Memory, second: Memory) -> Memory:
    """The one with more bytes."""
    return max(first, second, key=lambda memory: memory.total)


def generated_at_once(work: Workload) -> int:
    """Completions that each process samples for one generation."""
    values = work.settings
    if values.generation_batch_size is not None:
        return -(-values.generation_batch_size // work.sharding.processes)
    return work.samples * (values.steps_per_generation or work.accumulation)


def mean_length(work: Workload, mean_tokens: int | None, of_prompt: str) -> tuple[float, str]:
    """Mean tokens of a sample with its prompt, and a sentence on where the number comes from.

    Args:
        of_prompt: Where the tokens of a prompt come from, as of `prompt_length`.
    """
    values, most = work.settings, ", the most that the recipe allows (--mean_tokens N)"
    if work.kind == "grpo":
        completion = mean_tokens or work.length - work.prompt
        said = f"Prompts have {work.prompt:,} tokens{of_prompt}; completions {completion:,} on average"
        return work.prompt + completion, f"{said}{'' if mean_tokens else most}."
    known = DATA_SETS.get(values.dataset_name or "", {}).get(values.dataset_config or "default", (None, None))[1]
    mean = min(mean_tokens or known or work.length, work.length)
    said = "" if mean_tokens else " as in the published set" if known else most
    return mean, f"Samples have {mean:,} tokens on average{said}."


def sampling_of(work: Workload, machine: Machine, memory: Memory, mean: float) -> tuple[float, int]:
    """Seconds of the generation that an optimizer step needs, and its waves."""
    values, a, gpu = work.settings, work.architecture, machine.gpu
    assert gpu is not None, "durations are planned for GPUs"
    here, spread = generated_at_once(work), 1
    if values.use_vllm and values.vllm_mode == "server":
        room, here = USABLE * gpu.memory - KV_BYTES * a.parameters, here * work.sharding.processes
    elif values.use_vllm:
        spread = values.vllm_tensor_parallel_size
        room = spread * values.vllm_gpu_memory_utilization * gpu.memory - KV_BYTES * a.parameters
        here *= spread
    else:
        room = machine.limit - sum(resting(memory).values())
    seconds, waves = generation_seconds(a, gpu, spread, here, room, work.prompt, mean - work.prompt)
    used_for = (values.steps_per_generation or work.accumulation) * values.num_iterations / work.accumulation
    return seconds / max(used_for, 1e-9), waves


def nearest_change(work: Workload, machine: Machine) -> tuple[str, ...]:
    """The first of the changes, alone or with those before it, with which the training fits; empty where none helps."""
    for words, values, spread in candidates(work):
        changed = make_workload(work.kind, values, work.architecture, spread, machine, work.prompt)
        if memory_of(changed, machine).total <= machine.limit:
            return words
    return ()


def candidates(work: Workload) -> Iterator[tuple[tuple[str, ...], RecipeSettings, Sharding]]:
    """Changes in the order in which they cost least, each alone and then one upon the other, in words and as settings."""
    values, sharding = work.settings, work.sharding
    steps: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    if not values.gradient_checkpointing:
        steps.append(("gradient_checkpointing=true", {"gradient_checkpointing": True}, {}))
    batch, accumulation = values.per_device_train_batch_size, values.gradient_accumulation_steps
    while batch % 2 == 0:
        batch, accumulation = batch // 2, accumulation * 2
        words = f"per_device_train_batch_size={batch} gradient_accumulation_steps={accumulation}"
        steps.append((words, {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}, {}))
    if sharding.processes > 1 and not sharding.offloads_optimizer:
        if sharding.strategy in ("ddp", "zero1", "zero2"):
            steps.append(("accelerator zero3 without offload", {}, {"strategy": "zero3"}))
        off = {"strategy": "zero3", "offloads_optimizer": True, "offloads_weights": True}
        steps.append(("accelerator zero3 with offload to the host", {}, off))
    if values.dtype == "float32":
        steps.append(("dtype=bfloat16", {"dtype": "bfloat16"}, {}))
    if not values.use_peft:
        lora = {"use_peft": True, "lora_target_modules": ["all-linear"]}
        steps.append(("use_peft=true lora_target_modules=[all-linear]", lora, {}))
    yield from (((words,), replace(values, **own), replace(sharding, **spread)) for words, own, spread in steps)
    together: dict[str, Any] = {}
    spreads: dict[str, Any] = {}
    said: dict[str, str] = {}
    for words, own, spread in steps:
        together, spreads = together | own, spreads | spread
        said[words.partition("=")[0].split(" ")[0]] = words
        yield tuple(said.values()), replace(values, **together), replace(sharding, **spreads)
