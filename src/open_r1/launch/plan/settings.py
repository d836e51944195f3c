"""What a recipe says that memory and time depend on, read without TRL.

`training.parse` loads torch and TRL (10 s) and adapts the settings to this machine: without a GPU it would switch bf16 and
Liger off, and a plan is for another machine. So a plan reads these few settings itself; a test compares their defaults
with TRL's. The command `open-r1 plan` has all settings checked beforehand, as `open-r1 sft|grpo --dry-run` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from open_r1.configs.fields import limits_of, setting
from open_r1.configs.ranges import COUNT, SHARE, check_ranges
from open_r1.configs.reader import Setting
from open_r1.configs.renames import RENAMES, renamed
from open_r1.configs.types import read_value
from open_r1.launch.recipe import Task, WrittenSettings


@dataclass(frozen=True)
class RecipeSettings:
    """The settings of a recipe that a plan reads, with TRL's defaults."""

    model_name_or_path: str | None = setting(None, "A local folder or Hub id.")
    model_revision: str = setting("main", "The Hub's branch, tag or commit.")
    dtype: str = setting("float32", "The dtype that the weights are loaded in.")
    attn_implementation: str | None = setting(None, "flash_attention_2, sdpa or eager.")
    use_peft: bool = setting(False, "Train a LoRA adapter.")
    lora_r: int = setting(16, "Its rank.", COUNT)
    lora_dropout: float = setting(0.05, "Its dropout.")
    lora_target_modules: list[str] | str | None = setting(None, "The linear modules that it changes.")
    load_in_8bit: bool = setting(False, "Quantize the frozen weights to 8 bits.")
    load_in_4bit: bool = setting(False, "Quantize the frozen weights to 4 bits.")
    use_bnb_nested_quant: bool = setting(False, "Quantize the constants of the quantization too.")
    dataset_name: str | None = setting(None, "A Hub id, local file or folder.")
    dataset_config: str | None = setting(None, "Configuration of a Hub data set.")
    dataset_mixture: dict[str, Any] | None = setting(None, "Mixture of data sets.")
    dataset_prompt_column: str = setting("prompt", "Column with the problem.")
    system_prompt: str | None = setting(None, "System prompt before every conversation.")
    max_samples: int | None = setting(None, "The first so many rows.", COUNT)
    bf16: bool | None = setting(None, "Compute in bfloat16; by default, where there is a GPU.")
    fp16: bool = setting(False, "Compute in float16.")
    use_cpu: bool = setting(False, "Train on the CPU.")
    gradient_checkpointing: bool = setting(True, "Compute activations again instead of keeping them.")
    use_liger_kernel: bool = setting(False, "Liger's fused layers.")
    per_device_train_batch_size: int = setting(8, "Samples of a micro-batch.", COUNT)
    gradient_accumulation_steps: int = setting(1, "Micro-batches of a step.", COUNT)
    num_train_epochs: float = setting(3.0, "Passes over the data.")
    max_steps: int = setting(-1, "Steps; in place of epochs.")
    optim: str = setting("adamw_torch_fused", "The optimizer.")
    max_length: int | None = setting(1024, "SFT: tokens of a sample at most.", COUNT)
    packing: bool = setting(False, "SFT: several samples in one sequence of max_length.")
    max_prompt_length: int | None = setting(None, "GRPO: tokens of a problem's prompt at most.", COUNT)
    max_completion_length: int | None = setting(512, "GRPO: tokens of a completion at most.", COUNT)
    num_generations: int = setting(8, "GRPO: samples of a problem.")
    generation_batch_size: int | None = setting(None, "GRPO: completions sampled at once, of all processes.")
    steps_per_generation: int | None = setting(None, "GRPO: micro-batches that a generation is for.")
    num_iterations: int = setting(1, "GRPO: updates on each generation.", COUNT)
    beta: float = setting(0.0, "GRPO: weight of the KL term, which needs the reference model.")
    use_vllm: bool = setting(False, "GRPO: sample by vLLM.")
    vllm_mode: str = setting("colocate", "GRPO: vLLM on the training's GPUs, or on a server's.")
    vllm_gpu_memory_utilization: float = setting(0.3, "GRPO: vLLM's share of a GPU that it is colocated on.", SHARE)
    vllm_enable_sleep_mode: bool = setting(False, "GRPO: vLLM frees its share while the model is updated.")
    vllm_tensor_parallel_size: int = setting(1, "GRPO: GPUs that one vLLM engine is spread over.", COUNT)


@dataclass(frozen=True)
class ReadSettings(WrittenSettings):
    """What a training's settings say that a plan reads, beside the settings as they are written."""

    task: Task
    values: RecipeSettings
    written: Sequence[Setting]
    notices: tuple[str, ...] = ()


def kind_of(settings: Iterable[Setting]) -> Task:
    """GRPO where a setting is one that only GRPO has, else SFT."""
    only_grpo = ("reward_funcs", "num_generations", "max_completion_length", "beta", "use_vllm", "reward_weights")
    return "grpo" if any(one.key.replace("-", "_") in only_grpo for one in settings) else "sft"


def read_settings(task: Task, written: Sequence[Setting]) -> ReadSettings:
    """The settings of a recipe, the last value of each; ConfigError, with the line, for one of another type.

    A change by --set of a setting that a plan does not read has a notice.
    """
    hints = get_type_hints(RecipeSettings)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    notices: list[str] = []
    for given in written:
        one: Setting | None = given
        rename = RENAMES.get(given.key) if given.key not in hints else None
        if rename is not None and rename.new in hints:
            notices.append(f"{given.origin}: '{given.key}' is now '{rename.new}'.")
            one = renamed(given, rename)
        if one is not None and one.key in hints:
            values[one.key] = read_value(one, hints[one.key])
            origins[one.key] = one.origin
        elif given.origin.startswith("--set ") and rename is None:
            notices.append(f"{given.origin} changes nothing here: a plan does not depend on {given.key}.")
    limits = limits_of(RecipeSettings)
    check_ranges(values, origins, {key: limits[key] for key in values if key in limits})
    return ReadSettings(task, RecipeSettings(**values), written, tuple(notices))
