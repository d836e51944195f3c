"""accelerate's configuration files: found by name, and refused where accelerate would fail, or ignore what they say.

What a file may have is read from the source of the accelerate that is installed, since importing it loads torch.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from open_r1.configs.reader import Setting, read_recipe
from open_r1.configs.types import fits, in_words
from open_r1.errors import ConfigError, UsageError, nearest
from open_r1.launch.recipe import roots

DEEPSPEED, FSDP = "DEEPSPEED", "FSDP"
WHAT = "accelerate's file"
CONFIG_ARGS = "commands/config/config_args.py"
"""accelerate's module that reads its files."""

TYPES: dict[str, Any] = {"int": int, "Optional[int]": int | None, "Optional[dict]": dict | None}
"""Annotations of accelerate's fields that are checked."""
LEGACY = ("fp16", "dynamo_backend")
"""Keys that accelerate still translates."""
PREFIXES = {"fsdp_config": "fsdp_", "fp8_config": "fp8_", "dynamo_config": "dynamo_"}
"""Mappings in which accelerate takes a key with or without this beginning."""
OFFLOADS = ("none", "cpu", "nvme")
VALUES: dict[str, tuple[Any, ...]] = {
    "zero_stage": (0, 1, 2, 3),
    "offload_optimizer_device": OFFLOADS,
    "offload_param_device": OFFLOADS,
    "fsdp_version": (1, 2),
}
"""What these settings may be, beside accelerate's own enumerations."""


@dataclass(frozen=True)
class AccelerateFile:
    """One of accelerate's configuration files."""

    path: Path

    @cached_property
    def written(self) -> list[Setting]:
        """Its settings in their order."""
        return read_recipe(self.path, WHAT)

    @cached_property
    def settings(self) -> dict[str, Setting]:
        """Its settings, those of DeepSpeed and FSDP beside the others."""
        found = {setting.key: setting for setting in self.written}
        parts = [part for name in ("deepspeed_config", "fsdp_config") if name in found for part in found[name].parts]
        return found | {part.key: part for part in parts}

    def value(self, name: str, default: Any = None) -> Any:
        """A setting's value, `default` where the file does not have it or leaves it to the training ("auto")."""
        setting = self.settings.get(name)
        return default if setting is None or setting.value in (None, "auto") else setting.value

    @property
    def kind(self) -> str:
        """accelerate's distributed_type, as MULTI_GPU, FSDP or DEEPSPEED."""
        return str(self.value("distributed_type", "NO"))


def find_accelerate_file(name: str) -> AccelerateFile:
    """A file by its path or, for those in `recipes/accelerate_configs`, its name; checked.

    UsageError, with the nearest, for a name that is not known; ConfigError for what accelerate would not understand.
    """
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise UsageError(f"{WHAT} '{name}' does not exist; check the path.")
        return check_file(AccelerateFile(Path(name)))
    known = {path.stem: path for root in reversed(roots("recipes/accelerate_configs")) for path in root.glob("*.yaml")}
    if name not in known:
        names = ", ".join(sorted(known))
        raise UsageError(f"unknown accelerator '{name}'{nearest(name, known)} Known: {names}, or a YAML file.")
    return check_file(AccelerateFile(known[name]))


def check_file(file: AccelerateFile) -> AccelerateFile:
    """The file; ConfigError, with the line, for a key, type or value that accelerate does not know."""
    fields, options = known_fields(), known_options()
    enumerations = {"distributed_type": members("DistributedType"), "mixed_precision": members("PrecisionType")}
    for setting in file.written:
        check_key(setting, [*fields, *LEGACY])
        hint = TYPES.get(fields.get(setting.key, ""), Any)
        if not fits(setting.value, hint):
            raise ConfigError(f"{setting.origin}: {setting.key} must be {in_words(hint)}, but is {setting.value!r}.")
        prefix = PREFIXES.get(setting.key, "")
        for part in setting.parts if isinstance(setting.value, dict) else ():
            check_key(part, [*options, *(one.removeprefix(prefix) for one in options if one.startswith(prefix))])
    if "distributed_type" not in file.settings:
        known = ", ".join(enumerations["distributed_type"])
        raise ConfigError(f"{file.path} has no distributed_type, which accelerate needs; it may be {known}.")
    for name, known in {**enumerations, **VALUES}.items():
        check_value(file, name, known)
    return file


def check_key(setting: Setting, known: Iterable[str]) -> None:
    """ConfigError, with the nearest, for a key that is none of the known ones."""
    if setting.key not in known:
        raise ConfigError(f"{setting.origin}: accelerate has no setting '{setting.key}'{nearest(setting.key, known)}")


def check_value(file: AccelerateFile, name: str, known: tuple[Any, ...]) -> None:
    """ConfigError for another value than the known ones; accelerate reads YAML 1.1, where a bare `no` is false."""
    value, setting = file.value(name), file.settings.get(name)
    if setting is None or value is None:
        return
    if isinstance((yaml.safe_load(file.path.read_text(encoding="utf-8")) or {}).get(name), bool):
        raise ConfigError(f"{setting.origin}: accelerate reads {name}: {value} as a truth value; write it in quotes.")
    if value not in known or isinstance(value, bool):
        advice = nearest(str(value), map(str, known))
        raise ConfigError(f"{setting.origin}: {name} is {value!r}{advice} Known: {', '.join(map(str, known))}.")


@cache
def class_body(file: str, name: str) -> tuple[ast.stmt, ...]:
    """The statements of a class of accelerate's."""
    tree = ast.parse(source_of(file))
    return next(tuple(one.body) for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name)


def source_of(file: str) -> str:
    """The text of one of accelerate's modules."""
    found = importlib.util.find_spec("accelerate")
    if found is None or not found.submodule_search_locations:
        raise UsageError("accelerate is not installed here; run pip install accelerate.")
    return (Path(found.submodule_search_locations[0]) / file).read_text(encoding="utf-8")


def known_fields() -> dict[str, str]:
    """The keys of a file with their annotations."""
    body = [line for name in ("BaseConfig", "ClusterConfig") for line in class_body(CONFIG_ARGS, name)]
    return {ast.unparse(one.target): ast.unparse(one.annotation) for one in body if isinstance(one, ast.AnnAssign)}


@cache
def known_options() -> frozenset[str]:
    """The options of `accelerate launch`, which are the keys of the mappings in a file."""
    return frozenset(re.findall(r'add_argument\(\s*"--(\w+)"', source_of("commands/launch.py")))


def members(enumeration: str) -> tuple[str, ...]:
    """The values of one of accelerate's enumerations."""
    body = class_body("utils/dataclasses.py", enumeration)
    return tuple(ast.literal_eval(one.value) for one in body if isinstance(one, ast.Assign))
