"""What one training stage was asked to do, where each value came from, and how that is written down.

Does: hold the dataclasses and the origin of every value, and write resolved.yaml. Does not: read or check (`parse`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from open_r1.configs.reader import Setting

StageKind = Literal["sft", "grpo"]
ADAPTED = "adapted: "
"""How the origin of a setting begins that this machine asked for."""

SECRETS = ("hub_token",)
"""Settings whose value never reaches a file."""


@dataclass(frozen=True)
class StageArguments:
    """Everything one training stage was asked to do, and where each value came from."""

    kind: StageKind
    script: Any
    training: Any
    model: Any
    origins: dict[str, str]
    notices: tuple[str, ...] = ()
    adaptations: tuple[str, ...] = ()
    given: dict[str, Any] = field(default_factory=dict)
    replaced: dict[str, Setting] = field(default_factory=dict)
    """What was asked for where the machine made us use something else."""

    def values(self) -> dict[str, Any]:
        """Each setting as used, secrets left out."""
        merged: dict[str, Any] = {}
        for part in (self.script, self.training, self.model):
            merged.update({f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.init})
        return {key: ("<secret>" if key in SECRETS and value else plain(value)) for key, value in merged.items()}

    def as_yaml(self) -> str:
        """resolved.yaml: a recipe that repeats this run, each line saying where its value came from.

        What the dataclasses derive from other settings, and what only this machine needs, is a comment: it is derived again
        wherever the recipe runs. A secret must be given again.
        """
        return "".join(f"{self.as_line(key, value)}\n" for key, value in sorted(self.values().items()))

    def as_line(self, key: str, value: Any) -> str:
        """One setting as a line of resolved.yaml."""
        origin, line = self.origins[key], f"{key}: {as_yaml(value)}"
        if key in self.replaced:
            asked = self.replaced[key]
            return f"{key}: {as_yaml(plain(asked.value))}  # {asked.origin}; here {as_yaml(value)}, {origin}"
        if origin.startswith(ADAPTED):
            return f"# {line}  ({origin})"
        if origin == "default" and plain(self.given[key]) != value:
            return f"# {line}  (derived)"
        return f"# {line}  (secret)" if key in SECRETS and value else f"{line}  # {origin}"


def as_yaml(value: Any) -> str:
    """A value on one line, such that YAML 1.1 reads the same back: 1e-06 would be text, 1.0e-06 is a number."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_yaml(key)}: {as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_yaml(item) for item in value) + "]"
    if isinstance(value, float | str):
        style = '"' if isinstance(value, str) else None
        return yaml.safe_dump(value, default_style=style, width=math.inf).split("\n")[0]
    return json.dumps(value)


def plain(value: Any) -> Any:
    """A value in JSON's terms."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | float | str) or value is None:
        return getattr(value, "value", value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    to_dict = getattr(value, "to_dict", None)
    return plain(to_dict()) if callable(to_dict) else str(getattr(value, "value", value))
