"""Settings read by the types of dataclass fields: whether a value fits, what is valid in words, a whole record."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from open_r1.configs.fields import limits_of
from open_r1.configs.reader import Setting
from open_r1.errors import ConfigError, nearest

Record = TypeVar("Record")

PLAIN_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
    list: "a list",
    dict: "a mapping",
}


def fits(value: Any, hint: Any) -> bool:
    """Whether `value` is of the type that `hint` (an annotation) names; a whole number is a number too."""
    hint = getattr(hint, "__supertype__", hint)
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin in (Union, types.UnionType):
        return any(fits(value, option) for option in inner)
    if origin is Literal:
        return value in inner
    if origin in (list, tuple):
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return isinstance(value, str if hint not in PLAIN_WORDS else hint)


def in_words(hint: Any) -> str:
    """The type as a message names it: "a mapping of text to a list of whole numbers"."""
    hint = getattr(hint, "__supertype__", hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(option) for option in inner))
    if origin is Literal:
        return " or ".join(map(str, inner))
    if hint is Any:
        return "anything"
    if origin in (list, tuple):
        return f"a list of {plural(inner[0])}"
    if origin in (dict, Mapping):
        return f"a mapping of {plural(inner[0])} to {plural(inner[1])}" if inner[1] is not Any else "a mapping"
    return PLAIN_WORDS.get(hint, "text")


def plural(hint: Any) -> str:
    """The type of the items of a list, in words."""
    words = in_words(hint)
    return {"a number": "numbers", "a whole number": "whole numbers", "text": "texts"}.get(words, words)


def read_value(setting: Setting, hint: Any, what: str = "") -> Any:
    """A setting's value by its type; where text is wanted, a number or truth value is taken as it was written.

    ConfigError, with the setting's origin, for a value of another type. `what` comes before the key in messages.
    """
    value = by_type(setting, hint)
    if not fits(value, hint):
        raise ConfigError(
            f"{place_of(setting.origin, what)}{setting.key} must be {in_words(hint)}, but is {setting.value!r}; correct it."
        )
    return value


def by_type(setting: Setting, hint: Any) -> Any:
    """A setting's value, with text in place of numbers where the type wants text."""
    options = [hint, *get_args(hint)] if get_origin(hint) in (Union, types.UnionType) else [hint]
    item = next((option for option in options if get_origin(option) is list), None)
    pair = next((option for option in options if get_origin(option) is dict), None)
    if isinstance(setting.value, list) and setting.parts and item is not None:
        return [by_type(part, get_args(item)[0]) for part in setting.parts]
    if isinstance(setting.value, dict) and pair is not None:
        return {key: by_type(part, get_args(pair)[1]) for key, part in zip(setting.value, setting.parts, strict=True)}
    is_text = setting.text is not None and not fits(setting.value, hint) and fits(setting.text, hint)
    return setting.text if is_text else setting.value


def read_record(record: type[Record], settings: Sequence[Setting], what: str, origin: str, **given: Any) -> Record:
    """A dataclass from the settings of its fields; `given` are fields that no setting is for.

    Args:
        what: What is described, for messages: "stage 'sft'".
        origin: Where it is described.

    Raises:
        ConfigError: A setting that is not a field, has another type or is out of range; a required one that is missing.
    """
    hints = get_type_hints(record)
    known = [one.name for one in fields(record) if one.init and one.name not in given]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for setting in settings:
        if setting.key not in known:
            raise ConfigError(
                f"{place_of(setting.origin, what)}unknown setting '{setting.key}'{nearest(setting.key, known)} "
                f"Known: {', '.join(known)}."
            )
        values[setting.key] = value = read_value(setting, hints[setting.key], what)
        limits = limits_of(record).get(setting.key)
        if limits and isinstance(value, int | float) and value not in limits:
            raise ConfigError(
                f"{place_of(setting.origin, what)}{setting.key} must be {limits.in_words()}, but is {value}."
            )
    required = [one.name for one in fields(record) if one.default is MISSING and one.default_factory is MISSING]  # type: ignore[arg-type]
    if missing := [name for name in required if name in known and name not in values]:
        raise ConfigError(f"{place_of(origin, what)}'{missing[0]}' is missing; give it.")
    return record(**given, **values)


def place_of(origin: str, what: str) -> str:
    """How a message about a setting begins: "recipe.yaml:12: stage 'sft': "."""
    return "".join(f"{part}: " for part in (origin, what) if part)
