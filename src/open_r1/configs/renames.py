"""Names that TRL and transformers dropped or renamed since recipes were written for them.

An old name is translated with one line of notice: never an error, never silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rename:
    """`new` None means that the setting has no successor; `why` then says what holds instead."""

    new: str | None
    why: str = ""
    convert: Callable[[Any], Any] | None = None


def is_true(value: Any) -> bool:
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
