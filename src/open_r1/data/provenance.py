"""How rows came to be: the steps that made them, each with its settings and counts, kept beside the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import open_r1
from open_r1.rundir import read_json, write_json

FILE = "provenance.json"


@dataclass(frozen=True)
class Step:
    """One step: what was done, to what, with which settings, and what came of it."""

    action: str
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    version: str = open_r1.__version__

    def as_markdown(self, number: int) -> str:
        """A numbered item with the settings and counts below it."""
        lines = [f"{number}. **{self.action}** of `{self.source}` (open-r1 {self.version})"]
        for name, values in (("settings", self.settings), ("counts", self.counts)):
            shown = "; ".join(
                f"{key} {_shown(value)}" for key, value in values.items() if value not in (None, "", [], {})
            )
            lines += [f"   - {name}: {shown}"] if shown else []
        return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items()) + ")"
    return f"`{value}`" if isinstance(value, str) else str(value)


def write_steps(folder: Path, steps: Sequence[Step]) -> None:
    """Write the steps into a folder."""
    write_json(folder / FILE, {"steps": [asdict(step) for step in steps]})


def steps_file(path: Path) -> Path:
    """Where the steps of a single file are: beside it, under its name."""
    return path.with_suffix(".steps.json")


def write_file_steps(path: Path, steps: Sequence[Step]) -> None:
    """The steps of a single file, which may lie among others that were made otherwise."""
    write_json(steps_file(path), {"steps": [asdict(step) for step in steps]})


def record_step(path: Path, step: Step) -> None:
    """Write beside a file the steps behind its source, and the one that made it."""
    write_file_steps(path, [*steps_behind(step.source), step])


def read_file_steps(path: Path) -> list[Step]:
    """Those that `write_file_steps` wrote; [] where there are none."""
    record = steps_file(path)
    return [Step(**step) for step in read_json(record)["steps"]] if record.is_file() else []


def steps_behind(source: str) -> list[Step]:
    """The steps recorded beside a local source, oldest first; [] where nothing is."""
    path = Path(source.partition("*")[0]).expanduser()
    if path.is_file() and (steps := read_file_steps(path)):
        return steps
    for folder in (path, path.parent, path.parent.parent):
        if (folder / FILE).is_file():
            return [Step(**step) for step in read_json(folder / FILE)["steps"]]
    return []
