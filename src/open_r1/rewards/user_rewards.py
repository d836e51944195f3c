"""Rewards of the user's own, named `module:name` or `path/to/file.py:name`, as specs like those that ship.

`name` may be a `RewardSpec`, a function, a coroutine function, or a class that is called with the settings it declares.
A function or class declares by attributes of the spec's names what is to be known of it: `needs_columns`, `kind`,
`settings`, `example`, `find_idle`. A function that a `REWARD` of its file is about has that spec.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from open_r1.configs.references import load_module, load_object, place_of, shown_path
from open_r1.errors import ConfigError, OpenR1Error, RunError, nearest
from open_r1.records import Outcome
from open_r1.rewards.base import FROM_TRAINER, NOT_APPLICABLE, Columns, RewardFunction, run_awaitable
from open_r1.rewards.spec import KINDS, RewardSpec

NAMED = ("reward", "my_rewards:my_reward")
DECLARED = ("summary", "formula", "source", "settings", "example", "cases", "curve", "find_idle", "scores_alone")
"""What a function or class may declare beside its kind and columns, as attributes of the spec's own names."""

ADDED_BY_TRAINER = ("trainer_state", "log_extra", "log_metric", "environments")


def specs_of(module: ModuleType) -> Sequence[RewardSpec]:
    """The specs that a file of rewards has as `REWARDS`, or as its one `REWARD`."""
    return getattr(module, "REWARDS", None) or ((module.REWARD,) if hasattr(module, "REWARD") else ())


def user_spec(reference: str) -> RewardSpec:
    """The reward at `module:name`, importable from the current folder too. ConfigError says what is wrong."""
    target = load_object(reference, *NAMED)
    if isinstance(target, RewardSpec):
        return replace(target, name=reference)
    name = reference.rpartition(":")[2]
    declared = [spec for spec in specs_of(load_module(reference, *NAMED)) if spec.function_name == name]
    return replace(declared[0], name=reference) if declared else _spec_of(target, reference)


def _spec_of(target: Any, reference: str) -> RewardSpec:
    defaults = {setting.key: setting.default for setting in getattr(target, "settings", ())}
    function = _instance(target, reference, defaults)
    if not callable(function):
        raise ConfigError(
            f"reward '{reference}' is a {type(function).__name__}, not a function; name a function "
            "`f(completions, **columns) -> list[float | None]`."
        )
    name = getattr(function, "__name__", type(function).__name__)
    place = _place_of(function)
    needs_columns = _needs_columns(function, reference)
    if not isinstance(function, RewardFunction):
        needs_columns = (
            *needs_columns,
            *_columns_of(function, f"{reference}' ({place})", {*needs_columns, *defaults}),
        )

    def build(values: Any) -> RewardFunction:
        given = {key: getattr(values, key) for key in defaults}
        made = _instance(target, reference, given)
        if isinstance(made, RewardFunction):
            return made
        call = made if inspect.isclass(target) else partial(made, **given)
        return RewardFunction(name, _scorer_of(call, name, place), needs_columns)

    declared = {key: getattr(function, key) for key in DECLARED if hasattr(function, key)}
    declared.setdefault("summary", (inspect.getdoc(target) or "").partition("\n")[0])
    kind = _kind(function, reference)
    return RewardSpec(reference, build, kind, name, needs_columns=needs_columns, place=place, **declared)


def _instance(target: Any, reference: str, settings: dict[str, Any]) -> Any:
    """An object of a user's class, which gets the settings it declares; anything else unchanged."""
    if not inspect.isclass(target):
        return target
    if needed := [name for name in _arguments_without_default(target) if name not in settings]:
        raise ConfigError(
            f"reward '{reference}' is a class that is called with the settings it declares, but {target.__name__} needs "
            f"{', '.join(needed)}; give them defaults, or name an object or a function instead of the class."
        )
    return target(**settings)


def _arguments_without_default(reward_class: type) -> list[str]:
    try:
        parameters = inspect.signature(reward_class).parameters.values()
    except ValueError:  # a class written in C may not say
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in optional]


def _kind(function: Any, reference: str) -> Any:
    kind = getattr(function, "kind", "own")
    if kind not in KINDS:
        raise ConfigError(
            f"reward '{reference}' has kind = {kind!r}{nearest(str(kind), KINDS)} Kinds: {', '.join(KINDS)}."
        )
    return kind


def _needs_columns(function: Any, reference: str) -> tuple[str, ...]:
    declared = getattr(function, "needs_columns", ())
    names = [declared] if isinstance(declared, str) else declared
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"reward '{reference}' has needs_columns = {declared!r}; make it a tuple of column names, such as "
            '("solution",).'
        )
    return tuple(names)


def _columns_of(function: Any, what: str, known: Collection[str]) -> list[str]:
    """The columns that a function's parameters name; ConfigError where it can't be called with every column."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a callable written in C may not say
        return []
    if not any(each.kind is each.VAR_KEYWORD for each in parameters):
        raise ConfigError(
            f"reward '{what} takes no **columns, but it is called with every column of the data and with what the trainer "
            "adds; write `def f(completions, **columns)`."
        )
    is_named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    named = [each.name for each in parameters if each.default is each.empty and each.kind in is_named]
    return [name for name in named if name not in {*known, *FROM_TRAINER, *ADDED_BY_TRAINER}]


def source_file(reference: str) -> Path | None:
    """The file of a reward of the user's own, which decides what a run learns; None for one that ships."""
    file = getattr(load_module(reference, *NAMED), "__file__", None) if ":" in reference else None
    return Path(file) if file else None


def _place_of(function: Any) -> str:
    """File and line of a function, or of the class of an object."""
    code = inspect.unwrap(function) if inspect.isroutine(function) else type(function)
    try:
        return f"{shown_path(inspect.getsourcefile(code) or '')}:{inspect.getsourcelines(code)[1]}"
    except (TypeError, OSError):
        return "source unknown"


def _explain(error: Exception, columns: Columns) -> str:
    """What a user's slip probably is."""
    said = str(error)
    if isinstance(error, KeyError) and isinstance(error.args[0], str) and error.args[0] not in columns:
        key = error.args[0]
        return f"; the data have no column '{key}'{nearest(key, columns).rstrip('?.').replace(';', ',')}"
    is_chat = any(isinstance(completion, list) for completion in columns.get("completions", ()))
    if is_chat and isinstance(error, AttributeError | TypeError) and "list" in said:
        return "; a completion is a chat, a list of messages: its text is completion[-1]['content']"
    return ""


def _scorer_of(function: Callable[..., Any], name: str, place: str) -> Callable[[list[str], Columns], list[Outcome]]:
    def score(texts: list[str], columns: Columns) -> list[Outcome]:
        try:
            values = function(**columns)
            if inspect.isawaitable(values):
                values = run_awaitable(values)
        except OpenR1Error:
            raise
        except Exception as error:  # the user's code may raise anything
            fault = f"{type(error).__name__}: {error}{_explain(error, columns)}"
            raise RunError(f"reward '{name}' fails at {place_of(error, place)} with {fault}.") from error
        problem = _problem_of(values, len(texts))
        if problem:
            raise ConfigError(f"reward '{name}' ({place}) returned {problem} or None for each completion.")
        return [_outcome_of(value) for value in values]

    return score


def _problem_of(values: Any, count: int) -> str:
    """What is wrong with the values that a user's reward returned, with the remedy; empty where nothing is."""
    if values is None:
        return f"None for {count} completions; return a list with one number"
    if not hasattr(values, "__len__") or isinstance(values, str | Mapping):
        return f"a {type(values).__name__}; return a list with one number"
    if len(values) != count:
        return f"{len(values)} values for {count} completions; return one number"
    for value in values:
        try:
            float(0 if value is None or isinstance(value, Outcome) else value)
        except (TypeError, ValueError):
            return f"{value!r:.60} for a completion; return one number"
    return ""


def _outcome_of(value: Any) -> Outcome:
    """A NaN or an infinity is not a value: trainers would take it for a missing one, or lose the whole group to it."""
    if value is None:
        return Outcome(None, NOT_APPLICABLE)
    outcome = value if isinstance(value, Outcome) else Outcome(float(value), "scored")
    is_finite = outcome.value is None or math.isfinite(outcome.value)
    return outcome if is_finite else Outcome(None, "not_finite")
