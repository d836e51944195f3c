"""The forms of reference that settings and flags have.

NAME?key=value&key=value     a source with options: math500.jsonl?split=test, tasks:linear_equation?level=2&n=200
module:name                  an object of the user's own: my_rewards:my_reward, my_callbacks:MyCallback
path/to/file.py:name         the same in a file that is not importable by name
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

from open_r1.errors import ConfigError, nearest


def modules_in(package: str) -> list[ModuleType]:
    """Every module of a package, imported: how what is one file each is found."""
    return [import_module(f"{package}.{info.name}") for info in iter_modules(import_module(package).__path__)]


@dataclass(frozen=True)
class SourceReference:
    """A source and its options, each as text."""

    name: str
    options: dict[str, str]
    written: str
    kind: str

    @property
    def what(self) -> str:
        """What follows the prefix of prefix:what."""
        return self.name.partition(":")[2]

    def require_known(self, known: Collection[str]) -> None:
        """ConfigError for an option that is not among the `known`."""
        for key in self.options:
            if key not in known:
                raise ConfigError(
                    f"{self.kind} '{self.written}' has an unknown option '{key}'{nearest(key, known)} "
                    f"Known: {', '.join(known)}."
                )

    def whole_number(self, key: str, default: int, least: int = 0, most: int | None = None) -> int:
        """The option as a whole number of at least `least` and at most `most`. ConfigError for anything else."""
        text = self.options.get(key, str(default))
        if not (text.isascii() and text.isdecimal() and least <= int(text) and (most is None or int(text) <= most)):
            span = f"of at least {least}" if most is None else f"from {least} to {most:,}"
            raise ConfigError(
                f"{self.kind} '{self.written}' has {key}={text}, which is not a whole number {span}; correct it."
            )
        return int(text)


def read_source(reference: str, kind: str = "source", known: Collection[str] | None = None) -> SourceReference:
    """Parse NAME?key=value&key=value; values are decoded as in an address (%26 is &).

    Args:
        kind: What the reference is for, as messages call it: "benchmark", "evaluation set".
        known: The options that it may have; None leaves the check to `require_known`.

    Raises:
        ConfigError: The options are not of that form, or one of them has no value or is not known.
    """
    name, _, query = reference.partition("?")
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        problem = "is not of the form NAME?key=value&key=value; correct what follows the '?'."
        raise ConfigError(f"{kind} '{reference}' {problem}") from None
    if empty := [key for key, value in options.items() if not value]:
        raise ConfigError(f"{kind} '{reference}' gives {empty[0]} no value; write one after '{empty[0]}='.")
    source = SourceReference(name, options, reference, kind)
    if known is not None:
        source.require_known(known)
    return source


def split_object(reference: str, kind: str, example: str) -> tuple[str, str]:
    """Module and name of module:name, without importing it. ConfigError for another form."""
    module, _, name = reference.rpartition(":")
    if not module or not name.isidentifier():
        raise ConfigError(f"{kind} '{reference}' is not of the form module:name; write it as {example}.")
    return module, name


def load_object(reference: str, kind: str, example: str) -> Any:
    """The object at module:name, or path/to/file.py:name.

    Args:
        kind: What the object is for, as messages call it: "reward", "callback".
        example: A reference of that kind, as "my_rewards:my_reward".

    Raises:
        ConfigError: The reference has another form, its module can't be imported, or has no such name.
    """
    module, (_, name) = load_module(reference, kind, example), split_object(reference, kind, example)
    if not hasattr(module, name):
        public = [found for found in vars(module) if not found.startswith("_")]
        raise ConfigError(
            f"{kind} '{reference}': {reference.rpartition(':')[0]} has no '{name}'{nearest(name, public)}"
        )
    return getattr(module, name)


def load_module(reference: str, kind: str, example: str) -> ModuleType:
    """The module of module:name or path/to/file.py:name; modules of the current folder are found too.

    Raises:
        ConfigError: As for `load_object`.
    """
    module_name, _ = split_object(reference, kind, example)
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        return _import_file(Path(module_name)) if module_name.endswith(".py") else import_module(module_name)
    except FileNotFoundError as error:
        problem = f"the file '{error.filename}' does not exist; check the path."
        raise ConfigError(f"{kind} '{reference}': {problem}") from error
    except ModuleNotFoundError as error:
        if place := place_of(error):
            raise ConfigError(
                f"{kind} '{reference}': {place} imports '{error.name}', which is not installed; install it."
            ) from error
        problem = (
            f"no module named '{error.name}'; put {module_name.replace('.', '/')}.py into the current folder, or install "
            "the package that has it."
        )
        raise ConfigError(f"{kind} '{reference}': {problem}") from error
    except Exception as error:  # the user's code may raise anything
        problem = f"importing it fails at {place_of(error, module_name)} with {type(error).__name__}: {error}."
        raise ConfigError(f"{kind} '{reference}': {problem}") from error


def place_of(error: Exception, otherwise: str = "") -> str:
    """File and line of the user's own code that an error comes from; `otherwise` where none of it was running."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown_path(error.filename)}:{error.lineno}"
    ours = Path(__file__).parents[1]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_file()]
    own = [
        frame
        for frame in frames
        if not {ours, Path(sys.base_prefix), Path(sys.prefix)} & {*Path(frame.filename).parents}
    ]
    return f"{shown_path(own[-1].filename)}:{own[-1].lineno}" if own else otherwise


def shown_path(path: str) -> str:
    """A path as short as it can be written in the current folder."""
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path


def _import_file(path: Path) -> ModuleType:
    """A file as a module, which is run once in a process."""
    name = f"open_r1_own_{path.resolve()}"
    if name not in sys.modules:
        found = spec_from_file_location(name, path)
        assert found is not None and found.loader is not None, "a name that ends in .py is a Python file's"
        module = module_from_spec(found)
        found.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]
