"""Settings -> the dataclasses of a training stage, adapted to the machine and checked.

TRL is imported when a stage is resolved. The order is: read, translate, refuse unknown keys, convert each value by its
field's type, adapt to the machine, build the dataclasses (their own checks run here), cross-check.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from open_r1.configs.checks import check_batch, check_settings
from open_r1.configs.datasets import DatasetMixtureConfig
from open_r1.configs.fields import limits_of
from open_r1.configs.ranges import check_ranges
from open_r1.configs.reader import COMMAND_LINE, Setting, read_flags, read_recipe, split_recipe_flag
from open_r1.configs.renames import shown, translate
from open_r1.configs.stage_arguments import ADAPTED, StageArguments, StageKind
from open_r1.configs.types import fits, in_words
from open_r1.errors import ConfigError, nearest
from open_r1.processes.ranks import world_size

STRUCTURED = {"reward_weights": dict}
"""Settings that take more than their type says: weights by the rewards' names."""

TRACKER_PACKAGES = {"azure_ml": ("azureml",), "dagshub": ("dagshub",), "flyte": ("flytekit",), "kubeflow": (),
                    "tensorboard": ("tensorboard", "tensorboardX")}  # fmt: skip
"""Packages that a tracker of `report_to` needs one of, where it isn't called as they are; none: it needs no package."""


class FlagParser:
    """Converts words to the types of the dataclasses' fields, by transformers' own argument parser."""

    def __init__(self, classes: Sequence[type]) -> None:
        from transformers import HfArgumentParser

        class Parser(HfArgumentParser):
            def error(self, message: str) -> NoReturn:
                raise ConfigError(message)

        self.parser = Parser(list(classes), allow_abbrev=False, exit_on_error=False, add_help=False)  # type: ignore[arg-type]
        self.fields = {f.name: f for cls in classes for f in dataclasses.fields(cls) if f.init}
        self.ranges = {name: limits for cls in classes for name, limits in limits_of(cls).items()}
        self.hints = {name: hint for cls in classes for name, hint in get_type_hints(cls).items()}

    def defaults(self) -> dict[str, Any]:
        return vars(self.parser.parse_args([]))

    def convert(self, setting: Setting) -> tuple[str, Any]:
        """The field a setting is for, and its value; ConfigError names the setting's origin."""
        try:
            if setting.origin == COMMAND_LINE or isinstance(setting.value, bool | int | float | str):
                return self.convert_words(setting)
            return setting.key, self.convert_structure(setting)
        except (argparse.ArgumentError, argparse.ArgumentTypeError, ConfigError, ValueError, TypeError) as error:
            reason = str(error)
            if reason.startswith("argument "):  # argparse puts the flag's name before the cause
                reason = reason.split(": ", 1)[-1]
            if reason.startswith(("invalid int value", "invalid float value")):
                reason = f"it must be {in_words(self.hints[setting.key])}"
            raise ConfigError(
                f"{setting.origin}: {setting.key} = {shown(setting)!r} can't be used: {reason.rstrip('.')}."
            ) from None

    def convert_words(self, setting: Setting) -> tuple[str, Any]:
        words = setting.value if isinstance(setting.value, list) else [self.as_word(setting)]
        if not words and self.is_boolean(setting.key):
            words = ["true"]
        flag = f"--{setting.key}"
        arguments = [f"{flag}={words[0]}"] if len(words) == 1 else [flag, *words]
        parsed = vars(self.parser.parse_args(arguments))
        name = setting.key if setting.key in parsed else setting.key.removeprefix("no_")
        return name, parsed[name]

    def as_word(self, setting: Setting) -> str:
        """A scalar of YAML as a word: as it was written where the field takes text, so that 0123 stays 0123."""
        takes_text = fits("", self.hints.get(setting.key, bool))
        return setting.text if takes_text and setting.text is not None else str(setting.value)

    def is_boolean(self, key: str) -> bool:
        kind = self.fields[key].type if key in self.fields else None
        return kind is bool or bool in getattr(kind, "__args__", ())

    def convert_structure(self, setting: Setting) -> Any:
        """A YAML list, mapping or null, where the field's type has a place for it; items of a list are converted."""
        hint = self.hints.get(setting.key, bool)
        value = convert_items(setting, hint) if isinstance(setting.value, list) else setting.value
        is_default = setting.key in self.fields and value is None and self.fields[setting.key].default is None
        if not (fits(value, hint) or is_default or isinstance(value, STRUCTURED.get(setting.key, ()))):
            advice = "; give one or leave the line out for the default" if value is None else ""
            raise ConfigError(f"it must be {in_words(hint)}{advice}")
        return value


def convert_items(setting: Setting, hint: Any) -> list[Any]:
    """The items of a YAML list by the item type of the list that `hint` allows."""
    allowed = [option for option in (hint, *get_args(hint)) if get_origin(option) is list]
    item_type = get_args(allowed[0])[0] if allowed else None
    if item_type not in (int, float, str):
        return setting.value
    if unusable := [item for item in setting.value if isinstance(item, list | dict | None)]:
        raise ConfigError(f"{unusable[0]!r} is not {in_words(item_type)}")
    written = [part.text for part in setting.parts] or [None] * len(setting.value)
    if item_type is str:
        return [str(item) if text is None else text for item, text in zip(setting.value, written, strict=True)]
    return [item_type(item) for item in setting.value]


@dataclass(frozen=True)
class Resolved:
    """A stage's settings as they will be used, before the dataclasses are made of them."""

    kind: StageKind
    classes: tuple[type, type, type]
    values: dict[str, Any]
    origins: dict[str, str]
    notices: tuple[str, ...]
    adaptations: tuple[str, ...]
    replaced: dict[str, Setting]


def parse_stage(kind: StageKind, arguments: Sequence[str], overrides: Sequence[Setting] = ()) -> StageArguments:
    """The settings of a stage from its command line (`--config FILE --key value …`) and `overrides` (a pipeline's).

    ConfigError for anything that can't be understood or contradicts itself.
    """
    return make_arguments(resolve_stage(kind, arguments, overrides))


def resolve_stage(kind: StageKind, arguments: Sequence[str], overrides: Sequence[Setting] = ()) -> Resolved:
    """Read, translate, convert and adapt the settings. ConfigError names the file and line of what can't be used."""
    from open_r1.training.arguments import stage_classes  # loads TRL

    recipes, flags = split_recipe_flag(arguments)
    raw = [setting for path in recipes for setting in read_recipe(path)] + [*overrides, *read_flags(flags)]
    classes = stage_classes(kind, raw)
    parser = FlagParser(classes)
    settings, notices = translate(raw, parser.fields)
    values = parser.defaults()
    origins = dict.fromkeys(values, "default")
    for setting in settings:
        if setting.key == "dataset_mixture" and isinstance(setting.value, dict):
            DatasetMixtureConfig.read(setting)
        name, value = parser.convert(setting)
        values[name], origins[name] = value, setting.origin
    notices += notice_idle_vllm(values, origins)
    replaced, adaptations = adapt_to_machine(values, origins)
    check_ranges(values, origins, parser.ranges)
    if kind == "grpo":
        check_batch(values, world_size())
    return Resolved(kind, classes, values, origins, tuple(notices), tuple(adaptations), replaced)


def make_arguments(resolved: Resolved) -> StageArguments:
    """The dataclasses of a stage, cross-checked.

    Each use makes new ones: TrainingArguments takes hold of the process's devices when it is made, so the one of a
    pipeline's later stage must not exist while an earlier stage trains.
    """
    values = copy.deepcopy(resolved.values)
    script, training, model = build(resolved.classes, values)
    check_settings(resolved.kind, script, training, model)
    return StageArguments(
        resolved.kind, script, training, model, resolved.origins, resolved.notices, resolved.adaptations, values,
        resolved.replaced,
    )  # fmt: skip


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
        except (ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
            raise ConfigError(" ".join(str(error).split())) from None
        except OSError as error:
            raise ConfigError(f"a file that a setting names can't be read: {error}; check that path.") from None
    return built


def notice_idle_vllm(values: dict[str, Any], origins: dict[str, str]) -> list[str]:
    """A notice when vLLM is set up but not switched on."""
    idle = [key for key in values if key.startswith("vllm_") and origins[key] != "default"]
    if not idle or values["use_vllm"]:
        return []
    verb = "is" if len(idle) == 1 else "are"
    return [
        f"{', '.join(idle)} {verb} set but use_vllm is not: completions will come from transformers; set use_vllm true."
    ]


def adapt_to_machine(values: dict[str, Any], origins: dict[str, str]) -> tuple[dict[str, Setting], list[str]]:
    """Change what a recipe needs changed to run on this machine; returns what was asked for, and a line a change."""
    import torch

    replaced: dict[str, Setting] = {}
    changes: list[str] = []

    def change(key: str, value: Any, why: str) -> None:
        if origins[key] != "default":
            changes.append(f"{key}: {values[key]!r} becomes {value!r}, {why}.")
            replaced[key] = Setting(key, values[key], origins[key])
        values[key], origins[key] = value, f"{ADAPTED}{why}"

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
    trackers = asked_trackers(values["report_to"])
    if missing := [name for name in trackers if not is_installed(name)]:
        why = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed here: "
        change(
            "report_to", [name for name in trackers if name not in missing], f"{why}pip install {' '.join(missing)}"
        )
    return replaced, changes


def asked_trackers(report_to: Any) -> list[str]:
    """The trackers that `report_to` names, "all" and "none" aside; ConfigError for one that transformers lacks."""
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    names = [report_to] if isinstance(report_to, str) else list(report_to or [])
    for name in names:
        if name not in (*INTEGRATION_TO_CALLBACK, "all", "none"):
            known = sorted(INTEGRATION_TO_CALLBACK)
            raise ConfigError(f"report_to names the unknown tracker '{name}'{nearest(name, known)} "
                              f"Trackers: {', '.join(known)}, or none.")  # fmt: skip
    return [name for name in names if name in INTEGRATION_TO_CALLBACK]


def is_installed(tracker: str) -> bool:
    packages = TRACKER_PACKAGES.get(tracker, (tracker,))
    return not packages or any(importlib.util.find_spec(package) for package in packages)
