"""The dataclasses of a stage's settings: TRL's, what Open R1 adds to them, and what the rewards declare.

Reward settings are declared beside the rewards, so the class that has them all is composed here, above both areas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from open_r1.configs.arguments import GRPOConfig, ModelConfig, ScriptArguments, SFTConfig
from open_r1.configs.reader import Setting
from open_r1.rewards.settings import settings_class
from open_r1.training.parse import StageKind

RewardSettings: Any = settings_class()


@dataclass
class GRPOScriptArguments(RewardSettings, ScriptArguments):
    """What to train on and how to reward it."""


def grpo_script_arguments(reward_names: Iterable[str]) -> type[GRPOScriptArguments]:
    """GRPOScriptArguments with the settings that the user's own among these rewards declare.

    ConfigError for a reward that can't be found.
    """
    own = [name for name in reward_names if ":" in name]
    if not own:
        return GRPOScriptArguments
    return dataclass(type("GRPOScriptArguments", (settings_class(own), GRPOScriptArguments), {}))


def stage_classes(kind: StageKind, settings: Sequence[Setting] = ()) -> tuple[type, type, type]:
    """The dataclasses for script, training and model settings of a stage.

    Rewards of the user's own that `settings` name add the settings that they declare.
    """
    if kind == "sft":
        return ScriptArguments, SFTConfig, ModelConfig
    named = [setting.value for setting in settings if setting.key == "reward_funcs"]
    rewards = named[-1] if named and isinstance(named[-1], list) else named[-1:]
    return grpo_script_arguments(name for name in rewards if isinstance(name, str)), GRPOConfig, ModelConfig
