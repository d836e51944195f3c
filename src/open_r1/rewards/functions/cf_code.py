"""cf_code: its name and needs; the running isn't here yet."""

from __future__ import annotations

from typing import Any, NoReturn

from open_r1.errors import ConfigError
from open_r1.rewards.base import RewardFunction, RewardSpec

_NEEDS = ("official_tests", "time_limit", "memory_limit")


def _refuse(*_: Any) -> NoReturn:
    raise ConfigError(
        "reward 'cf_code' runs programs, and this version has no execution area to run them in; "
        "take it out of reward_funcs, or train on code with code_format alone."
    )


cf_code_reward = RewardFunction("cf_code_reward", _refuse, needs_columns=_NEEDS)

REWARD = RewardSpec(
    "cf_code",
    "cf_code_reward",
    _refuse,
    "a Codeforces problem's tests: passed, or the share of them, or both weighted",
    "pass_fail: 1 or 0; partial: share; weighted_sum: pass + 0.1·share; no code -1; compile error -0.1",
    "Open-R1, open-r1/codeforces",
    needs_columns=_NEEDS,
)
