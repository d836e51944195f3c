"""The YAML and command-line surface as dataclasses.

    datasets.py   DatasetConfig, DatasetMixtureConfig: what to train on; no heavy import
    arguments.py  ScriptArguments, SFTConfig, GRPOConfig on top of TRL's own (imports TRL)
    fields.py     how a setting is declared: a field with its help text and range
    renames.py    names that newer libraries dropped, and what became of them
    settings.py   a recipe and a command line -> settings with their origin
    ranges.py     the range of every number that has one
    types.py      whether a value from YAML fits a field's type
    stage_arguments.py   the dataclasses of a stage, each value's origin, resolved.yaml
    checks.py     settings that contradict each other

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
    if name == "GRPOScriptArguments":
        from open_r1.training.arguments import GRPOScriptArguments

        return GRPOScriptArguments
    if name in __all__:
        from open_r1.configs import arguments

        return getattr(arguments, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
