"""The YAML and command-line surface as dataclasses.

The classes that extend TRL's load TRL only when they are used, so that `--help` and the core stay light. Users find
GRPOScriptArguments here, too. It has the settings that rewards declare, which lie above this area, so it is made in
`open_r1.training.arguments` and looked up there when it is used: the one import upwards, named in `.importlinter`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from open_r1.configs.datasets import DatasetConfig, DatasetMixtureConfig

if TYPE_CHECKING:
    from open_r1.configs.arguments import GRPOConfig, ModelConfig, ScriptArguments, SFTConfig
    from open_r1.training.arguments import GRPOScriptArguments

__all__ = [
    "DatasetConfig",
    "DatasetMixtureConfig",
    "GRPOConfig",
    "GRPOScriptArguments",
    "ModelConfig",
    "SFTConfig",
    "ScriptArguments",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "GRPOScriptArguments":
        from open_r1.training import arguments
    else:
        from open_r1.configs import arguments
    return getattr(arguments, name)
