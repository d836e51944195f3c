"""How a setting is declared: a dataclass field with its help text, and its range where it has one."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from open_r1.configs.ranges import Range


def setting(default: Any, text: str, limits: Range | None = None) -> Any:
    """A dataclass field with its help text, which the settings reference and `--help` show, and its range."""
    metadata: dict[str, Any] = {"help": text} | ({"range": limits} if limits else {})
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
