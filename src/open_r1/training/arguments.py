"""The dataclasses of a stage's settings: TRL's, what Open R1 adds to them, and what the rewards declare.

Reward settings are declared beside the rewards, so the class that has them all is composed here, above both areas.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def stage_classes(kind: StageKind, settings: Sequence[Setting] = ()) -> tuple[type, type, type]:
    """The dataclasses for script, training and model settings of a stage.

    Rewards of the user's own that `settings` name add the settings that they declare; ConfigError for one that can't be
    found.
    """
    if kind == "sft":
        return ScriptArguments, SFTConfig, ModelConfig
    named = [setting.value for setting in settings if setting.key == "reward_funcs"]
    rewards = named[-1] if named and isinstance(named[-1], list) else named[-1:]
    own = [name for name in rewards if isinstance(name, str) and ":" in name]
    script = (
        type("GRPOScriptArguments", (settings_class(own), GRPOScriptArguments), {}) if own else GRPOScriptArguments
    )
    return dataclass(script) if own else script, GRPOConfig, ModelConfig
