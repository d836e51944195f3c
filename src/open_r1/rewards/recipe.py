"""What a recipe or a command line says of rewards, checked before anything is loaded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from open_r1.configs.ranges import check_ranges
from open_r1.configs.types import fits, in_words
from open_r1.errors import ConfigError, nearest
from open_r1.rewards.base import RewardFunction
from open_r1.rewards.combination import RewardWeights
from open_r1.rewards.registry import get_reward_funcs, reward_names
from open_r1.rewards.settings import options_of


def check_recipe(script_args: Any, reward_weights: Any) -> None:
    """ConfigError for a reward that isn't known or can't be built, or a weight or schedule that can't be read."""
    _refuse_equal_names(get_reward_funcs(script_args))
    RewardWeights.read(reward_weights, reward_names(script_args))


def _refuse_equal_names(rewards: Sequence[RewardFunction]) -> None:
    """ConfigError for two rewards of one name, whose records would be mixed up."""
    counts = Counter(reward.__name__ for reward in rewards)
    if equal := [name for name, count in counts.items() if count > 1]:
        raise ConfigError(
            f"two of reward_funcs are functions called '{equal[0]}', the name under which metrics and rollouts keep a "
            "reward; rename one."
        )


def read_reward_settings(words: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Settings of these rewards written KEY=VALUE; ConfigError for one that none reads, or a value of another type."""
    known = options_of(names)
    settings: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in known:
            raise ConfigError(
                f"--set {word}: none of {', '.join(names)} has a setting '{key}'{nearest(key, known)} "
                f"They have: {', '.join(known) or 'none'}."
            )
        settings[key] = _read_value(key, value, known[key].annotation)
    ranges = {key: declared.range for key, declared in known.items() if declared.range is not None}
    check_ranges(settings, dict.fromkeys(settings, "--set"), ranges)
    return settings


def _read_value(key: str, text: str, hint: Any) -> Any:
    """The value by the setting's type; items of a list stand between commas, or in a list as JSON has it."""
    if fits(text, hint):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if get_origin(hint) is list and not isinstance(value, list):
        item_type = get_args(hint)[0]
        value = [item_type(item.strip()) for item in text.split(",") if item.strip()]
    if not fits(value, hint):
        raise ConfigError(f"--set {key}={text}: {key} must be {in_words(hint)}.")
    return value
