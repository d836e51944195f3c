"""Which rewards score rows, as a user says it: by name, with settings, on a gold column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from open_r1.configs.fields import setting
from open_r1.data.trace_rewards import TraceReward, build_rewards, names_for
from open_r1.rewards.settings import read_reward_settings


@dataclass(frozen=True)
class RewardChoice:
    """Rewards and their settings. `reward_settings` are values by name, as a recipe has them; `set` are words."""

    rewards: tuple[str, ...] | None = setting(None, "rewards by name, or module:function (default: by the columns)")
    set: tuple[str, ...] = setting((), "a setting of the rewards, KEY=VALUE; may be repeated")
    solution_column: str | None = setting(
        None, "column with the gold answer (default: solution, else answer, row by row)"
    )
    reward_settings: Mapping[str, Any] = setting({}, "")

    def names(self, columns: Sequence[str], where: str) -> list[str]:
        """The rewards that were named, else those that the columns of source `where` allow."""
        return list(self.rewards or names_for(columns, self.solution_column, where))

    def build(
        self, names: Sequence[str], columns: Sequence[str], where: str
    ) -> tuple[list[TraceReward], dict[str, Any]]:
        """The rewards, and their settings as given. ConfigError, DataError for what can't be computed."""
        given = {**self.reward_settings, **read_reward_settings(self.set, names)}
        return build_rewards(names, columns, self.solution_column, SimpleNamespace(**given), where), given
