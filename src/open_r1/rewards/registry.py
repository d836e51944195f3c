"""Finding rewards by name, and building those that a recipe asks for.

A recipe names rewards of `functions/` (`accuracy`), or one of the user's own as `module:function`; the latter may be a
function, a coroutine function, or a class that is called with no arguments to make one.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from open_r1.configs.references import load_object
from open_r1.errors import ConfigError, nearest
from open_r1.records import Outcome
from open_r1.rewards.base import FROM_TRAINER, NOT_APPLICABLE, Columns, RewardFunction, RewardSpec

DEFAULT_REWARDS = ("accuracy", "format", "tag_count")


@cache
def reward_specs() -> dict[str, RewardSpec]:
    """Every reward in `functions/`, by its name in recipes."""
    package = import_module("open_r1.rewards.functions")
    modules = (import_module(f"{package.__name__}.{info.name}") for info in iter_modules(package.__path__))
    specs = [spec for module in modules for spec in _specs_of(module)]
    return {spec.name: spec for spec in sorted(specs, key=lambda spec: spec.name)}


def get_spec(name: str) -> RewardSpec:
    """The reward called `name`; ConfigError names the nearest and all known ones."""
    known = reward_specs()
    if name not in known:
        raise ConfigError(
            f"unknown reward '{name}'{nearest(name, known)} Known rewards: {', '.join(known)}; "
            "a reward of your own is named module:function."
        )
    return known[name]


def get_reward_funcs(script_args: Any) -> list[RewardFunction]:
    """The rewards that `script_args.reward_funcs` names, built with its settings, in that order.

    `script_args` is a `GRPOScriptArguments` or any object with some of its attributes; what it lacks has the default.
    ConfigError for a list without a name.
    """
    return [build_reward(name, script_args) for name in reward_names(script_args)]


def reward_names(script_args: Any) -> Sequence[str]:
    """The names in `script_args.reward_funcs`, or the default ones when it isn't set; ConfigError for an empty list."""
    names = getattr(script_args, "reward_funcs", None)
    if names is None:
        return DEFAULT_REWARDS
    if not names:
        raise ConfigError(
            f"reward_funcs is empty; name at least one reward, or leave it out for {', '.join(DEFAULT_REWARDS)}."
        )
    return names


def build_reward(name: str, settings: Any = None) -> RewardFunction:
    """One reward by name, or a user's own as `module:function`."""
    return load_user_reward(name) if ":" in name else get_spec(name).build(settings)


def required_columns(reward_names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Reward name -> the data columns it needs, for the check before anything is loaded.

    A user's own reward declares them as its attribute `needs_columns`; without it none are known, and none are asked.
    """
    return {name: tuple(column for column in _columns_of(name) if column not in FROM_TRAINER) for name in reward_names}


def _columns_of(name: str) -> tuple[str, ...]:
    return load_user_reward(name).needs_columns if ":" in name else get_spec(name).needs_columns


def load_user_reward(reference: str) -> RewardFunction:
    """The reward at `module:attribute`, importable from the current folder too. ConfigError says what is wrong."""
    target = load_object(reference, "reward", "my_rewards:my_reward")
    function = _make(target, reference) if inspect.isclass(target) else target
    if isinstance(function, RewardFunction):
        return function
    if not callable(function):
        raise ConfigError(
            f"reward '{reference}' is a {type(function).__name__}, not a function; name a function "
            "`f(completions, **columns) -> list[float | None]`."
        )
    name = getattr(function, "__name__", type(function).__name__)
    return RewardFunction(name, _scorer_of(function, name), _needs_columns(function, reference))


def _specs_of(module: Any) -> Sequence[RewardSpec]:
    return getattr(module, "REWARDS", None) or ((module.REWARD,) if hasattr(module, "REWARD") else ())


def _make(reward_class: type, reference: str) -> Any:
    """An object of a user's class, which gets no arguments."""
    if needed := _arguments_without_default(reward_class):
        raise ConfigError(
            f"reward '{reference}' is a class that is made with no arguments, but {reward_class.__name__} needs "
            f"{', '.join(needed)}; give them defaults, or name an object or a function instead of the class."
        )
    return reward_class()


def _arguments_without_default(reward_class: type) -> list[str]:
    try:
        parameters = inspect.signature(reward_class).parameters.values()
    except ValueError:  # a class written in C may not tell
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in optional]


def _needs_columns(function: Any, reference: str) -> tuple[str, ...]:
    """What a user's reward declares as `needs_columns`: names, or a name alone."""
    declared = getattr(function, "needs_columns", ())
    names = [declared] if isinstance(declared, str) else declared
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"reward '{reference}' has needs_columns = {declared!r}; make it a tuple of column names, such as "
            '("solution",).'
        )
    return tuple(names)


def _scorer_of(function: Callable[..., Any], name: str) -> Callable[[list[str], Columns], list[Outcome]]:
    """A user's function as a scorer: it gets completions and columns as TRL would pass them."""

    def score(texts: list[str], columns: Columns) -> list[Outcome]:
        values = function(**columns)
        if inspect.isawaitable(values):
            values = _run_awaitable(values)
        if values is None or len(values) != len(texts):
            raise ConfigError(
                f"reward '{name}' returned {'None' if values is None else f'{len(values)} values'} for {len(texts)} "
                "completions; return one number or None for each completion."
            )
        return [_outcome_of(value) for value in values]

    return score


def _outcome_of(value: Any) -> Outcome:
    """A NaN or an infinity is no value: trainers would take it for a missing one, or lose the whole group to it."""
    if value is None:
        return Outcome(None, NOT_APPLICABLE)
    outcome = value if isinstance(value, Outcome) else Outcome(float(value), "scored")
    is_finite = outcome.value is None or math.isfinite(outcome.value)
    return outcome if is_finite else Outcome(None, "not_finite")


def _run_awaitable(awaitable: Any) -> Any:
    """The result of an awaitable, from any thread, whether or not an event loop runs in this one."""
    result: list[Any] = []
    failure: list[BaseException] = []

    async def await_it() -> Any:
        return await awaitable

    def run() -> None:
        try:
            result.append(asyncio.run(await_it()))
        except BaseException as error:  # noqa: BLE001  raised again below, in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]
