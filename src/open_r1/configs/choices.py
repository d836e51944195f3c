"""The words that a setting of TRL may have where its dataclass takes any text and a trainer refuses it, or not even that.

TRL's and transformers' own fields say theirs by the `choices` of their metadata. A test compares these with TRL's source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal, Union

CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "GRPOConfig": {
        "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "luspo", "sapo", "vespo"),
        "importance_sampling_level": ("token", "sequence"),
        "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
        "scale_rewards": ("group", "batch", "none"),
        "vllm_mode": ("colocate", "server"),
        "vllm_model_impl": ("auto", "vllm", "transformers"),
        "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
    },
    "SFTConfig": {"packing_strategy": ("bfd", "bfd_split", "wrapped", "bfd-requeue")},
    "TrainingArguments": {
        "include_num_input_tokens_seen": ("all", "non_padding", "no"),
        "torch_compile_mode": ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),
    },
    "ModelConfig": {"lora_task_type": ("CAUSAL_LM",)},
}
"""Class -> setting -> its words."""

SWITCHES = ("scale_rewards", "include_num_input_tokens_seen")
"""Settings that were switches once, and still take true and false."""


def choices_of(classes: Sequence[type]) -> dict[str, Any]:
    """The type of each setting of these dataclasses that has a closed set of words."""
    named = {one.name: tuple(one.metadata.get("choices") or ()) for cls in classes for one in fields(cls)}  # type: ignore[arg-type]
    for cls in classes:
        for base in cls.__mro__:
            named |= CHOICES.get(base.__name__, {})
    kinds: dict[str, Any] = {name: Literal[words] for name, words in named.items() if words}  # type: ignore[valid-type]
    return kinds | {name: Union[kinds[name], bool] for name in SWITCHES if name in kinds}  # noqa: UP007 - built at run time
