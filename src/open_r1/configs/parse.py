"""Settings -> the dataclasses of a training stage, adapted to the machine and checked.

Imports TRL. The order is: read, translate, refuse unknown keys, convert each value by its field's type, adapt to the
machine, build the dataclasses (their own checks run here), cross-check.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from open_r1.configs.checks import check_batch, check_settings
from open_r1.configs.settings import COMMAND_LINE, Setting, read_flags, read_recipe, split_recipe_flag, translate
from open_r1.errors import ConfigError

StageKind = Literal["sft", "grpo"]
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

    def values(self) -> dict[str, Any]:
        """Each setting as used, secrets left out."""
        merged: dict[str, Any] = {}
        for part in (self.script, self.training, self.model):
            merged.update({f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.init})
        return {key: ("<secret>" if key in SECRETS and value else plain(value)) for key, value in merged.items()}

    def as_yaml(self) -> str:
        """resolved.yaml: a recipe that repeats this run, each line saying where its value came from.

        What the dataclasses work out from other settings stands behind a comment sign: it is derived again.
        """
        return "".join(f"{self.as_line(key, value)}\n" for key, value in sorted(self.values().items()))

    def as_line(self, key: str, value: Any) -> str:
        is_derived = self.origins[key] == "default" and plain(self.given[key]) != value
        line = f"{key}: {json.dumps(value)}"
        return f"# {line}  (derived)" if is_derived else f"{line}  # {self.origins[key]}"


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


class FlagParser:
    """Converts words to the types of the dataclasses' fields, by transformers' own argument parser."""

    def __init__(self, classes: Sequence[type]) -> None:
        from transformers import HfArgumentParser

        class Parser(HfArgumentParser):
            def error(self, message: str) -> NoReturn:
                raise ConfigError(message)

        self.parser = Parser(list(classes), allow_abbrev=False, exit_on_error=False, add_help=False)  # type: ignore[arg-type]
        self.fields = {f.name: f for cls in classes for f in dataclasses.fields(cls) if f.init}

    def defaults(self) -> dict[str, Any]:
        return vars(self.parser.parse_args([]))

    def convert(self, setting: Setting) -> tuple[str, Any]:
        """The field a setting is for, and its value; ConfigError names the setting's origin."""
        try:
            if setting.origin == COMMAND_LINE or isinstance(setting.value, bool | int | float | str):
                return self.convert_words(setting)
            return setting.key, self.convert_structure(setting)
        except (argparse.ArgumentError, argparse.ArgumentTypeError, ConfigError, ValueError, TypeError) as error:
            shown = " ".join(map(str, setting.value)) if isinstance(setting.value, list) else setting.value
            reason = str(error).split(": ", 1)[-1]
            raise ConfigError(f"{setting.origin}: {setting.key} = {shown!r} can't be used: {reason}.") from None

    def convert_words(self, setting: Setting) -> tuple[str, Any]:
        words = setting.value if isinstance(setting.value, list) else [str(setting.value)]
        if not words and self.is_boolean(setting.key):
            words = ["true"]
        flag = f"--{setting.key}"
        arguments = [f"{flag}={words[0]}"] if len(words) == 1 else [flag, *words]
        parsed = vars(self.parser.parse_args(arguments))
        name = setting.key if setting.key in parsed else setting.key.removeprefix("no_")
        return name, parsed[name]

    def is_boolean(self, key: str) -> bool:
        kind = self.fields[key].type if key in self.fields else None
        return kind is bool or bool in getattr(kind, "__args__", ())

    def convert_structure(self, setting: Setting) -> Any:
        """A YAML list, mapping or null: items of a typed list are converted, the rest is taken as it is."""
        item_type = getattr(self.fields[setting.key].type, "__args__", (None,))[0]
        if isinstance(setting.value, list) and item_type in (int, float, str):
            return [item_type(item) for item in setting.value]
        return setting.value


def stage_classes(kind: StageKind) -> tuple[type, type, type]:
    """The dataclasses for script, training and model settings of a stage."""
    from open_r1.configs import arguments

    if kind == "sft":
        return arguments.ScriptArguments, arguments.SFTConfig, arguments.ModelConfig
    return arguments.GRPOScriptArguments, arguments.GRPOConfig, arguments.ModelConfig


def parse_stage(kind: StageKind, arguments: Sequence[str], overrides: Sequence[Setting] = ()) -> StageArguments:
    """The settings of a stage from its command line (`--config FILE --key value …`) and `overrides` (a pipeline's).

    ConfigError for anything that can't be understood or contradicts itself.
    """
    recipes, flags = split_recipe_flag(arguments)
    raw = [setting for path in recipes for setting in read_recipe(path)] + [*overrides, *read_flags(flags)]
    classes = stage_classes(kind)
    parser = FlagParser(classes)
    settings, notices = translate(raw, parser.fields)
    values = parser.defaults()
    origins = dict.fromkeys(values, "default")
    for setting in settings:
        name, value = parser.convert(setting)
        values[name], origins[name] = value, setting.origin
    adaptations = adapt_to_machine(values, origins)
    if kind == "grpo":
        check_batch(values, world_size())
    script, training, model = build(classes, values)
    parsed = StageArguments(kind, script, training, model, origins, tuple(notices), tuple(adaptations), values)
    check_settings(parsed.kind, script, training, model)
    return parsed


def build(classes: Sequence[type], values: dict[str, Any]) -> list[Any]:
    """The dataclasses; what they refuse themselves becomes a ConfigError."""
    if not values.get("output_dir"):
        raise ConfigError("output_dir is not set; say where the run goes by --output_dir FOLDER.")
    built = []
    for cls in classes:
        names = [f.name for f in dataclasses.fields(cls) if f.init]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                built.append(cls(**{name: values[name] for name in names}))
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(" ".join(str(error).split())) from None
    return built


def adapt_to_machine(values: dict[str, Any], origins: dict[str, str]) -> list[str]:
    """What a recipe made for GPUs needs changed to run on this machine; each change is told and recorded."""
    import torch

    changes: list[str] = []

    def change(key: str, value: Any, why: str) -> None:
        if origins[key] != "default":
            changes.append(f"{key}: {values[key]!r} becomes {value!r}, {why}.")
        values[key], origins[key] = value, f"adapted: {why}"

    has_accelerator = torch.accelerator.is_available() and not values["use_cpu"]
    if not has_accelerator:
        why = "there is no accelerator" if not values["use_cpu"] else "use_cpu is set"
        if not values["use_cpu"]:
            change("use_cpu", True, why)
        if values["bf16"] is None:
            change("bf16", False, why)
        if values["use_liger_kernel"]:
            change("use_liger_kernel", False, why)
        if values["dataloader_pin_memory"]:
            change("dataloader_pin_memory", False, why)
    wants_flash = str(values["attn_implementation"] or "").startswith("flash_attention")
    if wants_flash and not (has_accelerator and importlib.util.find_spec("flash_attn")):
        change("attn_implementation", "sdpa", "flash-attn is not usable here")
    return changes


def world_size() -> int:
    """Number of training processes that the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def read_stage_yaml(path: Path) -> dict[str, Any]:
    """A resolved.yaml written by an earlier run."""
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))
