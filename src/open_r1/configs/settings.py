"""A recipe (YAML) and a command line, read into settings that know where each came from.

Does: read, translate old names, refuse unknown ones with file, line and nearest name. Does not: know the dataclasses
(the caller passes the names that are known) or load TRL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from open_r1.configs.renames import RENAMES
from open_r1.errors import ConfigError, nearest

COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Setting:
    """One key as someone wrote it; `origin` is "recipe.yaml:12" or "command line".

    `value` is what YAML made of it, or the list of words that followed the flag.
    """

    key: str
    value: Any
    origin: str


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """A YAML mapping and the line of each top-level key; ConfigError for anything else."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"recipe '{path}' does not exist; check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe '{path}' can't be read: {error}; a recipe is a YAML text file.") from None
    try:
        return load_mapping(text, path)
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is an impossible date or number
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"recipe '{path}{line}' is not YAML: {problem}; mend that line.") from None


def load_mapping(text: str, path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Keys as they are written with their values, merge keys (`<<`) carried out, and the line of each key."""
    loader = yaml.SafeLoader(text)
    node = loader.get_single_node()
    if not isinstance(node, yaml.MappingNode):
        kind = {type(None): "is empty", yaml.SequenceNode: "holds a list"}.get(type(node), "holds a single value")
        raise ConfigError(f"recipe '{path}' {kind}; it must be a YAML mapping of 'key: value' lines.")
    refuse_second_keys(node, path)
    loader.flatten_mapping(node)
    pairs = [(str(key.value), key.start_mark.line + 1, value) for key, value in node.value]
    content = {key: loader.construct_object(value, deep=True) for key, _, value in pairs}
    return content, {key: line for key, line, _ in pairs}


def refuse_second_keys(node: yaml.CollectionNode, path: Path) -> None:
    """ConfigError for a key that a mapping, at any depth, has twice: YAML itself would drop the first in silence."""
    lines: dict[str, int] = {}
    for key_node in (pair[0] for pair in node.value if isinstance(node, yaml.MappingNode)):
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in lines:
            raise ConfigError(f"{path}:{line} sets '{key}' a second time (first in line {lines[key]}); keep one.")
        lines[key] = line
    for child in node.value:
        value = child[1] if isinstance(node, yaml.MappingNode) else child
        is_alias_of_parent = value.start_mark.index <= node.start_mark.index
        if isinstance(value, yaml.CollectionNode) and not is_alias_of_parent:
            refuse_second_keys(value, path)


def read_recipe(path: Path) -> list[Setting]:
    """The settings of a recipe file, in its order."""
    content, lines = read_yaml(path)
    return [Setting(key, value, f"{path}:{lines[key]}") for key, value in content.items()]


def read_flags(arguments: Sequence[str]) -> list[Setting]:
    """`--key value value`, `--key=value`, `--key` and `--some-key` as settings; ConfigError for a stray word."""
    settings: list[Setting] = []
    for word in arguments:
        if word.startswith("--") and len(word) > 2:
            key, has_value, value = word[2:].partition("=")
            settings.append(Setting(key.replace("-", "_"), [value] if has_value else [], COMMAND_LINE))
        elif settings:
            settings[-1].value.append(word)
        else:
            raise ConfigError(f"'{word}' stands before any flag; settings are written --key value.")
    return settings


def split_recipe_flag(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Take every `--config FILE` out of a command line; ConfigError when the file is missing after the flag."""
    paths: list[Path] = []
    others: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--config":
            path = next(words, None)
            if path is None or path.startswith("--"):
                raise ConfigError("--config needs a recipe file after it.")
            paths.append(Path(path))
        elif word.startswith("--config="):
            paths.append(Path(word.removeprefix("--config=")))
        else:
            others.append(word)
    return paths, others


def translate(settings: Iterable[Setting], known: Collection[str]) -> tuple[list[Setting], list[str]]:
    """Settings under their present names, with a line of notice for each old name.

    A name that is still `known` is never translated. ConfigError for a name that is neither, and for a setting that one
    source gives under two names with two values.
    """
    settings = list(settings)
    refuse_two_names(settings, known)
    translated: list[Setting] = []
    notices: list[str] = []
    for setting in settings:
        rename = RENAMES.get(setting.key)
        if setting.key in known or (setting.key.startswith("no_") and setting.key[3:] in known):
            translated.append(setting)
        elif rename is None:
            raise ConfigError(unknown_key_message(setting, known))
        elif rename.new is None:
            notices.append(f"{setting.origin}: '{setting.key}' is not used any more: {rename.why}.")
        elif rename.new in known:
            notices.append(f"{setting.origin}: '{setting.key}' is now '{rename.new}'.")
            value = rename.convert(last_word(setting.value)) if rename.convert else setting.value
            translated.append(Setting(rename.new, value, setting.origin))
        else:
            notices.append(f"{setting.origin}: '{setting.key}' (now '{rename.new}') has no meaning here.")
    return translated, notices


def refuse_two_names(settings: Iterable[Setting], known: Collection[str]) -> None:
    """ConfigError where one file, or the command line, gives a setting's old and new name with different values."""
    written: dict[tuple[str, str], Setting] = {}
    for setting in settings:
        rename = RENAMES.get(setting.key) if setting.key not in known else None
        present = setting.key if rename is None else rename.new
        first = written.setdefault((source_of(setting), present or setting.key), setting)
        if first.key != setting.key and final_value(first) != final_value(setting):
            raise ConfigError(
                f"{setting.origin}: '{first.key}' and '{setting.key}' are one setting, now called '{present}', but are "
                f"given as {shown(first)!r} ({first.origin}) and {shown(setting)!r}; keep one of them."
            )


def shown(setting: Setting) -> Any:
    """The value as it was written: the words of the command line in one."""
    is_words = setting.origin == COMMAND_LINE and isinstance(setting.value, list)
    return " ".join(setting.value) if is_words else setting.value


def source_of(setting: Setting) -> str:
    """The file of "recipe.yaml:12"; other origins as they are."""
    return setting.origin.rpartition(":")[0] or setting.origin


def final_value(setting: Setting) -> str:
    """A value as its present name gets it, in a form that YAML's and the command line's can be compared in."""
    rename = RENAMES.get(setting.key)
    value = last_word(setting.value)
    return str(rename.convert(value) if rename and rename.convert else value)


def last_word(value: Any) -> Any:
    return (value[-1] if value else "") if isinstance(value, list) else value


def unknown_key_message(setting: Setting, known: Collection[str]) -> str:
    name = f"--{setting.key}" if setting.origin == COMMAND_LINE else f"'{setting.key}'"
    hint = nearest(setting.key, [*known, *RENAMES])
    advice = hint if hint != "." else "; remove it or see docs/reference/settings.md for the known ones."
    return f"{setting.origin}: unknown setting {name}{advice}"
