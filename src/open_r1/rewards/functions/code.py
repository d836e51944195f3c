"""code, binary_code: rewards that run programs. Their names and needs; the running isn't here yet.

They refuse to be built, and to score, until the execution area is there: a made-up score would be worse than none.
"""

from __future__ import annotations

from typing import NoReturn

from open_r1.errors import ConfigError
from open_r1.rewards.base import Columns, RewardFunction, RewardSpec

_NEEDS = {
    "code": ("verification_info",),
    "binary_code": ("verification_info",),
}


def _refuse(name: str) -> NoReturn:
    raise ConfigError(
        f"reward '{name}' runs programs, and this version has no execution area to run them in; "
        "take it out of reward_funcs, or train on code with code_format alone."
    )


def _unavailable(name: str) -> RewardFunction:
    def score(texts: list[str], columns: Columns) -> NoReturn:
        _refuse(name)

    return RewardFunction(f"{name}_reward", score, needs_columns=_NEEDS[name])


code_reward = _unavailable("code")
binary_code_reward = _unavailable("binary_code")


def _spec(name: str, summary: str, formula: str, source: str) -> RewardSpec:
    return RewardSpec(
        name, f"{name}_reward", lambda settings: _refuse(name), summary, formula, source, needs_columns=_NEEDS[name]
    )


REWARDS = (
    _spec("code", "the share of a problem's tests that the program passes", "r = passed / tests", "Open-R1"),
    _spec("binary_code", "1 if the program passes its tests", "r = 1 if share > 0.99, else 0", "Open-R1"),
)
