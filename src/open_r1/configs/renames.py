"""Names that TRL and transformers dropped or renamed since recipes were written for them.

An old name is translated with one line of notice: never an error, never silence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from open_r1.configs.reader import COMMAND_LINE, Setting
from open_r1.errors import ConfigError, nearest


@dataclass(frozen=True)
class Rename:
    """`new` None means that the setting has no successor; `why` then says what applies instead."""

    new: str | None
    why: str = ""
    convert: Callable[[Any], Any] | None = None


def is_true(value: Any) -> bool:
    """Whether a value switches a setting on."""
    return str(value).lower() in ("true", "1", "yes", "")


VLLM_PLACEMENT = "vLLM is placed by vllm_mode, vllm_tensor_parallel_size and CUDA_VISIBLE_DEVICES"

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
    "group_by_length": Rename(
        "train_sampling_strategy", convert=lambda value: "group_by_length" if is_true(value) else "random"
    ),
    "vllm_device": Rename(None, VLLM_PLACEMENT),
    "vllm_device_map": Rename(None, VLLM_PLACEMENT),
    "vllm_dtype": Rename(None, "vLLM takes the model's own dtype"),
    "vllm_enable_prefix_caching": Rename(None, "vLLM caches prefixes by itself"),
    "save_safetensors": Rename(None, "checkpoints are always safetensors"),
    "logging_dir": Rename(None, "trackers keep their own folders; metrics.jsonl is in output_dir"),
    "jit_mode_eval": Rename(None, "transformers dropped it"),
    "model_code_revision": Rename(None, "model_revision covers the code too"),
}


def translate(settings: Iterable[Setting], known: Collection[str]) -> tuple[list[Setting], list[str]]:
    """Settings under their present names, with a line of notice for each old name.

    A name that is still `known` is never translated. ConfigError for a name that is neither, and for a setting that one
    source gives under two names with two values.
    """
    settings = list(settings)
    refuse_two_names(settings, known)
    translated: list[Setting] = []
    notices: list[str] = []
    for setting in settings:
        rename = RENAMES.get(setting.key)
        if setting.key in known or (setting.key.startswith("no_") and setting.key[3:] in known):
            translated.append(setting)
        elif rename is None:
            raise ConfigError(unknown_key_message(setting, known))
        elif rename.new is None:
            notices.append(f"{setting.origin}: '{setting.key}' is not used any more: {rename.why}.")
        elif rename.new in known:
            notices.append(f"{setting.origin}: '{setting.key}' is now '{rename.new}'.")
            value = rename.convert(last_word(setting.value)) if rename.convert else setting.value
            translated.append(Setting(rename.new, value, setting.origin))
        else:
            notices.append(f"{setting.origin}: '{setting.key}' (now '{rename.new}') has no meaning here.")
    return translated, notices


def refuse_two_names(settings: Iterable[Setting], known: Collection[str]) -> None:
    """ConfigError where one file, or the command line, gives a setting's old and new name with different values."""
    written: dict[tuple[str, str], Setting] = {}
    for setting in settings:
        rename = RENAMES.get(setting.key) if setting.key not in known else None
        present = setting.key if rename is None else rename.new
        first = written.setdefault((source_of(setting), present or setting.key), setting)
        if first.key != setting.key and final_value(first) != final_value(setting):
            raise ConfigError(
                f"{setting.origin}: '{first.key}' and '{setting.key}' are one setting, now called '{present}', but are "
                f"given as {shown(first)!r} ({first.origin}) and {shown(setting)!r}; keep one of them."
            )


def shown(setting: Setting) -> Any:
    """The value as it was written: the words of the command line in one."""
    is_words = setting.origin == COMMAND_LINE and isinstance(setting.value, list)
    return " ".join(setting.value) if is_words else setting.value


def source_of(setting: Setting) -> str:
    """The file of "recipe.yaml:12"; other origins as they are."""
    return setting.origin.rpartition(":")[0] or setting.origin


def final_value(setting: Setting) -> str:
    """A value as its present name gets it, in a form that YAML's and the command line's can be compared in."""
    rename = RENAMES.get(setting.key)
    value = last_word(setting.value)
    return str(rename.convert(value) if rename and rename.convert else value)


def last_word(value: Any) -> Any:
    """The last word after a flag, or the value of a recipe."""
    return (value[-1] if value else "") if isinstance(value, list) else value


def unknown_key_message(setting: Setting, known: Collection[str]) -> str:
    """The refusal of a setting that does not exist, with the nearest that does."""
    name = f"--{setting.key}" if setting.origin == COMMAND_LINE else f"'{setting.key}'"
    hint = nearest(setting.key, [*known, *RENAMES])
    advice = hint if hint != "." else "; remove it or see docs/reference/settings.md for the known ones."
    return f"{setting.origin}: unknown setting {name}{advice}"
