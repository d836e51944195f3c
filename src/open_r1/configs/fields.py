"""How a setting is declared: a dataclass field with its help text and, for a number, its range."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any

from open_r1.configs.ranges import Range
from open_r1.errors import ConfigError


def setting(default: Any, text: str, limits: Range | None = None, *, flag: str = "") -> Any:
    """A dataclass field with its help text, which the settings reference and `--help` show.

    Args:
        limits: The values that a number may have; `check_limits` checks them.
        flag: The option's name on the command line, where it isn't the field's.
    """
    metadata = {"help": text, "limits": limits, "flag": flag}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def check_limits(settings: Any) -> None:
    """ConfigError for the first field of a dataclass whose number is outside its range. None is in every range."""
    for one in fields(settings):
        limits, value = one.metadata.get("limits"), getattr(settings, one.name)
        if limits is not None and value is not None and value not in limits:
            name = one.metadata["flag"] or one.name
            raise ConfigError(f"{name} must be {limits.in_words()}, but is {value}.")
