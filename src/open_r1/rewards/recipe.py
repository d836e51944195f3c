"""What a recipe says of rewards, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from open_r1.rewards.combination import RewardWeights
from open_r1.rewards.registry import required_columns


def check_recipe(reward_names: Sequence[str], reward_weights: Any) -> None:
    """ConfigError for a reward that isn't known, or a weight or schedule that can't be read."""
    required_columns(reward_names)
    RewardWeights.read(reward_weights, reward_names)
