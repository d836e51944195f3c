"""What a recipe or a command line says of rewards, checked before anything is loaded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args, get_origin, get_type_hints

from open_r1.configs.fields import limits_of
from open_r1.configs.ranges import check_ranges
from open_r1.configs.reward_settings import RewardSettings
from open_r1.configs.types import fits, in_words
from open_r1.errors import ConfigError, nearest
from open_r1.rewards.base import RewardFunction
from open_r1.rewards.combination import RewardWeights
from open_r1.rewards.registry import get_reward_funcs, get_spec, reward_names


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
    """Settings of these rewards written KEY=VALUE; ConfigError for one that none reads, or a value that is none."""
    known = [option for name in names if ":" not in name for option in get_spec(name).options]
    settings: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in known:
            raise ConfigError(
                f"--set {word}: none of {', '.join(names)} has a setting '{key}'{nearest(key, known)} "
                f"They have: {', '.join(dict.fromkeys(known)) or 'none'}."
            )
        settings[key] = _read_value(key, value)
    check_ranges(settings, dict.fromkeys(settings, "--set"), limits_of(RewardSettings))
    return settings


def _read_value(key: str, text: str) -> Any:
    """The value by the setting's type; items of a list stand between commas, or in a list as JSON has it."""
    hint = get_type_hints(RewardSettings)[key]
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
