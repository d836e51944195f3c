"""The plans of a pipeline's trainings, one a stage: read from its file, without building its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from open_r1.configs.reader import Setting, change_stages, read_recipe
from open_r1.errors import ConfigError
from open_r1.launch.plan.architectures import Architecture
from open_r1.launch.plan.planning import Plan, Training, plan_training, training_of
from open_r1.launch.recipe import TASKS, Task

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
    """A plan for each stage that trains, in the file's order; `options` are those of `plan_training`.

    ConfigError for a file without such a stage, and whatever `plan_training` refuses, with the stage's name.
    """
    return [plan_training(training, **options) for training in trainings_of(path, changes)]


def trainings_of(path: Path, changes: Sequence[str] = ()) -> list[Training]:
    """The training of a recipe, or those of a pipeline. ConfigError for a pipeline that trains nothing."""
    if not is_pipeline(path):
        return [training_of(path, changes)]
    stages = stages_of(path, changes)
    found = [training_at(name, stages, path.parent) for name in stages if kind_at(stages, name)]
    if not found:
        raise ConfigError(f"{path} has no stage that trains (sft, grpo), so there is nothing to plan.")
    return found


def is_pipeline(path: Path) -> bool:
    """Whether a recipe is a pipeline's."""
    return any(setting.key == "stages" for setting in read_recipe(path))


def stages_of(path: Path, changes: Sequence[str]) -> dict[str, Setting]:
    """The stages of a pipeline's file by name, with changes "STAGE.KEY=VALUE". ConfigError for an unknown stage."""
    written = change_stages(read_recipe(path), changes)
    return {part.key: part for setting in written if setting.key == "stages" for part in setting.parts}


def kind_at(stages: Mapping[str, Setting], name: str) -> Task | None:
    """The kind of training of a stage; None where it does not train."""
    kind = value_of(stages[name], "kind")
    return cast(Task, kind) if kind in TASKS else None


def value_of(stage: Setting, key: str, default: Any = None) -> Any:
    """A key's value in a stage."""
    return stage.value.get(key, default) if isinstance(stage.value, dict) else default


def training_at(name: str, stages: Mapping[str, Setting], base: Path) -> Training:
    """The training of one stage, with the accelerator of its `resources`."""
    stage, kind = stages[name], kind_at(stages, name)
    assert kind is not None, "only stages that train are planned"
    recipe = value_of(stage, "recipe")
    overrides = next((part.parts for part in stage.parts if part.key == "overrides"), ())
    settings = [*(read_recipe(base / str(recipe)) if recipe else []), *overrides]
    model, architecture = model_of(name, stages)
    if model is not None:
        settings.append(Setting("model_name_or_path", model, stage.origin))
    accelerator = (value_of(stage, "resources") or {}).get("accelerator")
    rows, prompt_tokens = of_data(kind, stage, stages)
    return Training(name, kind, tuple(settings), architecture, accelerator, rows, prompt_tokens, is_stage=True)


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


def of_data(kind: Task, stage: Setting, stages: Mapping[str, Setting]) -> tuple[int | None, int | None]:
    """Rows of the stage's data and tokens of a prompt, where a stage `problems` makes them."""
    key, count = DATA[kind]
    source = value_of(stage, key, key)
    if kind == "sft" and source in stages:
        source = value_of(stages[source], "problems", "problems")
    if source not in stages or value_of(stages[source], "kind") != "problems":
        return None, None
    return value_of(stages[source], count), TASK_PROMPT_TOKENS
