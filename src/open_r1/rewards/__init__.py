"""Rewards: what a completion is worth, and why.

Usable without torch, from any thread.

    reward_funcs = get_reward_funcs(script_args)          # RewardFunctions, in the order of script_args.reward_funcs
    rewards = reward_funcs[0](completions, **columns)     # list[float | None], None is unscored: what TRL calls
    outcomes = reward_funcs[0].score(completions, **columns)   # list[Outcome]: the same values, each with a reason
    required_columns(["accuracy", "format"])              # {"accuracy": ("solution",), "format": ()}

Names load when they are first used. The rewards themselves are what the files of `functions/` name in their `__all__`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "open_r1.answers.check": tuple("Verdict check_answer check_answers".split()),
    "open_r1.answers.extraction": ("Extraction", "extract_answer", "extract_gold"),
    "open_r1.answers.verifier": ("Verifier",),
    "open_r1.rewards.base": ("RewardFunction",),
    "open_r1.rewards.combination": ("RewardWeights", "check_unscored_share", "combine", "summarise", "unscored_share"),
    "open_r1.rewards.settings": ("check_recipe",),
    "open_r1.rewards.registry": ("build_reward", "get_reward_funcs", "get_spec", "required_columns", "reward_specs"),
    "open_r1.rewards.spec": ("Example", "RewardSetting", "RewardSpec"),
    "open_r1.text.fences": ("extract_code",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return __dir__()
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    if not name.startswith("_"):
        for module in _reward_modules():
            if name in getattr(module, "__all__", ()):
                return getattr(module, name)
    raise AttributeError(f"module 'open_r1.rewards' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*_HOME_OF, *(name for module in _reward_modules() for name in getattr(module, "__all__", ()))])


def _reward_modules() -> Any:
    from open_r1.rewards.registry import reward_modules

    return reward_modules()
