"""Finding rewards by name, and building those that a recipe asks for.

A recipe names rewards of `functions/` (`accuracy`), one of the user's own as `module:name` (`user_rewards`), or a model as
`model:FOLDER` or `judge:ADDRESS` (`model_rewards`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from open_r1.configs.references import modules_in
from open_r1.errors import ConfigError, nearest
from open_r1.rewards.base import FROM_TRAINER, RewardFunction
from open_r1.rewards.model_rewards import (
    is_model_reward,
    local_folder,
    model_reward_spec,
    scores_open_rows,
    with_solutions,
)
from open_r1.rewards.spec import RewardSpec
from open_r1.rewards.user_rewards import source_file, specs_of, user_spec


@cache
def reward_modules() -> tuple[ModuleType, ...]:
    """The files of `functions/`."""
    return tuple(modules_in("open_r1.rewards.functions"))


@cache
def reward_specs() -> dict[str, RewardSpec]:
    """Every reward in `functions/`, by its name in recipes, in the order of the names."""
    specs = [spec for module in reward_modules() for spec in specs_of(module)]
    return {spec.name: spec for spec in sorted(specs, key=lambda spec: spec.name)}


def default_rewards() -> tuple[str, ...]:
    """The rewards of a recipe that names none."""
    return tuple(name for name, spec in reward_specs().items() if spec.is_default)


def get_spec(name: str) -> RewardSpec:
    """The reward called `name`, or one of the user's own; ConfigError names the nearest and all known ones."""
    if is_model_reward(name):
        return model_reward_spec(name)
    if ":" in name:
        return user_spec(name)
    known = reward_specs()
    if name not in known:
        raise ConfigError(
            f"unknown reward '{name}'{nearest(name, known)} Known rewards: {', '.join(known)}; "
            "a reward of your own is named module:function."
        )
    return known[name]


def source_of(name: str) -> Path | None:
    """What decides beside the settings what a reward gives: a file of the user's own, or a model's folder; None else."""
    return local_folder(name) if is_model_reward(name) else source_file(name)


def get_reward_funcs(script_args: Any) -> list[RewardFunction]:
    """The rewards that `script_args.reward_funcs` names, built with its settings, in that order.

    `script_args` is a `GRPOScriptArguments` or any object with some of its attributes; what it lacks has the default. Where
    a model scores the rows without a solution (`rows=open`), the others leave those rows out.
    """
    names = reward_names(script_args)
    rewards = [build_reward(name, script_args) for name in names]
    if not any(map(scores_open_rows, names)):
        return rewards
    return [with_solutions(one) if "solution" in one.needs_columns else one for one in rewards]


def reward_names(script_args: Any) -> Sequence[str]:
    """The names in `script_args.reward_funcs`, or the default ones when it isn't set; ConfigError for an empty list."""
    names = getattr(script_args, "reward_funcs", None)
    if names is None:
        return default_rewards()
    if not names:
        raise ConfigError(
            f"reward_funcs is empty; name at least one reward, or leave it out for {', '.join(default_rewards())}."
        )
    return names


def build_reward(name: str, settings: Any = None) -> RewardFunction:
    """One reward by name, or a user's own as `module:name`."""
    return get_spec(name).make(settings)


def required_columns(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Reward name -> the data columns it is known to need, for the check before anything is loaded."""
    return {name: tuple(c for c in get_spec(name).needs_columns if c not in FROM_TRAINER) for name in names}
