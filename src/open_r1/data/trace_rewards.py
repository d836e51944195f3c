"""Rewards on rows of traces: which ones the columns allow, and the rows as the columns that rewards read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from open_r1.configs.fields import setting
from open_r1.data.columns import GOLD_COLUMNS, gold_of, require_columns
from open_r1.errors import ConfigError, DataError, nearest
from open_r1.rewards.base import FROM_TRAINER, RewardFunction
from open_r1.rewards.registry import get_spec, reward_specs
from open_r1.rewards.settings import read_reward_settings
from open_r1.rewards.spec import KINDS, RewardSpec


@dataclass(frozen=True)
class TraceReward:
    """A reward with what it declares."""

    spec: RewardSpec
    function: RewardFunction

    @property
    def name(self) -> str:
        """The reward's name in the registry."""
        return self.spec.name


def names_for(columns: Sequence[str], solution_column: str | None, where: str) -> list[str]:
    """The rewards that a set's columns allow, in the order in which they are asked; DataError when they allow none."""
    specs = sorted(reward_specs().values(), key=lambda spec: KINDS.index(spec.kind))
    by_column = {column: spec.name for spec in specs for column in spec.verifies}
    found = [name for column, name in by_column.items() if column in columns]
    if solution_column is not None:
        require_columns(columns, [solution_column], where, "--solution_column")
        found.append(by_column[GOLD_COLUMNS[0]])
    if not found:
        hints = (nearest(name, columns) for name in by_column)
        raise DataError(
            f"'{where}' has no column to verify by ({', '.join(by_column)}){next((h for h in hints if h != '.'), '.')} "
            f"Found: {', '.join(columns)}; name the one with the answers with --solution_column."
        )
    return list(dict.fromkeys(found))


def check_need(name: str, column: str, columns: Sequence[str], solution_column: str | None, where: str) -> None:
    """DataError, ConfigError for a column that a reward needs and rows don't have."""
    if column == "completion_ids":
        raise ConfigError(f"reward '{name}' reads token ids, which traces don't keep; choose another reward.")
    is_gold = column == "solution"
    if column in FROM_TRAINER or column in columns or (is_gold and (solution_column or {*GOLD_COLUMNS} & {*columns})):
        return
    advice = "name it with --solution_column" if is_gold else "rename that column, or choose another reward"
    raise DataError(
        f"reward '{name}' needs the column '{column}', which '{where}' lacks{nearest(column, columns)} "
        f"Found: {', '.join(columns)}; {advice}."
    )


def to_columns(
    rows: Sequence[Mapping[str, Any]], texts: Sequence[str], prompts: Sequence[Any], solution_column: str | None
) -> dict[str, Any]:
    """Rows and their completions as the columns that a reward is called with."""
    names = {name: None for row in rows for name in row}
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in names}
    columns.pop("completion", None)
    return columns | {
        "solution": [gold_of(row, solution_column) for row in rows],
        "completions": [[{"role": "assistant", "content": text}] for text in texts],
        "prompts": list(prompts),
    }


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
        if self.solution_column is not None:
            require_columns(columns, [self.solution_column], where, "--solution_column")
        if twice := [name for name in names if list(names).count(name) > 1]:
            raise ConfigError(f"reward '{twice[0]}' is named twice; name each once.")
        given = {**self.reward_settings, **read_reward_settings(self.set, names)}
        specs = [get_spec(name) for name in names]
        rewards = [TraceReward(spec, spec.make(SimpleNamespace(**given))) for spec in specs]
        for reward in rewards:
            for column in reward.function.needs_columns:
                check_need(reward.name, column, columns, self.solution_column, where)
        return rewards, given
