"""What a recipe says of rewards, checked before anything is loaded."""

from __future__ import annotations

from typing import Any

from open_r1.rewards.combination import RewardWeights
from open_r1.rewards.registry import get_reward_funcs


def check_recipe(script_args: Any, reward_weights: Any) -> None:
    """ConfigError for a reward that isn't known or can't be built, or a weight or schedule that can't be read."""
    get_reward_funcs(script_args)
    RewardWeights.read(reward_weights, script_args.reward_funcs)
