"""A pipeline's recipe: YAML -> stages, checked before any of them runs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from open_r1.configs.settings import read_yaml
from open_r1.configs.types import fits, in_words
from open_r1.errors import ConfigError, nearest
from open_r1.pipeline import kinds as _kinds  # noqa: F401 - importing it registers the kinds
from open_r1.pipeline.stage import KINDS, Stage, positive, setting_names

STAGE_NAME = re.compile(r"[A-Za-z0-9_-]+")
"""A stage's name is its folder's."""

KEYS = ("name", "output_dir", "seed", "threads", "stages")


@dataclass(frozen=True)
class Pipeline:
    """A checked pipeline: its stages in the order in which they run.

    `threads` is the number of CPU threads that torch computes with, which the last bit of a result can depend on;
    None leaves it to torch.
    """

    name: str
    output_dir: Path
    seed: int
    threads: int | None
    stages: tuple[Stage, ...]


def read_pipeline(
    path: Path, output_dir: str | None = None, seed: int | None = None, changes: Sequence[str] = ()
) -> Pipeline:
    """The pipeline of a recipe; `changes` are "stage.key=value" from the command line."""
    content, lines = read_yaml(path)
    for key in content:
        if key not in KEYS:
            raise ConfigError(
                f"{path}:{lines[key]}: unknown key '{key}'{nearest(key, KEYS)} A pipeline has: {', '.join(KEYS)}."
            )
    folder = output_dir or content.get("output_dir")
    if not folder:
        raise ConfigError(f"{path}: output_dir is not set; say where the run goes, there or by --output_dir FOLDER.")
    entries = content.get("stages")
    if not isinstance(entries, dict) or not entries:
        raise ConfigError(f"{path}: 'stages' must be a mapping of stage names to their settings, but is {entries!r}.")
    stage_lines = find_stage_lines(path)
    apply_changes(entries, changes)
    stages = tuple(
        build_stage(str(name), entry, path.parent, f"{path}:{stage_lines.get(str(name), lines['stages'])}")
        for name, entry in entries.items()
    )
    check_order(stages, path)
    for stage in stages:
        stage.check()
    chosen_seed = seed if seed is not None else content.get("seed", 0)
    if not fits(chosen_seed, int) or not 0 <= chosen_seed < 2**30:
        raise ConfigError(f"{path}: seed must be a whole number of at least 0, but is {chosen_seed!r}.")
    threads = content.get("threads")
    if threads is not None:
        positive("threads", threads, str(path))
    return Pipeline(str(content.get("name", path.stem)), Path(folder), chosen_seed, threads, stages)


def find_stage_lines(path: Path) -> dict[str, int]:
    """The line on which each stage begins, as far as they stand below `stages`."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    stages = next((value for key, value in node.value if key.value == "stages"), node)
    return {str(key.value): key.start_mark.line + 1 for key, _ in stages.value}


def apply_changes(entries: dict[str, Any], changes: Sequence[str]) -> None:
    """Carry "stage.key=value" and "stage.settings.key=value" into the recipe's entries; values are YAML."""
    for change in changes:
        target, has_value, value = change.partition("=")
        stage, *keys = target.split(".")
        if not has_value or not keys:
            raise ConfigError(f"--set {change!r} can't be read; write --set STAGE.KEY=VALUE.")
        if stage not in entries:
            raise ConfigError(
                f"--set {change!r}: there is no stage '{stage}'{nearest(stage, entries)} Stages: {', '.join(entries)}."
            )
        try:
            read = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            raise ConfigError(f"--set {change!r}: {value!r} is not YAML; write it as in a recipe.") from None
        set_in(entries, [stage, *keys], read, change)


def set_in(entries: dict[str, Any], keys: Sequence[str], value: Any, change: str) -> None:
    """Put `value` where `keys` lead to; ConfigError where they lead through something that has no settings."""
    place: Any = entries
    for depth, key in enumerate(keys[:-1], start=1):
        if place.get(key) is None:
            place[key] = {}
        place = place[key]
        if not isinstance(place, dict):
            raise ConfigError(
                f"--set {change!r}: {'.'.join(keys[:depth])} is {place!r}, which has no settings of its own; "
                f"write --set {'.'.join(keys[:depth])}=VALUE."
            )
    place[keys[-1]] = value


def build_stage(name: str, entry: Any, base: Path, where: str) -> Stage:
    """One stage from its entry; ConfigError with file, line and nearest name for what isn't known."""
    if not STAGE_NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: '{name}' can't be a stage's name, which is its folder's too; use letters, digits, '_' and '-'."
        )
    if not isinstance(entry, dict) or "kind" not in entry:
        raise ConfigError(f"{where}: stage '{name}' needs a 'kind'; kinds: {', '.join(KINDS)}.")
    kind = KINDS.get(str(entry["kind"]))
    if kind is None:
        raise ConfigError(
            f"{where}: stage '{name}' is of unknown kind '{entry['kind']}'{nearest(str(entry['kind']), KINDS)} "
            f"Kinds: {', '.join(KINDS)}."
        )
    settings = {key: value for key, value in entry.items() if key != "kind"}
    known = setting_names(kind)
    for key in settings:
        if key not in known:
            raise ConfigError(
                f"{where}: stage '{name}' has an unknown setting '{key}'{nearest(key, known)} "
                f"A {kind.kind} stage has: {', '.join(known)}."
            )
    required = [f.name for f in dataclasses.fields(kind) if is_required(f) and f.name in known]
    missing = [key for key in required if key not in settings]
    if missing:
        raise ConfigError(f"{where}: stage '{name}' lacks '{missing[0]}', which a {kind.kind} stage needs.")
    check_types(kind, settings, f"{where}: stage '{name}'")
    return kind(name=name, base=base, **settings)


def check_types(kind: type[Stage], settings: dict[str, Any], where: str) -> None:
    hints = get_type_hints(kind)
    for key, value in settings.items():
        if not fits(value, hints[key]):
            raise ConfigError(f"{where}: {key} must be {in_words(hints[key])}, but is {value!r}; mend it.")


def is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def check_order(stages: Sequence[Stage], path: Path) -> None:
    """Every stage needs only stages that stand before it."""
    before: list[str] = []
    for stage in stages:
        for needed in stage.needs():
            if needed not in before:
                raise ConfigError(
                    f"{path}: stage '{stage.name}' needs '{needed}', which does not stand before it"
                    f"{nearest(needed, before)} Stages before it: {', '.join(before) or 'none'}."
                )
        before.append(stage.name)
