"""How providers are found: a module of this package that has a `PROVIDER` is one, under the name it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from open_r1.configs.references import modules_in
from open_r1.errors import ConfigError, nearest
from open_r1.execution.environment import Environment
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
