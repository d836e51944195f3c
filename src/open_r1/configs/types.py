"""Whether a value from YAML fits a field's type, and the type in words for the message when it doesn't."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

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
    if origin is list:
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if origin is dict:
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
    if origin is list:
        return f"a list of {plural(inner[0])}"
    if origin is dict:
        return f"a mapping of {plural(inner[0])} to {plural(inner[1])}" if inner[1] is not Any else "a mapping"
    return PLAIN_WORDS.get(hint, "text")


def plural(hint: Any) -> str:
    words = in_words(hint)
    return {"a number": "numbers", "a whole number": "whole numbers", "text": "texts"}.get(words, words)
