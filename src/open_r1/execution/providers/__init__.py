"""Who runs programs: `get_provider(name)` gives the one that a recipe names, shared by all who ask for the same.

    provider = get_provider("e2b", settings)     # settings: any object with some of a recipe's attributes
    provider.check()                             # ConfigError, saying what to do, if it can't be used here
    executions = provider.run([Program("print(1)")])

A provider of one's own is a module of this package with a `PROVIDER`, or a class or instance named `module:name`.
"""

from __future__ import annotations

import atexit
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from open_r1.configs.references import load_object, modules_in
from open_r1.errors import ConfigError, nearest
from open_r1.execution.environment import Environment, check_one_source, read_environment
from open_r1.execution.programs import Provider


@dataclass(frozen=True)
class ProviderSpec:
    """A provider as the registry knows it.

    `build` makes it of the recipe's `settings` and the environment's `variables` that are named here. It raises nothing for
    what is missing: the provider's `check` does.
    """

    name: str
    build: Callable[[Any, Environment], Provider]
    summary: str
    settings: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    def key(self, settings: Any, environment: Environment) -> tuple[Any, ...]:
        """The same for the same provider: what instances are shared by."""
        values = tuple(_hashable(setting(settings, name, None)) for name in self.settings)
        return (self.name, *values, *(environment.get(name) for name in self.variables))


@cache
def provider_specs() -> dict[str, ProviderSpec]:
    """Every provider of this package, by name."""
    specs = [module.PROVIDER for module in modules_in("open_r1.execution.providers") if hasattr(module, "PROVIDER")]
    return {spec.name: spec for spec in sorted(specs, key=lambda spec: spec.name)}


def get_spec(name: str) -> ProviderSpec:
    """The provider called `name`; ConfigError names the nearest and all known ones."""
    known = provider_specs()
    if name not in known:
        raise ConfigError(f"unknown execution provider '{name}'{nearest(name, known)} Known: {', '.join(known)}.")
    return known[name]


def setting(settings: Any, name: str, default: Any) -> Any:
    """A setting of the recipe, or the default where the settings object doesn't have it or has None."""
    value = getattr(settings, name, None)
    return default if value is None else value


def _hashable(value: Any) -> Any:
    """The same for equal settings; of what can't be compared, such as a function, for the same one."""
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value)) or None
    return value if isinstance(value, str | int | float | None) else id(value)


__all__ = ["ProviderSpec", "close_providers", "get_provider", "provider_specs"]

_shared: dict[tuple[Any, ...], Provider] = {}
"""By process first: a forked child makes its own, since its parent's have threads and connections that it lacks."""


def get_provider(name: str, settings: Any = None) -> Provider:
    """The provider called `name`, or a user's own as `module:name`; the same instance for the same settings.

    It is closed when the process ends; don't close it before. ConfigError when there is no such provider; what else
    it lacks to work, its `check` says.
    """
    environment = read_environment()
    if ":" in name:
        key = (os.getpid(), name)
        return _shared.get(key) or _shared.setdefault(key, _load_user_provider(name))
    spec = get_spec(name)
    check_one_source(spec.variables)
    key = (os.getpid(), *spec.key(settings, environment))
    return _shared.get(key) or _shared.setdefault(key, spec.build(settings, environment))


@atexit.register
def close_providers() -> None:
    """Close every shared provider; the next `get_provider` makes new ones."""
    for key in [key for key in _shared if key[0] == os.getpid()]:
        _shared.pop(key).close()


def _load_user_provider(reference: str) -> Provider:
    target = load_object(reference, "execution provider", "my_sandbox:MyProvider")
    provider = target() if inspect.isclass(target) else target
    if not isinstance(provider, Provider):
        raise ConfigError(
            f"execution provider '{reference}' is a {type(provider).__name__}; it must be an "
            "open_r1.execution.programs.Provider, or a class of them."
        )
    return provider
