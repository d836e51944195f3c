"""How a setting is declared: a dataclass field with its help text and, for a number, its range."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any

from open_r1.configs.ranges import Range
from open_r1.errors import ConfigError


class Help(str):
    """A help text that knows the range of its setting.

    The parsers of transformers and TRL hand a field's whole metadata to argparse, so the range can't stand beside it.
    """

    limits: Range | None = None


def setting(default: Any, text: str, limits: Range | None = None, *, flag: str = "") -> Any:
    """A dataclass field with its help text, which the settings reference and `--help` show.

    Args:
        limits: The values that a number may have; `check_limits` checks them.
        flag: The option's name on the command line, where it is not the field's.
    """
    help = Help(text)
    help.limits = limits
    metadata: dict[str, Any] = {"help": help} | ({"flag": flag} if flag else {})
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def limits_of(settings: type) -> dict[str, Range]:
    """The range of each field of a dataclass that states one."""
    helps = {one.name: one.metadata.get("help") for one in fields(settings)}
    return {name: help.limits for name, help in helps.items() if isinstance(help, Help) and help.limits}


def check_limits(settings: Any) -> None:
    """ConfigError for the first field of a dataclass whose number is outside its range. None is in every range."""
    limits = limits_of(type(settings))
    for one in fields(settings):
        value = getattr(settings, one.name)
        if one.name in limits and value is not None and value not in limits[one.name]:
            name = one.metadata.get("flag") or one.name
            raise ConfigError(f"{name} must be {limits[one.name].in_words(value)}, but is {value}.")
