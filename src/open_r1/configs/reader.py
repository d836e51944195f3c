"""The one reader of settings: recipes, pipelines, mixtures, flags and `--set`, each value with its file and line.

Recipes are YAML 1.2: `no`, `on` and `2020-01-01` are text, `1e-4` is a number. PyYAML reads them, by rules of our own
for what a word means, since it knows only YAML 1.1. A key that a mapping has twice is refused, where YAML would drop the
first. What the settings mean is not known here: see `types`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from open_r1.errors import ConfigError, nearest

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

    def scalar(self, node: yaml.Node) -> Any:
        """A plain value; whole numbers by YAML 1.2: 0123 is 123, 0o17 is 15, 0x1f is 31."""
        if node.tag == f"{PREFIX}int":
            base = {"0o": 8, "0x": 16}.get(node.value[:2])
            return int(node.value[2:], base) if base else int(node.value)
        return self.construct_object(node)  # type: ignore[no-untyped-call]


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
    items: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = ((f"{key}[{index}]", item) for index, item in enumerate(value))
    return Setting(key, value, origin, parts=tuple(as_setting(str(name), item, origin) for name, item in items))


def read_recipe(path: Path, what: str = "recipe", may_be_empty: bool = False) -> list[Setting]:
    """The settings of a recipe, in its order; ConfigError, with the line, for what is not a YAML mapping.

    Args:
        what: What messages call the file, where it is not a recipe.
        may_be_empty: Whether a file without settings, or of comments alone, has none instead of being refused.
    """
    try:
        loader = Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if isinstance(node, yaml.MappingNode):
            return list(NodeReader(loader, str(path)).read(node, "").parts)
        if may_be_empty and (node is None or node.tag == f"{PREFIX}null"):
            return []
    except FileNotFoundError:
        raise ConfigError(f"{what} '{path}' does not exist; check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} '{path}' can't be read: {error}; it must be a YAML text file.") from None
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{what} '{path}{line}' is not YAML: {problem}; correct that line.") from None
    kinds = {type(None): "is empty", yaml.SequenceNode: "contains a list"}
    kind = kinds.get(type(node), "contains a single value")
    raise ConfigError(f"{what} '{path}' {kind}; it must be a YAML mapping of 'key: value' lines.")


def read_values(path: Path, what: str = "recipe") -> dict[str, Any]:
    """The settings of a recipe file by key, without their lines; ConfigError as of `read_recipe`."""
    return {setting.key: setting.value for setting in read_recipe(path, what)}


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
        """The setting of a node that is read for the first time, without its key."""
        if isinstance(node, yaml.MappingNode):
            return self.read_mapping(node)
        if isinstance(node, yaml.SequenceNode):
            parts = tuple(self.read(item, "") for item in node.value)
            return Setting("", [part.value for part in parts], self.origin(node), parts=parts)
        value = self.loader.scalar(node)
        is_word = node.style is None and not isinstance(value, str)  # type: ignore[attr-defined]
        return Setting("", value, self.origin(node), node.value if is_word else None)

    def read_mapping(self, node: yaml.MappingNode) -> Setting:
        """The setting of a mapping; ConfigError, with both lines, for a key that occurs twice."""
        lines: dict[str, int] = {}
        for key_node, _ in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in lines:
                raise ConfigError(f"{self.origin(key_node)} sets '{key}' a second time (first in line {lines[key]}); "
                                  "keep one.")  # fmt: skip
            lines[key] = line
        origin = self.origin(node)
        self.loader.flatten_mapping(node)  # what << refers to comes first
        parts = {
            self.key(key_node): replace(self.read(value, str(key_node.value)), origin=self.origin(key_node))
            for key_node, value in node.value
        }
        return Setting("", {key: part.value for key, part in parts.items()}, origin, parts=tuple(parts.values()))

    def key(self, node: yaml.Node) -> Any:
        """A number where the key is one, else the text as it is written: `no:` and `null:` are names too."""
        if not isinstance(node, yaml.ScalarNode):
            raise ConfigError(f"{self.origin(node)}: a key must be a single word, but is a list or mapping.")
        value = self.loader.scalar(node)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else str(node.value)

    def origin(self, node: yaml.Node) -> str:
        """The file and line of a node, as "recipe.yaml:12"."""
        return f"{self.source}:{node.start_mark.line + 1}"


def read_text(text: str, origin: str) -> Setting:
    """A value as it would be written in a recipe; ConfigError for what is not YAML."""

    def with_origin(setting: Setting) -> Setting:
        return replace(setting, origin=origin, parts=tuple(map(with_origin, setting.parts)))

    try:
        loader = Loader(text)
        node = loader.get_single_node()
        return with_origin(NodeReader(loader, origin).read(node, "")) if node else Setting("", None, origin)
    except (yaml.YAMLError, RecursionError):
        raise ConfigError(f"{origin}: {text!r} is not YAML; write it as in a recipe.") from None


def read_flags(arguments: Sequence[str]) -> list[Setting]:
    """`--key value value`, `--key=value`, `--key` and `--some-key` as settings; ConfigError for a stray word."""
    flags: list[tuple[str, list[str]]] = []
    for word in arguments:
        if word.startswith("--") and len(word) > 2:
            key, has_value, value = word[2:].partition("=")
            flags.append((key.replace("-", "_"), [value] if has_value else []))
        elif flags:
            flags[-1][1].append(word)
        else:
            raise ConfigError(f"'{word}' is before any flag; settings are written --key value.")
    loader = Loader("")
    return [
        Setting(key, words, COMMAND_LINE, parts=tuple(read_word(word, loader) for word in words))
        for key, words in flags
    ]


def read_word(word: str, loader: Loader) -> Setting:
    """A word of the command line: text, or what a plain word of a recipe means."""
    tag = loader.resolve(yaml.ScalarNode, word, (True, False))  # type: ignore[no-untyped-call]
    return Setting("", loader.scalar(yaml.ScalarNode(tag, word)), COMMAND_LINE, word)


def read_changes(words: Sequence[str], form: str = "KEY=VALUE") -> list[Setting]:
    """What follows --set: each word as a setting with a YAML value; ConfigError for a word of another form."""
    changes: list[Setting] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {word} can't be read; write --set {form}.")
        changes.append(replace(read_text(value, f"--set {word}"), key=key))
    return changes


def change_stages(settings: Sequence[Setting], words: Sequence[str]) -> list[Setting]:
    """A pipeline's settings with what follows --set, "STAGE.KEY=VALUE". ConfigError, with the nearest, for another stage."""
    settings = list(settings)
    for change in read_changes(words, "STAGE.KEY=VALUE"):
        stage, *keys = change.key.split(".")
        if not keys:
            raise ConfigError(f"{change.origin} can't be read; write --set STAGE.KEY=VALUE.")
        at, stages = next(((i, s) for i, s in enumerate(settings) if s.key == "stages"), (0, None))
        known = [part.key for part in stages.parts] if stages else []
        if stages is None or stage not in known:
            raise ConfigError(
                f"{change.origin}: there is no stage '{stage}'{nearest(stage, known)} Stages: {', '.join(known)}."
            )
        parts = changed(stages.parts, [stage, *keys], change)
        settings[at] = replace(stages, value={part.key: part.value for part in parts}, parts=tuple(parts))
    return settings


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
