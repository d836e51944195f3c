"""A plan of a recipe on GPUs: memory, time, whether it fits, and the nearest change with which it does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from open_r1.configs.checks import check_batch
from open_r1.configs.reader import Setting, read_changes, read_recipe
from open_r1.data.sources import open_rows
from open_r1.errors import ConfigError
from open_r1.gpus import GPU, read_gpus
from open_r1.hub.folders import looks_local
from open_r1.launch.accelerate import find_accelerate_file
from open_r1.launch.plan.architectures import Architecture, read_architecture
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
from open_r1.launch.plan.settings import Kind, ReadSettings, RecipeSettings, kind_of, read_settings
from open_r1.launch.plan.sharding import Sharding, check_agreement, make_sharding

USABLE = 0.92
"""Share of a GPU's memory that a training gets: the rest is the CUDA context's, NCCL's and lost between blocks."""
PROMPT_TOKENS = 512
"""Tokens of a prompt where a recipe gives no max_prompt_length."""


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
    kind: Kind
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


def plan(
    recipe: str | Path | None = None,
    gpus: str = "8xH100-80GB",
    accelerator: str | Path | None = None,
    nodes: int = 1,
    changes: Sequence[str] = (),
    *,
    kind: Kind | None = None,
    settings: Sequence[Setting] = (),
    architecture: Architecture | None = None,
    rows: int | None = None,
    mean_tokens: int | None = None,
    prompt_tokens: int | None = None,
    mfu: float = MFU,
    name: str = "",
) -> Plan:
    """The plan of one SFT or GRPO training.

    Args:
        recipe: A recipe's file.
        gpus: Those of each node that train, "8xH100-80GB".
        accelerator: An accelerate file or its name; None is data parallel.
        changes: "key=value", in place of the recipe's.
        kind: sft or grpo; by default found from the settings.
        settings: Further settings, which win over the recipe's: a pipeline's.
        architecture: The model's; by default that of model_name_or_path.
        rows: Rows of the data; by default those of a local file or a published set.
        mean_tokens: Mean tokens of a sample (SFT) or completion (GRPO); by default the most that the recipe allows.
        prompt_tokens: Tokens of a GRPO prompt; by default the recipe's max_prompt_length.

    Raises:
        UsageError: An unknown GPU or accelerate file, settings that contradict each other, a model of unknown size.
    """
    written = [*(read_recipe(Path(recipe)) if recipe else []), *settings, *read_changes(changes)]
    if prompt_tokens is not None:
        written.append(Setting("max_prompt_length", prompt_tokens, "prompt_tokens"))
    read = read_settings(kind or kind_of(written), written)
    model = read.values.model_name_or_path
    if architecture is None and not model:
        raise ConfigError("the recipe has no model_name_or_path; give one by --set model_name_or_path=MODEL.")
    found = architecture or read_architecture(str(model), read.values.model_revision)
    per_node, gpu = read_gpus(gpus)
    machine = Machine(None) if read.values.use_cpu else Machine(gpu, per_node, nodes)
    file = find_accelerate_file(str(accelerator)) if accelerator and not read.values.use_cpu else None
    if file is not None:
        check_agreement(file, read, nodes)
    sharding = make_sharding(file, machine.processes)
    name = name or (str(recipe) if recipe else read.kind)
    return make_plan(name, read, found, machine, sharding, rows or count_rows(read.values), mean_tokens, mfu)


def make_plan(
    name: str,
    read: ReadSettings,
    architecture: Architecture,
    machine: Machine,
    sharding: Sharding,
    rows: int | None,
    mean_tokens: int | None,
    mfu: float,
) -> Plan:
    """The plan of settings that were read. ConfigError where a group does not divide the generation batch."""
    values, kind = read.values, read.kind
    if kind == "grpo":
        check_batch({key: getattr(values, key) for key in BATCH_KEYS}, machine.processes)
    work = make_workload(kind, values, architecture, sharding, machine)
    memory, limit = memory_of(work, machine), machine.limit
    durations, assumptions = None, [*read.notices]
    if machine.gpu is not None:
        mean, said = mean_length(work, mean_tokens)
        sampling = sampling_of(work, machine, memory, mean) if kind == "grpo" else (0.0, 0)
        durations = plan_durations(work, machine.gpu, mfu, rows, mean, sampling)
        if kind == "grpo" and values.use_vllm and values.vllm_mode == "server":
            assumptions.append("vLLM's server has one further GPU of this kind.")
        assumptions += [said, f"The update reaches {mfu:.0%} of the GPUs' bfloat16 peak (MFU)."]
        if durations.steps is None:
            assumptions.append("The number of rows is not known, so that hours are not; give --rows N.")
    change = () if memory.total <= limit else nearest_change(read, architecture, machine, sharding)
    return Plan(
        name, kind, str(values.model_name_or_path or "its stage's"), architecture, machine, sharding, memory, limit,
        work.trained, durations, change, tuple(assumptions),
    )  # fmt: skip


BATCH_KEYS = (
    "num_generations", "steps_per_generation", "gradient_accumulation_steps", "per_device_train_batch_size",
    "generation_batch_size",
)  # fmt: skip


def make_workload(
    kind: Kind, values: RecipeSettings, architecture: Architecture, sharding: Sharding, machine: Machine
) -> Workload:
    """What each process computes, at the longest sample that the recipe allows. ConfigError where it allows any length."""
    length = values.max_length if kind == "sft" else values.max_completion_length
    if length is None:
        key = "max_length" if kind == "sft" else "max_completion_length"
        raise ConfigError(f"{key} is null, so that samples may be of any length; give --set {key}=N to plan with.")
    if kind == "grpo":
        length += values.max_prompt_length or PROMPT_TOKENS
    return Workload(
        kind, architecture, values, sharding, values.per_device_train_batch_size, length,
        values.gradient_accumulation_steps, machine.gpu is not None,
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
        resting = {name: memory.parts[name] for name in RESIDENT if name in memory.parts}
        return larger(memory, Memory("generation", resting | {"vLLM": share}, memory.host))
    resting = {name: memory.parts[name] for name in RESIDENT if name in memory.parts}
    cache = generated_at_once(work) * work.length * cache_bytes(work.architecture) * work.compute_bytes // KV_BYTES
    logits = 3 * 4 * generated_at_once(work) * work.architecture.vocab_size  # float32 scores, noisy ones, a copy
    return larger(memory, Memory("generation", resting | {"KV cache": cache, "logits": logits}, memory.host))


RESIDENT = ("weights", "optimizer", "communication", "reference model")
"""Parts of memory that are there while samples are generated."""


def larger(first: Memory, second: Memory) -> Memory:
    """The one with more bytes."""
    return max(first, second, key=lambda memory: memory.total)


def generated_at_once(work: Workload) -> int:
    """Completions that each process samples for one generation."""
    values = work.settings
    if values.generation_batch_size is not None:
        return -(-values.generation_batch_size // work.sharding.processes)
    return work.samples * (values.steps_per_generation or work.accumulation)


def mean_length(work: Workload, mean_tokens: int | None) -> tuple[float, str]:
    """Mean tokens of a sample with its prompt, and a sentence on where the number comes from."""
    values = work.settings
    known = DATA_SETS.get(values.dataset_name or "", {}).get(values.dataset_config or "default", (None, None))[1]
    if work.kind == "grpo":
        completion = mean_tokens or values.max_completion_length or 0
        said = "" if mean_tokens else ", the most that the recipe allows (--mean_tokens N)"
        prompt = work.length - (values.max_completion_length or 0)
        assumed = "" if values.max_prompt_length else ", as assumed (--prompt_tokens N)"
        return prompt + completion, (
            f"Prompts have {prompt:,} tokens{assumed}; completions {completion:,} on average{said}.")  # fmt: skip
    mean = min(mean_tokens or known or work.length, work.length)
    said = (
        ""
        if mean_tokens
        else " as in the published set"
        if known
        else ", the most that the recipe allows (--mean_tokens N)"
    )
    return mean, f"Samples have {mean:,} tokens on average{said}."


def sampling_of(work: Workload, machine: Machine, memory: Memory, mean: float) -> tuple[float, int]:
    """Seconds of the generation that an optimizer step needs, and its waves."""
    values, a, gpu = work.settings, work.architecture, machine.gpu
    assert gpu is not None, "durations are planned for GPUs"
    prompt = values.max_prompt_length or PROMPT_TOKENS
    here, spread = generated_at_once(work), 1
    if values.use_vllm and values.vllm_mode == "server":
        room, here = USABLE * gpu.memory - KV_BYTES * a.parameters, here * work.sharding.processes
    elif values.use_vllm:
        spread = values.vllm_tensor_parallel_size
        room = spread * values.vllm_gpu_memory_utilization * gpu.memory - KV_BYTES * a.parameters
        here *= spread
    else:
        resting = sum(size for name, size in memory.parts.items() if name in RESIDENT)
        room = machine.limit - resting
    seconds, waves = generation_seconds(a, gpu, spread, here, room, prompt, mean - prompt)
    used_for = (values.steps_per_generation or work.accumulation) * values.num_iterations / work.accumulation
    return seconds / max(used_for, 1e-9), waves


def count_rows(values: RecipeSettings) -> int | None:
    """Rows of the training data: of a local file, or of a set whose size is published; None where they are not known."""
    name = values.dataset_name
    if name is None:
        return None
    if name in DATA_SETS:
        return DATA_SETS[name].get(values.dataset_config or "default", (None, None))[0]
    if looks_local(name) and Path(name).is_file():
        return sum(1 for _ in open_rows(name).read())
    return None


def nearest_change(
    read: ReadSettings, architecture: Architecture, machine: Machine, sharding: Sharding
) -> tuple[str, ...]:
    """The first of the changes, alone or with those before it, with which the training fits; empty where none helps."""
    for words, values, spread in candidates(read, sharding):
        work = make_workload(read.kind, values, architecture, spread, machine)
        if memory_of(work, machine).total <= machine.limit:
            return words
    return ()


def candidates(read: ReadSettings, sharding: Sharding) -> Iterator[tuple[tuple[str, ...], RecipeSettings, Sharding]]:
    """Changes in the order in which they cost least, each alone and then one upon the other, in words and as settings."""
    values = read.values
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
