"""A pipeline's recipe: YAML -> stages, checked before any of them runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT, Range
from open_r1.configs.reader import Setting, change_stages, read_recipe
from open_r1.configs.types import read_record
from open_r1.errors import ConfigError, nearest
from open_r1.pipeline import kinds as _kinds  # noqa: F401 - importing it registers the kinds
from open_r1.pipeline.graph import order_stages
from open_r1.pipeline.stage import KINDS, STAGE_NAME, Stage, naming_stage

SEED = Range(0, 2**30 - 1)


@dataclass(frozen=True)
class Pipeline:
    """A checked pipeline: its stages in the order in which they run, and the CPU threads that torch computes with."""

    path: Path
    name: str
    output_dir: Path
    seed: int
    threads: int | None
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class PipelineSettings:
    """The keys of a pipeline's recipe."""

    stages: dict[str, Any] = setting({}, "The stages by name. A stage runs after those that it needs.")
    name: str = setting("", "What to call the run; by default the file's name.")
    output_dir: str = setting("", "Folder for the run.")
    seed: int = setting(0, "Seed of everything that is random.", SEED)
    threads: int | None = setting(None, "CPU threads that torch computes with; null leaves it to torch.", COUNT)


def read_pipeline(
    path: Path, output_dir: str | Path | None = None, seed: int | None = None, changes: Sequence[str] = ()
) -> Pipeline:
    """The pipeline of a recipe, with `changes` "stage.key=value". ConfigError for what can't be carried out."""
    written = change_stages(read_recipe(path), changes)
    settings = read_record(PipelineSettings, written, "pipeline", str(path))
    folder = output_dir or settings.output_dir
    if not folder:
        raise ConfigError(f"{path}: output_dir is not set; say where the run goes, there or by --output_dir FOLDER.")
    if not settings.stages:
        raise ConfigError(f"{path}: 'stages' must be a mapping of stage names to their settings, but is empty.")
    chosen_seed = settings.seed if seed is None else seed
    if chosen_seed not in SEED:
        raise ConfigError(f"--seed must be {SEED.in_words(chosen_seed)}, but is {chosen_seed}.")
    entries = next(entry.parts for entry in written if entry.key == "stages")
    stages = order_stages([_build_stage(entry, path.parent) for entry in entries], str(path))
    before: dict[str, Stage] = {}
    for stage in stages:
        with naming_stage(stage.name):
            stage.check_needs(before)
        before[stage.name] = stage
    for stage in stages:
        stage.check()
        stage.read_resources()
        stage.own_inputs()
    return Pipeline(path, settings.name or path.stem, Path(folder), chosen_seed, settings.threads, stages)


def _build_stage(entry: Setting, base: Path) -> Stage:
    name, where = entry.key, entry.origin
    if not STAGE_NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: '{name}' can't be a stage's name, which is its folder's too; use letters, digits, '_' and '-', which "
            "can't be the first."
        )
    chosen = next((part for part in entry.parts if part.key == "kind"), None)
    if not isinstance(entry.value, dict) or chosen is None:
        raise ConfigError(f"{where}: stage '{name}' needs a 'kind'; kinds: {', '.join(KINDS)}.")
    kind = KINDS.get(str(chosen.value))
    if kind is None:
        raise ConfigError(
            f"{chosen.origin}: stage '{name}' is of unknown kind '{chosen.value}'{nearest(str(chosen.value), KINDS)} "
            f"Kinds: {', '.join(KINDS)}."
        )
    settings = tuple(part for part in entry.parts if part is not chosen)
    return read_record(kind, settings, f"stage '{name}'", where, name=name, base=base, written=settings)
