"""The settings of rewards in recipes and in the shell: composed of what the rewards declare, and checked before anything
is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import make_dataclass
from typing import Any, get_origin

from open_r1.configs.fields import setting
from open_r1.configs.ranges import check_ranges
from open_r1.configs.reader import read_flags
from open_r1.configs.types import read_value
from open_r1.errors import ConfigError, nearest
from open_r1.rewards.combination import RewardWeights
from open_r1.rewards.registry import default_rewards, get_reward_funcs, get_spec, reward_names, reward_specs
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
    attributes = {"__module__": __name__, "__doc__": "Which rewards, and the settings of each."}
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


def check_recipe(script_args: Any, reward_weights: Any, needs_judge: bool = False) -> None:
    """ConfigError for a recipe whose rewards or weights can't be used.

    A reward isn't known or can't be built, two have one name, a weight or schedule can't be read, or none separates right
    answers from wrong ones where problems are sampled by their pass rates (`needs_judge`).
    """
    counts = Counter(reward.__name__ for reward in get_reward_funcs(script_args))
    if equal := [name for name, count in counts.items() if count > 1]:
        raise ConfigError(
            f"two of reward_funcs are functions called '{equal[0]}', the name under which metrics and rollouts keep a "
            "reward; rename one."
        )
    RewardWeights.read(reward_weights, reward_names(script_args))
    if needs_judge and not any(get_spec(name).is_judge for name in script_args.reward_funcs):
        raise ConfigError(
            "difficulty_pools and no_positive_resampling go by pass rates, but none of reward_funcs "
            f"({', '.join(script_args.reward_funcs)}) separates right answers from wrong ones; add one that does, for "
            "example accuracy, or declare kind = 'answer' on a reward of your own."
        )


def read_reward_settings(words: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Settings of these rewards written KEY=VALUE; ConfigError for one that none reads, or a value of another type."""
    known = {key: declared for key, (declared, _) in readers_of(map(get_spec, names)).items()}
    settings: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in known:
            raise ConfigError(
                f"--set {word}: none of {', '.join(names)} has a setting '{key}'{nearest(key, known)} "
                f"They have: {', '.join(known) or 'none'}."
            )
        hint = known[key].annotation
        given = value.replace(",", " ").split() if get_origin(hint) is list and value[:1] not in "[{" else [value]
        settings[key] = read_value(read_flags([f"--{key}", *given])[0], hint)
    ranges = {key: declared.range for key, declared in known.items() if declared.range is not None}
    check_ranges(settings, dict.fromkeys(settings, "--set"), ranges)
    return settings
