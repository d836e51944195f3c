"""Names that TRL and transformers dropped or renamed since recipes were written for them.

An old name is translated with one line of notice: never an error, never silence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from open_r1.configs.reader import COMMAND_LINE, Setting, as_setting
from open_r1.configs.types import read_value
from open_r1.errors import ConfigError, nearest


@dataclass(frozen=True)
class Rename:
    """`new` None means that the setting has no successor; `why` then says what applies instead.

    `values` are the successor's for true and false, where the old name was a switch and the new one is not; None leaves the
    successor as it is.
    """

    new: str | None
    why: str = ""
    values: tuple[Any, Any] | None = None


SHORT = {
    "lr": "learning_rate", "epochs": "num_train_epochs", "steps": "max_steps", "batch_size": "per_device_train_batch_size",
    "model": "model_name_or_path", "dataset": "dataset_name", "data": "dataset_name", "out": "output_dir",
    "output": "output_dir", "rewards": "reward_funcs", "num_samples": "num_generations", "resume": "resume_from_checkpoint",
    "max_new_tokens": "max_completion_length", "wd": "weight_decay", "grad_accum": "gradient_accumulation_steps",
}  # fmt: skip
"""What other tools call a setting, for the hint of a refusal."""

VLLM_PLACEMENT = "vLLM is placed by vllm_mode, vllm_tensor_parallel_size and CUDA_VISIBLE_DEVICES"
PRECISION = "mixed precision is PyTorch's own, by bf16 or fp16"
TPU = "accelerate's file describes a TPU"
FSDP = "accelerate's file or fsdp_config says what FSDP wraps"
DROPPED = "transformers dropped it"

RENAMES: dict[str, Rename] = {
    "max_seq_length": Rename("max_length"),
    "torch_dtype": Rename("dtype"),
    "use_liger": Rename("use_liger_kernel"),
    "vllm_max_model_len": Rename("vllm_max_model_length"),
    "vllm_importance_sampling_cap": Rename("vllm_importance_sampling_clip_max"),
    "use_transformers_paged": Rename("use_transformers_continuous_batching"),
    "evaluation_strategy": Rename("eval_strategy"),
    "per_gpu_train_batch_size": Rename("per_device_train_batch_size"),
    "per_gpu_eval_batch_size": Rename("per_device_eval_batch_size"),
    "no_cuda": Rename("use_cpu"),
    "warmup_ratio": Rename("warmup_steps"),
    "group_by_length": Rename("train_sampling_strategy", values=("group_by_length", "random")),
    "vllm_device": Rename(None, VLLM_PLACEMENT),
    "vllm_device_map": Rename(None, VLLM_PLACEMENT),
    "vllm_dtype": Rename(None, "vLLM takes the model's own dtype"),
    "vllm_enable_prefix_caching": Rename(None, "vLLM caches prefixes by itself"),
    "save_safetensors": Rename(None, "checkpoints are always safetensors"),
    "logging_dir": Rename(None, "trackers keep their own folders; metrics.jsonl is in output_dir"),
    "model_code_revision": Rename(None, "model_revision covers the code too"),
    "provider_type": Rename("code_provider"),
    "use_liger_loss": Rename("use_liger_kernel"),
    "vllm_guided_decoding_regex": Rename("vllm_structured_outputs_regex"),
    "push_to_hub_model_id": Rename("hub_model_id"),
    "push_to_hub_token": Rename("hub_token"),
    "push_to_hub_organization": Rename(None, "hub_model_id names the organization too, as organization/model"),
    "torchdynamo": Rename("torch_compile_backend"),
    "adafactor": Rename("optim", values=("adafactor", None)),
    "include_inputs_for_metrics": Rename("include_for_metrics", values=(["inputs"], None)),
    "gradient_checkpointing_use_reentrant": Rename(
        "gradient_checkpointing_kwargs", values=({"use_reentrant": True}, {"use_reentrant": False})
    ),
    "include_tokens_per_second": Rename(None, "metrics.jsonl has the tokens a second"),
    "fsdp_min_num_params": Rename(None, FSDP),
    "fsdp_transformer_layer_cls_to_wrap": Rename(None, FSDP),
    "use_mps_device": Rename(None, "an Apple GPU is used where there is one; use_cpu switches it off"),
    "use_ipex": Rename(None, "PyTorch itself optimizes for Intel processors"),
    **dict.fromkeys(("half_precision_backend", "fp16_backend", "fp16_opt_level"), Rename(None, PRECISION)),
    **dict.fromkeys(("tpu_num_cores", "tpu_metrics_debug"), Rename(None, TPU)),
    **dict.fromkeys(
        "jit_mode_eval past_index use_legacy_prediction_loop mp_parameters ray_scope".split(), Rename(None, DROPPED)
    ),
    **dict.fromkeys(
        "dataset_batch_size num_of_sequences chars_per_token".split(),
        Rename(None, "packing measures the samples by itself"),
    ),
}
"""What TrainingArguments of transformers 4.52 and the dataclasses of TRL 0.18 and before had, and the present ones lack."""


def translate(settings: Iterable[Setting], known: Collection[str]) -> tuple[list[Setting], list[str]]:
    """Settings under their present names, with a line of notice for each old name.

    A name that is still `known` is never translated. ConfigError for a name that is neither, and for a setting that one
    source gives under two names with two values.
    """
    translated: list[Setting] = []
    notices: list[str] = []
    written: dict[tuple[str, str], Setting] = {}
    for setting in settings:
        key, rename = setting.key, None
        if key.startswith("no_") and key[3:] in known:  # transformers' way to switch off
            setting = Setting(key[3:], False, setting.origin)
        elif key not in known:
            rename = RENAMES.get(key)
            if rename is None:
                raise ConfigError(unknown_key_message(setting, known))
        if rename is None or rename.new in known:
            present = setting if rename is None else renamed(setting, rename)
            if present is not None:
                refuse_two_names(written, setting, present)
                translated.append(present)
        if rename is not None:
            became = f"is now '{rename.new}'" if rename.new in known else f"(now '{rename.new}') has no meaning here"
            notices.append(
                f"{setting.origin}: '{key}' {became if rename.new else f'is not used any more: {rename.why}'}."
            )
    return translated, notices


def renamed(setting: Setting, rename: Rename) -> Setting | None:
    """The setting under its present name, in the present name's terms; None where it leaves that as it is."""
    if rename.values is None:
        return replace(setting, key=str(rename.new))
    value = rename.values[0 if read_value(setting, bool) else 1]
    return None if value is None else as_setting(str(rename.new), value, setting.origin)


def refuse_two_names(written: dict[tuple[str, str], Setting], setting: Setting, present: Setting) -> None:
    """ConfigError where one file, or the command line, gives a setting's old and new name with different values."""
    source = setting.origin.rpartition(":")[0] or setting.origin
    first = written.setdefault((source, present.key), setting)
    if first.key != setting.key and shown(first) != shown(setting):
        raise ConfigError(
            f"{setting.origin}: '{first.key}' and '{setting.key}' are one setting, now called '{present.key}', but are "
            f"given as {shown(first)!r} ({first.origin}) and {shown(setting)!r}; keep one of them."
        )


def shown(setting: Setting) -> Any:
    """The value as it was written: the words of the command line in one."""
    is_words = setting.origin == COMMAND_LINE and isinstance(setting.value, list)
    return " ".join(setting.value) if is_words else setting.value


def unknown_key_message(setting: Setting, known: Collection[str]) -> str:
    """The refusal of a setting that does not exist, with the nearest that does."""
    name = f"--{setting.key}" if setting.origin == COMMAND_LINE else f"'{setting.key}'"
    short = SHORT.get(setting.key)
    hint = f"; did you mean '{short}'?" if short in known else nearest(setting.key, [*known, *RENAMES])
    advice = hint if hint != "." else "; remove it or see docs/reference/settings.md for the known ones."
    return f"{setting.origin}: unknown setting {name}{advice}"
