"""Settings -> the dataclasses of a training stage, adapted to the machine and checked.

TRL is imported when a stage is parsed. The order is: read, translate, refuse unknown keys, read each value by its field's
type, adapt to the machine, build the dataclasses (their own checks run here), cross-check.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import math
import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml

from open_r1.configs.checks import check_batch, check_settings
from open_r1.configs.choices import choices_of
from open_r1.configs.datasets import DatasetMixtureConfig
from open_r1.configs.fields import limits_of
from open_r1.configs.ranges import check_ranges
from open_r1.configs.reader import Setting, read_flags, read_recipe
from open_r1.configs.renames import translate
from open_r1.configs.types import options_of, read_value
from open_r1.errors import ConfigError, nearest
from open_r1.processes.ranks import world_size
from open_r1.training.library_checks import check_libraries

StageKind = Literal["sft", "grpo"]
ADAPTED = "adapted: "
"""How the origin of a setting begins that this machine asked for."""

OPTIMIZERS_OF_BITSANDBYTES = frozenset(
    """adamw_bnb_8bit adamw_8bit ademamix_8bit lion_8bit lion_32bit paged_adamw_32bit paged_adamw_8bit paged_ademamix_32bit
    paged_ademamix_8bit paged_lion_32bit paged_lion_8bit rmsprop_bnb rmsprop_bnb_8bit rmsprop_bnb_32bit""".split()
)

SECRETS = ("hub_token",)
"""Settings whose value never reaches a file."""
SECRET_NAME = re.compile(r"(?i)(key|token|secret|password)$")
"""Variables of `env` that are left out of files, too."""


@dataclass(frozen=True)
class StageArguments:
    """Everything one training stage was asked to do, and where each value came from.

    `dataclasses.replace` makes it again: TrainingArguments initialises the process's devices, so a pipeline must not
    use those of a later stage that it made while an earlier one trains.
    """

    kind: StageKind
    classes: tuple[type, type, type]
    given: dict[str, Any]
    """Each setting as it was asked for or is by default, adapted to the machine."""
    origins: dict[str, str]
    notices: tuple[str, ...] = ()
    adaptations: tuple[str, ...] = ()
    replaced: dict[str, Setting] = field(default_factory=dict)
    """What was asked for where the machine made us use something else."""
    script: Any = field(init=False)
    training: Any = field(init=False)
    model: Any = field(init=False)

    def __post_init__(self) -> None:
        for name, made in zip(("script", "training", "model"), build(self.classes, self.given), strict=True):
            object.__setattr__(self, name, made)
        check_settings(self.kind, self.script, self.training, self.model)
        check_libraries(self.training, self.model)

    @classmethod
    def of_made(cls, kind: StageKind, script: Any, training: Any, model: Any) -> StageArguments:
        """The arguments of a program that made the dataclasses itself, by `trl.TrlParser` or by hand.

        They are used as they are: nothing is translated or adapted to the machine. ConfigError for dataclasses of another
        kind, and for settings that contradict each other.
        """
        made, arguments = (script, training, model), object.__new__(cls)
        classes = (type(script), type(training), type(model))
        for one, wanted in zip(made, stage_classes_of(kind), strict=True):
            if not isinstance(one, wanted):
                raise ConfigError(
                    f"{kind}.main takes a {wanted.__name__} of open_r1.configs, but was given a {type(one).__module__}."
                    f"{type(one).__name__}; make it of that class."
                )
        defaults = defaults_of(classes)
        given = {
            name: getattr(one, name) for one in made for name in (f.name for f in dataclasses.fields(one) if f.init)
        }
        if given.get("steps_per_generation") is not None:
            given["generation_batch_size"] = None  # TRL derives one of the two from the other, and refuses both
        origins = {name: "default" if given[name] == defaults[name] else "program" for name in given}
        parts = {
            "kind": kind,
            "classes": classes,
            "given": given,
            "origins": origins,
            "notices": (),
            "adaptations": (),
        }
        for name, part in (parts | {"replaced": {}, "script": script, "training": training, "model": model}).items():
            object.__setattr__(arguments, name, part)
        check_settings(kind, script, training, model)
        check_libraries(training, model)
        return arguments

    def values(self) -> dict[str, Any]:
        """Each setting as used, secrets left out."""
        merged: dict[str, Any] = {}
        for part in (self.script, self.training, self.model):
            merged.update({f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.init})
        merged["dataset_mixture"] = self.given["dataset_mixture"]  # as it was written
        if merged.get("env"):
            merged["env"] = {name: value for name, value in merged["env"].items() if not SECRET_NAME.search(name)}
        return {key: ("<secret>" if key in SECRETS and value else plain(value)) for key, value in merged.items()}

    def as_yaml(self, has_defaults: bool = True) -> str:
        """resolved.yaml: a recipe that repeats this run, each line saying where its value came from.

        What the dataclasses derive from other settings, and what only this machine needs, is a comment: it is derived again
        wherever the recipe runs. A secret must be given again. Without defaults, it is what was set and what was adapted.
        """
        shown = sorted(
            (key, value) for key, value in self.values().items() if has_defaults or self.origins[key] != "default"
        )
        return "".join(f"{self.as_line(key, value)}\n" for key, value in shown)

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


def stage_classes_of(kind: StageKind) -> tuple[type, type, type]:
    """The dataclasses of a stage; TRL is loaded here."""
    from open_r1.training.arguments import stage_classes

    return stage_classes(kind)


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


def parse_stage(
    kind: StageKind, arguments: Sequence[str], overrides: Sequence[Setting] = (), processes: int | None = None
) -> StageArguments:
    """The settings of a stage from its command line (`--config FILE --key value …`) and `overrides` (a pipeline's).

    Args:
        processes: Those of a launch elsewhere, for which the settings are only checked, as on a machine without an
            accelerator; the batches of all of them are then in one.

    Raises:
        ConfigError: Anything that can't be understood or contradicts itself, with file and line.
    """
    from open_r1.training.arguments import stage_classes  # loads TRL
    from open_r1.training.presets import notice_changed_defaults, preset_settings

    flags = read_flags(arguments)
    if any(flag.key == "config" and not flag.value for flag in flags):
        raise ConfigError("--config needs a recipe file after it.")
    recipes = [Path(path) for flag in flags if flag.key == "config" for path in flag.value]
    raw = [setting for path in recipes for setting in read_recipe(path)]
    raw += [*overrides, *(flag for flag in flags if flag.key != "config")]
    classes = stage_classes(kind, raw)
    hints, given = hints_of(classes), defaults_of(classes)
    origins = dict.fromkeys(given, "default")
    settings, notices = translate(raw, given)
    for setting in [*preset_settings(settings), *settings]:
        if setting.key == "dataset_mixture" and isinstance(setting.value, dict):
            DatasetMixtureConfig.read(setting)
        given[setting.key] = as_float(read_value(setting, hints[setting.key]), hints[setting.key])
        origins[setting.key] = setting.origin
    notices += [*notice_idle_vllm(given, origins), *notice_dropout(given), *notice_no_resume(given)]
    notices += notice_changed_defaults(given, origins, has_recipe=bool(recipes))
    if given.get("packing") and given["packing_strategy"] == "wrapped":
        notices.append(
            "packing_strategy is wrapped: samples are cut anywhere and see each other; bfd keeps them apart."
        )
    replaced, adaptations = adapt_to_machine(given, origins, is_elsewhere=processes is not None)
    notices += notice_slow_precision(given) if processes is None else []
    check_ranges(given, origins, {name: limits for cls in classes for name, limits in limits_of(cls).items()})
    refuse_idle_settings(given, defaults_of(classes), origins)
    if kind == "grpo":
        check_batch(given, processes or world_size())
    for key in ("per_device_train_batch_size", "per_device_eval_batch_size"):
        given[key] *= processes or 1
    return StageArguments(kind, classes, given, origins, tuple(notices), tuple(adaptations), replaced)


def hints_of(classes: Sequence[type]) -> dict[str, Any]:
    """Each setting's type; null fits where it is the default, and weights may be given by the rewards' names."""
    hints = {name: hint for cls in classes for name, hint in get_type_hints(cls).items()} | choices_of(classes)
    nullable = {f.name for cls in classes for f in dataclasses.fields(cls) if f.default is None}
    hints |= {name: hints[name] | None for name in nullable}
    return hints | ({"reward_weights": hints["reward_weights"] | dict[str, Any]} if "reward_weights" in hints else {})


def defaults_of(classes: Sequence[type]) -> dict[str, Any]:
    """Every setting's default."""
    every = [f for cls in classes for f in dataclasses.fields(cls) if f.init]
    return {f.name: f.default if f.default_factory is dataclasses.MISSING else f.default_factory() for f in every}


def as_float(value: Any, hint: Any) -> Any:
    """A whole number where the type says number, as the libraries expect it."""
    if isinstance(value, list):
        return [float(item) for item in value] if list[float] in options_of(hint) else value
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_whole and float in options_of(hint) else value


def build(classes: Sequence[type], values: dict[str, Any]) -> list[Any]:
    """The dataclasses; what they refuse themselves becomes a ConfigError."""
    if not values.get("output_dir"):
        raise ConfigError("output_dir is not set; say where the run goes by --output_dir FOLDER.")
    values = copy.deepcopy(values)
    os.environ.update(values.get("env") or {})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return [cls(**{f.name: values[f.name] for f in dataclasses.fields(cls) if f.init}) for cls in classes]
    except (ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise ConfigError(" ".join(str(error).split())) from None
    except OSError as error:
        raise ConfigError(f"a file that a setting names can't be read: {error}; check that path.") from None


IDLE = {
    "use_peft": ("lora_", "so the whole model would be trained"),
    "dynamic_sampling": ("dynamic_sampling_", "so no group is replaced"),
    "difficulty_pools": (("easy_threshold", "hard_threshold", "pool_fraction"), "so there are no pools"),
}
"""Switches, how the settings begin that do nothing without them, and what would happen instead."""


def refuse_idle_settings(values: dict[str, Any], defaults: dict[str, Any], origins: dict[str, str]) -> None:
    """ConfigError for settings of something that is not switched on."""
    for switch, (starts, instead) in IDLE.items():
        set_here = [key for key in values if key.startswith(starts) and values[key] != defaults[key]]
        if set_here and not values[switch]:
            raise ConfigError(
                f"{origins[set_here[0]]}: {set_here[0]} is set but {switch} is not, {instead}; set {switch} true, or "
                "leave it out."
            )


def notice_idle_vllm(values: dict[str, Any], origins: dict[str, str]) -> list[str]:
    """A notice when vLLM is set up but not switched on."""
    idle = [key for key in values if key.startswith("vllm_") and origins[key] != "default"]
    if not idle or values["use_vllm"]:
        return []
    verb = "is" if len(idle) == 1 else "are"
    return [
        f"{', '.join(idle)} {verb} set but use_vllm is not: completions will come from transformers; set use_vllm true."
    ]


def notice_dropout(values: dict[str, Any]) -> list[str]:
    """A notice when the engine that samples and the model that is trained differ by LoRA's dropout."""
    if not (values.get("use_vllm") and values["use_peft"] and values["lora_dropout"]) or values["disable_dropout"]:
        return []
    return [
        f"lora_dropout is {values['lora_dropout']}: the trainer computes log-probabilities with dropout, vLLM samples "
        "without, and importance sampling corrects for the difference; set lora_dropout 0 to have none."
    ]


def notice_slow_precision(values: dict[str, Any]) -> list[str]:
    """A notice when the processor, which is to train, computes slowly in bfloat16."""
    from open_r1.generation.precision import computes_bfloat16

    slow = {"bf16": values["bf16"], "dtype": values["dtype"] == "bfloat16"}
    if not values["use_cpu"] or not any(slow.values()) or computes_bfloat16():
        return []
    return [
        f"{' and '.join(key for key, is_set in slow.items() if is_set)}: this processor has no fast bfloat16 arithmetic and "
        "is several times slower in it than in float32; for speed set bf16 false and dtype float32."
    ]


def notice_no_resume(values: dict[str, Any]) -> list[str]:
    """A notice when a run will not be able to go on after an interruption."""
    if not values["save_only_model"] or values["save_strategy"] == "no":
        return []
    return [
        "save_only_model is set: checkpoints lack the optimizer's states, so a run that is interrupted can't go on from one "
        "and starts over; set save_only_model false to resume."
    ]


def adapt_to_machine(
    values: dict[str, Any], origins: dict[str, str], is_elsewhere: bool = False
) -> tuple[dict[str, Setting], list[str]]:
    """Change what a recipe needs changed to run on this machine; returns what was asked for, and a line a change.

    A training elsewhere is not to touch this machine's accelerator, so that it counts as one without.
    """
    import torch

    replaced: dict[str, Setting] = {}
    changes: list[str] = []

    def change(key: str, value: Any, why: str) -> None:
        if origins[key] != "default":
            changes.append(f"{key}: {values[key]!r} becomes {value!r}, {why}.")
            replaced[key] = Setting(key, values[key], origins[key])
        values[key], origins[key] = value, f"{ADAPTED}{why}"

    has_accelerator = torch.accelerator.is_available() and not values["use_cpu"] and not is_elsewhere
    if not has_accelerator:
        why = "there is no accelerator" if not values["use_cpu"] else "use_cpu is set"
        if not values["use_cpu"]:
            change("use_cpu", True, why)
        if values["bf16"] is None:
            change("bf16", False, why)
        for key in ("use_liger_kernel", "dataloader_pin_memory", "vllm_enable_sleep_mode"):
            if values.get(key):
                change(key, False, why)
    if values["use_liger_kernel"] and importlib.util.find_spec("liger_kernel") is None:
        change("use_liger_kernel", False, "liger-kernel is not installed here: pip install liger-kernel")
    if importlib.util.find_spec("bitsandbytes") is None and not has_accelerator:
        why = "there is no accelerator, nor bitsandbytes"
        for key in ("load_in_4bit", "load_in_8bit"):
            if values[key] and values["use_peft"]:  # without, it is refused on every machine
                change(key, False, why)
        if str(getattr(values["optim"], "value", values["optim"])) in OPTIMIZERS_OF_BITSANDBYTES:
            change("optim", "adamw_torch", why)
    wants_flash = str(values["attn_implementation"] or "").startswith("flash_attention")
    if wants_flash and not (has_accelerator and importlib.util.find_spec("flash_attn")):
        change("attn_implementation", "sdpa", "flash-attn is not usable here")
    adapt_trackers(values["report_to"], origins["report_to"] == "default", change)
    return replaced, changes


def adapt_trackers(asked: Any, is_default: bool, change: Callable[[str, Any, str], None]) -> None:
    """Leave out trackers that are not installed, and take trackio by default where it is. ConfigError for an unknown one."""
    from transformers.integrations.integration_utils import (
        INTEGRATION_TO_CALLBACK,
        get_available_reporting_integrations,
    )

    names = asked
    names = [names] if isinstance(names, str) else list(names or [])
    for name in names:
        if name not in (*INTEGRATION_TO_CALLBACK, "all", "none"):
            known = sorted(INTEGRATION_TO_CALLBACK)
            raise ConfigError(f"report_to names the unknown tracker '{name}'{nearest(name, known)} "
                              f"Trackers: {', '.join(known)}, or none.")  # fmt: skip
    available = get_available_reporting_integrations()
    if is_default and "trackio" in available:
        names = ["trackio"]
        change("report_to", names, "trackio is installed here; none switches it off")
    usable = ("all", "none", *available)
    if missing := [name for name in names if name not in usable]:
        verb = "is" if len(missing) == 1 else "are"
        why = f"{' and '.join(missing)} {verb} not installed here: pip install {' '.join(missing)}"
        change("report_to", [name for name in names if name in usable], why)
