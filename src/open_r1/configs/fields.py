"""How a setting is declared: a dataclass field with its help text."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def setting(default: Any, text: str) -> Any:
    """A dataclass field with its help text, which the settings reference and `--help` show."""
    metadata = {"help": text}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
