"""This machine's own sandbox as a provider; the work is done in `execution.sandbox`."""

from __future__ import annotations

from typing import Any

from open_r1.errors import ConfigError
from open_r1.execution.environment import Environment
from open_r1.execution.programs import Provider
from open_r1.execution.providers import ProviderSpec, setting


def build(settings: Any, environment: Environment) -> Provider:
    """The sandbox of this machine with the recipe's `code_packages`; ConfigError on systems without one."""
    try:
        from open_r1.execution.sandbox.local import LocalProvider
    except ImportError as error:  # Windows has none of what a sandbox is made of
        raise ConfigError(
            f"this system can't isolate programs ({error}); use Linux, or run them elsewhere by code_provider: executor, "
            "piston, e2b, morph or sandbox_fusion."
        ) from error
    return LocalProvider(packages=setting(settings, "code_packages", ()))


PROVIDER = ProviderSpec(
    "local", build, "This machine's own sandbox: no account, no server.", settings=("code_packages",)
)
