"""The plans of a pipeline's trainings, one a stage: read from its file, without building its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from open_r1.configs.reader import Setting, changed, read_changes, read_recipe
from open_r1.errors import ConfigError, nearest
from open_r1.launch.plan.architectures import Architecture
from open_r1.launch.plan.planning import Plan, plan
from open_r1.launch.plan.settings import Kind

SHAPE = {
    "architecture": "qwen3", "hidden_size": 96, "num_layers": 2, "num_heads": 4, "num_key_value_heads": 2,
    "head_dim": None, "intermediate_size": 256, "tie_word_embeddings": False, "vocab_size": 640,
}  # fmt: skip
"""What a stage `model` makes where its shape does not say; a test compares it with `training.tiny_models.ModelShape`."""

DATA = {"sft": ("traces", "sft"), "grpo": ("problems", "rl")}
"""Kind -> the key that names its data, and the key of the stage `problems` that says how many rows there are."""

TASK_PROMPT_TOKENS = 64
"""Tokens of the prompts of procedural tasks, with a system prompt and the template, at most."""


def plan_pipeline(path: Path, changes: Sequence[str] = (), **options: Any) -> list[Plan]:
    """A plan for each stage that trains, in the file's order; `options` are those of `plan`.

    ConfigError for a file without such a stage, and whatever `plan` refuses, with the stage's name.
    """
    stages = stages_of(path, changes)
    plans = [plan_stage(name, stages, path.parent, **options) for name in stages if kind_at(stages, name)]
    if not plans:
        raise ConfigError(f"{path} has no stage that trains (sft, grpo), so there is nothing to plan.")
    return plans


def is_pipeline(path: Path) -> bool:
    """Whether a recipe is a pipeline's."""
    return any(setting.key == "stages" for setting in read_recipe(path))


def stages_of(path: Path, changes: Sequence[str]) -> dict[str, Setting]:
    """The stages of a pipeline's file by name, with changes "STAGE.KEY=VALUE". ConfigError for an unknown stage."""
    written = next(setting for setting in read_recipe(path) if setting.key == "stages")
    parts = list(written.parts)
    for change in read_changes(changes, "STAGE.KEY=VALUE"):
        keys, names = change.key.split("."), [part.key for part in parts]
        if keys[0] not in names or len(keys) < 2:
            raise ConfigError(f"{change.origin}: there is no stage '{keys[0]}'{nearest(keys[0], names)} "
                              f"Write --set STAGE.KEY=VALUE with one of {', '.join(names)}.")  # fmt: skip
        parts = changed(parts, keys, change)
    return {part.key: part for part in parts}


def kind_at(stages: Mapping[str, Setting], name: str) -> Kind | None:
    """The kind of training of a stage; None where it does not train."""
    kind = value_of(stages[name], "kind")
    return cast(Kind, kind) if kind in get_args(Kind) else None


def value_of(stage: Setting, key: str, default: Any = None) -> Any:
    """A key's value in a stage."""
    return stage.value.get(key, default) if isinstance(stage.value, dict) else default


def plan_stage(name: str, stages: Mapping[str, Setting], base: Path, **options: Any) -> Plan:
    """The plan of one stage, by the accelerator of its `resources` where `options` name none."""
    stage, kind = stages[name], kind_at(stages, name)
    assert kind is not None, "only stages that train are planned"
    recipe = value_of(stage, "recipe")
    overrides = next((part.parts for part in stage.parts if part.key == "overrides"), ())
    settings = [*(read_recipe(base / str(recipe)) if recipe else []), *overrides]
    model, architecture = model_of(name, stages)
    if model is not None:
        settings.append(Setting("model_name_or_path", model, stage.origin))
    resources = value_of(stage, "resources") or {}
    own = {key: resources[key] for key in ("accelerator",) if key in resources}
    given = of_data(kind, stage, stages) | own | {key: one for key, one in options.items() if one is not None}
    try:
        return plan(kind=kind, settings=settings, architecture=architecture, name=name, **given)
    except ConfigError as error:
        raise ConfigError(f"stage '{name}': {error}") from None


def model_of(name: str, stages: Mapping[str, Setting]) -> tuple[str | None, Architecture | None]:
    """The folder or Hub id that a stage's model goes back to, or the architecture of the stage that makes it."""
    model, seen = model_at(stages, name), {name}
    while model in stages and model not in seen:
        seen.add(model)
        if value_of(stages[model], "kind") == "model":
            return None, architecture_of(SHAPE | (value_of(stages[model], "shape") or {}))
        model = model_at(stages, model)
    return str(model), None


def model_at(stages: Mapping[str, Setting], name: str) -> Any:
    """What a stage says of its model, or says by default."""
    return value_of(stages[name], "model", "sft" if kind_at(stages, name) == "grpo" else "model")


def architecture_of(shape: Mapping[str, Any]) -> Architecture:
    """The architecture of a stage `model`'s shape."""
    h, heads, is_qwen3 = shape["hidden_size"], shape["num_heads"], shape["architecture"] == "qwen3"
    return Architecture(
        h, shape["num_layers"], heads, shape["num_key_value_heads"], shape["head_dim"] or h // heads,
        shape["intermediate_size"], shape["vocab_size"], shape["tie_word_embeddings"], not is_qwen3, is_qwen3,
    )  # fmt: skip


def of_data(kind: Kind, stage: Setting, stages: Mapping[str, Setting]) -> dict[str, Any]:
    """Rows of the stage's data and tokens of a prompt, where a stage `problems` makes them."""
    key, count = DATA[kind]
    source = value_of(stage, key, key)
    if kind == "sft" and source in stages:
        source = value_of(stages[source], "problems", "problems")
    if source not in stages or value_of(stages[source], "kind") != "problems":
        return {}
    return {"rows": value_of(stages[source], count), "prompt_tokens": TASK_PROMPT_TOKENS}
