"""Rewards: what a completion is worth, and why.

Does: score completions with the rewards of the contract or a user's own, with a reason for every sample; check
answers; weigh rewards and schedule the weights. Usable without torch, from any thread. Does not: train (`training`) or
run programs (`execution`).

    reward_funcs = get_reward_funcs(script_args)          # RewardFunctions, in the order of script_args.reward_funcs
    rewards = reward_funcs[0](completions, **columns)     # list[float | None], None is unscored: what TRL calls
    outcomes = reward_funcs[0].score(completions, **columns)   # list[Outcome]: the same values, each with a reason
    required_columns(["accuracy", "format"])              # {"accuracy": ("solution",), "format": ()}

Names load when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "open_r1.answers.check": (
        "Extraction",
        "Verdict",
        "check_answer",
        "check_answers",
        "extract_answer",
        "extract_gold",
    ),
    "base": ("RewardFunction", "RewardSpec"),
    "combination": ("RewardWeights", "check_unscored_share", "combine", "summarise", "unscored_share"),
    "registry": ("build_reward", "get_reward_funcs", "get_spec", "required_columns", "reward_specs"),
    "recipe": ("check_recipe",),
    "open_r1.answers.verifier": ("Verifier",),
    "functions.accuracy": ("accuracy_reward", "get_accuracy_reward"),
    "functions.format": ("format_reward", "graded_format_reward", "think_format_reward"),
    "functions.tag_count": ("tag_count_reward",),
    "functions.reasoning_steps": ("reasoning_steps_reward",),
    "functions.cosine": ("get_cosine_scaled_reward",),
    "functions.length": ("len_reward",),
    "functions.repetition_penalty": ("get_repetition_penalty_reward",),
    "functions.soft_overlong_punishment": ("get_soft_overlong_punishment",),
    "functions.code_format": ("get_code_format_reward",),
    "functions.code": ("binary_code_reward", "code_reward", "get_binary_code_reward", "get_code_reward"),
    "functions.ioi_code": ("get_ioi_code_reward", "ioi_code_reward"),
    "functions.cf_code": ("cf_code_reward", "get_cf_code_reward"),
}
_HOME_OF = {
    name: home if home.startswith("open_r1.") else f"open_r1.rewards.{home}"
    for home, names in _HOMES.items()
    for name in names
}
_HOME_OF["extract_code"] = "open_r1.text.fences"

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'open_r1.rewards' has no attribute '{name}'")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME_OF]
