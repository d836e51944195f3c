"""Settings read by the types of dataclass fields: whether a value fits, what is valid in words, a whole record."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from enum import Enum
from typing import Any, Literal, TypeGuard, TypeVar, Union, get_args, get_origin, get_type_hints

from open_r1.configs.fields import limits_of
from open_r1.configs.reader import COMMAND_LINE, Setting, read_text
from open_r1.errors import ConfigError, nearest

Record = TypeVar("Record")

SWITCHES: dict[str, bool] = {
    **dict.fromkeys("yes y t true 1 on".split(), True),
    **dict.fromkeys("no n f false 0 off".split(), False),
}
"""What a switch may be called beside YAML's true and false."""

PLAIN_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
    list: "a list",
    dict: "a mapping",
}


def options_of(hint: Any) -> list[Any]:
    """The types that a value may have; text beside an enumeration means the names of its members."""
    hint = getattr(hint, "__supertype__", hint)
    found = list(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else [hint]
    return [option for option in found if option is not str or not any(map(is_enum, found))]


def is_enum(hint: Any) -> bool:
    """Whether the annotation is an enumeration."""
    return isinstance(hint, type) and issubclass(hint, Enum)


def structure_of(hint: Any, kind: type) -> Any:
    """The list or mapping among the types that a value may have."""
    return next((option for option in options_of(hint) if (get_origin(option) or option) is kind), None)


def fits(value: Any, hint: Any) -> bool:
    """Whether `value` is of the type that `hint` (an annotation) names; a whole number is a number too."""
    return any(fits_one(value, option) for option in options_of(hint))


def fits_one(value: Any, hint: Any) -> bool:
    """Whether a value is of a type that is not a union, its items and keys included."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin is Literal:
        return value in inner
    if is_enum(hint):
        return value in [member.value for member in hint]
    if origin in (list, tuple):
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return isinstance(value, str if hint not in PLAIN_WORDS else hint)


def in_words(hint: Any) -> str:
    """The type as a message names it: "a mapping of text to a list of whole numbers"."""
    return " or ".join(dict.fromkeys(map(one_in_words, options_of(hint))))


def one_in_words(hint: Any) -> str:
    """A type that is not a union, as a message names it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal or is_enum(hint):
        return " or ".join(str(getattr(choice, "value", choice)) for choice in inner or hint)
    if hint is Any:
        return "anything"
    if origin in (list, tuple):
        return f"a list of {plural(inner[0])}"
    if origin in (dict, Mapping):
        return f"a mapping of {plural(inner[0])} to {plural(inner[1])}" if inner[1] is not Any else "a mapping"
    return PLAIN_WORDS.get(hint, "text")


def plural(hint: Any) -> str:
    """The type's name for several values: "whole numbers"."""
    words = in_words(hint)
    return {"a number": "numbers", "a whole number": "whole numbers", "text": "texts"}.get(words, words)


def read_value(setting: Setting, hint: Any, what: str = "") -> Any:
    """A setting's value by its type; where text is wanted, a number or truth value is taken as it was written.

    ConfigError, with the setting's origin, for a value of another type. `what` comes before the key in messages.
    """
    value = by_type(setting, hint)
    if not fits(value, hint):
        advice = "give one, or leave the line out for the default" if value is None else "correct it"
        raise ConfigError(
            f"{place_of(setting.origin, what)}{setting.key} must be {in_words(hint)}, but is {value!r}; {advice}."
        )
    return value


def by_type(setting: Setting, hint: Any) -> Any:
    """A setting's value, with text in place of numbers where the type wants text, and words read as the type wants."""
    value, text, options = setting.value, setting.text, options_of(hint)
    item, pair = structure_of(hint, list), structure_of(hint, dict)
    if setting.origin == COMMAND_LINE:
        if isinstance(value, list) and len(value) == 1 and (item or pair) and is_structure(value[0]):
            read = by_type(read_text(value[0], "on the command line"), hint)
            if fits(read, hint):
                return read
        if isinstance(value, list) and len(value) < 2 and (item is None or (value and str in options)):
            only = setting.parts[0] if value else Setting(setting.key, bool in options or value, "")
            return by_type(replace(only, origin=COMMAND_LINE), hint)
        if is_structure(value) and (item or pair):
            return by_type(read_text(value, "on the command line"), hint)
        if value is None and str in options:
            return text
    if isinstance(value, list) and setting.parts and get_args(item):
        return [by_type(part, get_args(item)[0]) for part in setting.parts]
    if isinstance(value, dict) and get_args(pair):
        return {key: by_type(part, get_args(pair)[1]) for key, part in zip(value, setting.parts, strict=True)}
    if fits(value, hint):
        return value
    if bool in options and str(value).lower() in SWITCHES:
        return SWITCHES[str(value).lower()]
    return text if None not in (text, value) and fits(text, hint) else value


def is_structure(word: Any) -> TypeGuard[str]:
    """Whether a word of the command line is written as a list or a mapping: '[0.4, 0.3]', '{"accuracy": 0.4}'."""
    return isinstance(word, str) and word.startswith(("{", "["))


def read_record(record: type[Record], settings: Sequence[Setting], what: str, origin: str, **given: Any) -> Record:
    """A dataclass from the settings of its fields; `given` are fields that no setting is for.

    Args:
        what: What is described, for messages: "stage 'sft'".
        origin: Where it is described.

    Raises:
        ConfigError: A setting that is not a field, has another type or is out of range; a required one that is missing.
    """
    hints, ranges = get_type_hints(record), limits_of(record)
    known = {one.name: one for one in fields(record) if one.init and one.name not in given}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for setting in settings:
        if setting.key not in known:
            raise ConfigError(
                f"{place_of(setting.origin, what)}unknown setting '{setting.key}'{nearest(setting.key, known)} "
                f"Known: {', '.join(known)}."
            )
        values[setting.key] = value = read_value(setting, hints[setting.key], what)
        limits = ranges.get(setting.key)
        if limits and isinstance(value, int | float) and value not in limits:
            raise ConfigError(
                f"{place_of(setting.origin, what)}{setting.key} must be {limits.in_words(value)}, but is {value}."
            )
    for name, one in known.items():
        if name not in values and one.default is MISSING and one.default_factory is MISSING:
            raise ConfigError(f"{place_of(origin, what)}'{name}' is missing; give it.")
    return record(**given, **values)


def place_of(origin: str, what: str) -> str:
    """How a message about a setting begins: "recipe.yaml:12: stage 'sft': "."""
    return "".join(f"{part}: " for part in (origin, what) if part)
