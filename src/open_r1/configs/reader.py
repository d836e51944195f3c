"""The one reader of settings: recipes, pipelines, mixtures, flags and `--set`, each value with its file and line.

    read_recipe(path)             a YAML file -> settings
    read_flags(words)             --key value … -> settings
    read_changes(words)           KEY=VALUE …, as after --set -> settings
    changed(settings, change)     the settings with one of them, at any depth, replaced

Recipes are YAML 1.2: `no`, `on` and `2020-01-01` are text, `1e-4` is a number. PyYAML reads them, by rules of our own
for what a word means, since it is here with the libraries below and knows only YAML 1.1. A key that a mapping has twice
is refused, where YAML would drop the first. What the settings mean is not known here: see `types` and `parse`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from open_r1.errors import ConfigError

COMMAND_LINE = "command line"

PREFIX = "tag:yaml.org,2002:"
CORE_SCHEMA = {
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": (r"<<", "<"),
}
"""What a plain word means by YAML 1.2 (section 10.3.2), and the letters it begins with; all else is text."""


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the words of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own table, without the words of YAML 1.1


for _name, (_words, _letters) in CORE_SCHEMA.items():
    _starts = [*_letters, ""] if _name == "null" else list(_letters)
    Loader.add_implicit_resolver(f"{PREFIX}{_name}", re.compile(f"^(?:{_words})$"), _starts)


@dataclass(frozen=True)
class Setting:
    """One key as someone wrote it.

    Args:
        value: What YAML made of it, or the list of words that followed the flag.
        origin: "recipe.yaml:12", "command line" or "--set KEY=VALUE".
        text: A number or truth value as it was written, for a field that wants text.
        parts: The settings of a mapping, or the items of a list.
    """

    key: str
    value: Any
    origin: str
    text: str | None = field(default=None, compare=False, repr=False)
    parts: tuple[Setting, ...] = field(default=(), compare=False, repr=False)


def as_setting(key: str, value: Any, origin: str) -> Setting:
    """A setting with its parts, of a value that comes from a program."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = ((f"{key}[{index}]", item) for index, item in enumerate(value))
    return Setting(key, value, origin, parts=tuple(as_setting(str(name), item, origin) for name, item in items))


def read_recipe(path: Path) -> list[Setting]:
    """The settings of a recipe file, in its order; ConfigError, with the line, for what is no YAML mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"recipe '{path}' does not exist; check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe '{path}' can't be read: {error}; a recipe is a YAML text file.") from None
    try:
        return list(load_mapping(text, path).parts)
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"recipe '{path}{line}' is not YAML: {problem}; correct that line.") from None


def read_values(path: Path) -> dict[str, Any]:
    """The settings of a recipe file by key, without their lines; ConfigError as of `read_recipe`."""
    return {setting.key: setting.value for setting in read_recipe(path)}


def load_mapping(text: str, path: Path) -> Setting:
    """The settings of a recipe's text. ConfigError for what is not a mapping."""
    loader = Loader(text)
    node = loader.get_single_node()
    if not isinstance(node, yaml.MappingNode):
        kind = {type(None): "is empty", yaml.SequenceNode: "contains a list"}.get(
            type(node), "contains a single value"
        )
        raise ConfigError(f"recipe '{path}' {kind}; it must be a YAML mapping of 'key: value' lines.")
    return NodeReader(loader, str(path)).read(node, "")


class NodeReader:
    """Makes settings of YAML's nodes; what several places refer to is read once."""

    def __init__(self, loader: Loader, source: str) -> None:
        self.loader, self.source = loader, source
        self.known: dict[int, Setting | None] = {}

    def read(self, node: yaml.Node, key: str) -> Setting:
        """The setting of a node, with the settings of its parts."""
        if id(node) not in self.known:
            self.known[id(node)] = None
            self.known[id(node)] = self.read_new(node)
        found = self.known[id(node)]
        if found is None:
            raise ConfigError(f"{self.origin(node)}: a value contains itself; write it out.")
        parts = found.parts
        if isinstance(node, yaml.SequenceNode):
            parts = tuple(replace(part, key=f"{key}[{index}]") for index, part in enumerate(parts))
        return replace(found, key=key, parts=parts)

    def read_new(self, node: yaml.Node) -> Setting:
        if isinstance(node, yaml.MappingNode):
            return self.read_mapping(node)
        if isinstance(node, yaml.SequenceNode):
            parts = tuple(self.read(item, "") for item in node.value)
            return Setting("", [part.value for part in parts], self.origin(node), parts=parts)
        is_word = node.style is None and not isinstance(self.scalar(node), str)  # type: ignore[attr-defined]
        return Setting("", self.scalar(node), self.origin(node), node.value if is_word else None)

    def read_mapping(self, node: yaml.MappingNode) -> Setting:
        self.refuse_second_keys(node)
        origin = self.origin(node)
        self.loader.flatten_mapping(node)  # what << refers to comes first
        parts: dict[Any, Setting] = {}
        for key_node, value_node in node.value:
            parts[self.key(key_node)] = replace(
                self.read(value_node, str(key_node.value)), origin=self.origin(key_node)
            )
        return Setting("", {key: part.value for key, part in parts.items()}, origin, parts=tuple(parts.values()))

    def refuse_second_keys(self, node: yaml.MappingNode) -> None:
        lines: dict[str, int] = {}
        for key_node, _ in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in lines:
                raise ConfigError(f"{self.origin(key_node)} sets '{key}' a second time (first in line {lines[key]}); "
                                  "keep one.")  # fmt: skip
            lines[key] = line

    def key(self, node: yaml.Node) -> Any:
        """A number where the key is one, else the text as it is written: `no:` and `null:` are names too."""
        if not isinstance(node, yaml.ScalarNode):
            raise ConfigError(f"{self.origin(node)}: a key must be a single word, but is a list or mapping.")
        value = self.scalar(node)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else str(node.value)

    def scalar(self, node: yaml.Node) -> Any:
        if node.tag == f"{PREFIX}int":
            return whole_number(node.value)
        return self.loader.construct_object(node)  # type: ignore[no-untyped-call]

    def origin(self, node: yaml.Node) -> str:
        return f"{self.source}:{node.start_mark.line + 1}"


def whole_number(text: str) -> int:
    """A whole number by YAML 1.2: 0123 is 123, 0o17 is 15, 0x1f is 31."""
    base = {"0o": 8, "0x": 16}.get(text[:2])
    return int(text[2:], base) if base else int(text)


def read_value(text: str, origin: str) -> Setting:
    """A value as it would stand in a recipe; ConfigError for what is not YAML."""
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Setting("", None, origin)
        return with_origin(NodeReader(loader, origin).read(node, ""), origin)
    except (yaml.YAMLError, RecursionError):
        raise ConfigError(f"{origin}: {text!r} is not YAML; write it as in a recipe.") from None


def with_origin(setting: Setting, origin: str) -> Setting:
    """The setting and its parts with another origin."""
    return replace(setting, origin=origin, parts=tuple(with_origin(part, origin) for part in setting.parts))


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
            raise ConfigError(f"'{word}' is before any flag; settings are written --key value.")
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


def read_changes(words: Sequence[str], form: str = "KEY=VALUE") -> list[Setting]:
    """What follows --set: each word as a setting with a YAML value; ConfigError for a word of another form."""
    changes: list[Setting] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {word} can't be read; write --set {form}.")
        changes.append(replace(read_value(value, f"--set {word}"), key=key))
    return changes


def changed(settings: Sequence[Setting], path: Sequence[str], change: Setting, depth: int = 0) -> list[Setting]:
    """The settings with `change` at the place that the keys of `path` lead to, in place of what is there.

    ConfigError where they lead through a value that has no settings of its own.
    """
    key, *rest = path[depth:]
    old = next((setting for setting in settings if setting.key == key), None)
    if not rest:
        new = replace(change, key=key)
    elif old is not None and old.value is not None and not isinstance(old.value, dict):
        place = ".".join(path[: depth + 1])
        raise ConfigError(
            f"{change.origin}: {place} is {old.value!r}, which has no settings of its own; write --set {place}=VALUE."
        )
    else:
        names = list(old.value or ()) if old else []
        parts = changed(old.parts if old else (), path, change, depth + 1)
        names += [part.key for part in parts[len(names) :]]
        values = {name: part.value for name, part in zip(names, parts, strict=True)}
        new = Setting(key, values, old.origin if old else change.origin, parts=tuple(parts))
    if old is None:
        return [*settings, new]
    return [new if setting is old else setting for setting in settings]
