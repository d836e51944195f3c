"""The settings that a paper's algorithm consists of, under one key: `preset: dapo`; and what recipes get by leaving it out.

A preset's values come before the settings that are given: `preset: dapo` with `epsilon_high: 0.2` clips at 0.2. Each value
keeps its origin ("preset dapo") in resolved.yaml. Data, rewards, lengths, batch and learning rate stay the recipe's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from open_r1.configs.arguments import PresetName
from open_r1.configs.reader import Setting
from open_r1.configs.types import read_value


@dataclass(frozen=True)
class Preset:
    """An algorithm's settings.

    Args:
        papers: arXiv identifiers of where the values come from.
        values: TRL's settings, and ours where TRL has none.
    """

    papers: tuple[str, ...]
    values: Mapping[str, Any]


TOKEN_LEVEL = {"importance_sampling_level": "token", "mask_truncated_completions": False}

PRESETS: dict[PresetName, Preset] = {
    # DeepSeekMath, section 4.2: KL coefficient 0.04; the loss is a mean over samples of means over their tokens.
    "grpo": Preset(
        ("2402.03300",),
        {
            **TOKEN_LEVEL,
            "loss_type": "grpo",
            "beta": 0.04,
            "epsilon": 0.2,
            "epsilon_high": 0.2,
            "scale_rewards": "group",
        },
    ),
    # DAPO, sections 3.1 to 3.4: clip higher, no KL, a mean over tokens, truncated samples left out, dull groups replaced.
    "dapo": Preset(
        ("2503.14476",),
        {
            "loss_type": "dapo",
            "beta": 0.0,
            "epsilon": 0.2,
            "epsilon_high": 0.28,
            "scale_rewards": "group",
            "importance_sampling_level": "token",
            "mask_truncated_completions": True,
            "dynamic_sampling": True,
        },
    ),
    # Dr. GRPO, section 3.2: no division by the group's standard deviation nor by a sample's length.
    "dr_grpo": Preset(
        ("2503.20783",),
        {
            **TOKEN_LEVEL,
            "loss_type": "dr_grpo",
            "beta": 0.0,
            "epsilon": 0.2,
            "epsilon_high": 0.2,
            "scale_rewards": "none",
        },
    ),
    # GSPO, section 5.1: one ratio a sequence, clipped at 3e-4 below and 4e-4 above.
    "gspo": Preset(
        ("2507.18071",),
        {
            "loss_type": "grpo",
            "beta": 0.0,
            "epsilon": 3e-4,
            "epsilon_high": 4e-4,
            "scale_rewards": "group",
            "importance_sampling_level": "sequence",
            "mask_truncated_completions": False,
        },
    ),
    # MiniMax-M1, section 3.1, leaves the weight's upper limit open; 5 is ScaleRL's. There is no lower one.
    "cispo": Preset(
        ("2506.13585", "2510.13786"),
        {**TOKEN_LEVEL, "loss_type": "cispo", "beta": 0.0, "epsilon_high": 5.0, "scale_rewards": "group"},
    ),
}


def preset_settings(given: Sequence[Setting]) -> list[Setting]:
    """The settings of the preset that was asked for last, each with the preset as its origin; none without one."""
    asked = [setting for setting in given if setting.key == "preset"]
    name = read_value(asked[-1], PresetName | None) if asked else None
    chosen = PRESETS.get(name) if name else None
    return [Setting(key, value, f"preset {name}") for key, value in chosen.values.items()] if chosen else []


CHANGED = {
    "beta": "0.04",
    "loss_type": "bnpo",
    "vllm_mode": "server",
    "max_completion_length": "256",
    "gradient_checkpointing": "false",
}
"""TRL's and transformers' defaults when Open-R1's recipes were written (TRL 0.18), where they are others now."""


def notice_changed_defaults(values: Mapping[str, Any], origins: Mapping[str, str], has_recipe: bool) -> list[str]:
    """One notice where a recipe leaves out settings whose defaults have changed since Open-R1's recipes were written."""
    unused: Collection[str] = () if values.get("use_vllm") else ("vllm_mode",)
    unused = unused if "num_generations" in values else (*unused, "loss_type")  # SFT's is another
    left_out = [key for key in CHANGED if key in values and origins[key] == "default" and key not in unused]
    if not has_recipe or not left_out:
        return []
    listed = ", ".join(f"{key} is {str(values[key]).lower()} (was {CHANGED[key]})" for key in left_out)
    return [
        f"the recipe leaves out settings whose defaults changed since Open-R1's recipes: {listed}; state them to choose."
    ]
