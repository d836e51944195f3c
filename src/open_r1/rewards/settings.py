"""The settings of rewards in recipes and in the shell, composed of what the rewards declare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import make_dataclass

from open_r1.configs.fields import setting
from open_r1.errors import ConfigError
from open_r1.rewards.registry import default_rewards, get_spec, reward_specs
from open_r1.rewards.spec import RewardSetting, RewardSpec


def settings_class(names: Iterable[str] = ()) -> type:
    """A dataclass with `reward_funcs` and the settings of all rewards that ship and of the user's own among `names`.

    ConfigError for a setting that two rewards declare differently.
    """
    specs = [*reward_specs().values(), *(get_spec(name) for name in names if ":" in name)]
    readers = readers_of(specs)
    fields = [
        (
            declared.key,
            declared.annotation,
            setting(declared.default, f"{', '.join(spec.name for spec in read_by)}: {declared.help}.", declared.range),
        )
        for declared, read_by in readers.values()
    ]
    reward_funcs = setting(list(default_rewards()), "Rewards by name, or 'module:function' for one of your own.")
    attributes = {
        "__module__": __name__,
        "__doc__": "Which rewards, and the settings of each.",
    }
    return make_dataclass("RewardSettings", [("reward_funcs", list[str], reward_funcs), *fields], namespace=attributes)


def readers_of(specs: Iterable[RewardSpec]) -> dict[str, tuple[RewardSetting, list[RewardSpec]]]:
    """Each setting by its key, with the rewards that read it."""
    found: dict[str, tuple[RewardSetting, list[RewardSpec]]] = {}
    for spec in specs:
        for declared in spec.settings:
            first, readers = found.setdefault(declared.key, (declared, []))
            if first != declared:
                raise ConfigError(
                    f"rewards '{readers[0].name}' and '{spec.name}' declare the setting '{declared.key}' differently; "
                    "rename one, or declare it alike."
                )
            readers.append(spec)
    return found


def options_of(names: Iterable[str]) -> dict[str, RewardSetting]:
    """The settings that these rewards read, by key."""
    return {key: declared for key, (declared, _) in readers_of(map(get_spec, names)).items()}
