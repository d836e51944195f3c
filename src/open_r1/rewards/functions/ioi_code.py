"""ioi_code: its name and needs; the running isn't here yet."""

from __future__ import annotations

from typing import Any, NoReturn

from open_r1.errors import ConfigError
from open_r1.rewards.base import RewardFunction, RewardSpec

_NEEDS = ("id", "subtask", "test_names", "time_limit", "memory_limit", "grader_files")


def _refuse(*_: Any) -> NoReturn:
    raise ConfigError(
        "reward 'ioi_code' runs programs, and this version has no execution area to run them in; "
        "take it out of reward_funcs, or train on code with code_format alone."
    )


ioi_code_reward = RewardFunction("ioi_code_reward", _refuse, needs_columns=_NEEDS)

REWARD = RewardSpec(
    "ioi_code",
    "ioi_code_reward",
    _refuse,
    "a subtask's score: the least over its tests",
    "r = min over tests, 0 to 1",
    "IOI",
    needs_columns=_NEEDS,
)
