"""Rewards on rows of traces: which ones the columns allow, and the rows as the columns that rewards read.

Does: name the gold column once for verification and pass rates (`solution`, else `answer`, row by row), refuse rewards
whose columns aren't there, and score. Does not: combine scores, or write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from open_r1.data.columns import GOLD_COLUMNS, gold_of, require_columns
from open_r1.errors import ConfigError, DataError, nearest
from open_r1.records import Outcome
from open_r1.rewards.base import FROM_TRAINER, RewardFunction
from open_r1.rewards.registry import build_reward

REWARD_OF = {"verification_info": "code", "reasoning_gym": "reasoning_gym", **dict.fromkeys(GOLD_COLUMNS, "accuracy")}
"""Column -> the reward that reads it, in the order in which they are asked."""


@dataclass(frozen=True)
class TraceReward:
    """A reward by the name that a recipe gives it."""

    name: str
    function: RewardFunction


def names_for(columns: Sequence[str], solution_column: str | None, where: str) -> list[str]:
    """The rewards that a set's columns allow; DataError when they allow none."""
    found = [REWARD_OF[column] for column in REWARD_OF if column in columns]
    if solution_column is not None:
        check_column(solution_column, columns, where)
        found.append("accuracy")
    if not found:
        raise DataError(
            f"'{where}' has no column to verify by ({', '.join(REWARD_OF)}){nearest_of(REWARD_OF, columns)} "
            f"Found: {', '.join(columns)}; name the one with the answers with --solution_column."
        )
    return list(dict.fromkeys(found))


def build_rewards(
    names: Sequence[str], columns: Sequence[str], solution_column: str | None, settings: Any, where: str
) -> list[TraceReward]:
    """The rewards, built and sure of their columns. ConfigError, DataError for what can't be computed."""
    if solution_column is not None:
        check_column(solution_column, columns, where)
    twice = [name for name in names if list(names).count(name) > 1]
    if twice:
        raise ConfigError(f"reward '{twice[0]}' is named twice; name each once.")
    rewards = [TraceReward(name, build_reward(name, settings)) for name in names]
    for reward in rewards:
        for column in reward.function.needs_columns:
            check_need(reward.name, column, columns, solution_column, where)
    return rewards


def check_need(name: str, column: str, columns: Sequence[str], solution_column: str | None, where: str) -> None:
    if column in FROM_TRAINER - {"completion_ids"}:
        return
    if column == "completion_ids":
        raise ConfigError(f"reward '{name}' reads token ids, which traces don't keep; choose another reward.")
    known = set(columns)
    if column == "solution" and (solution_column is not None or known.intersection(GOLD_COLUMNS)):
        return
    if column not in known:
        advice = (
            "name it with --solution_column"
            if column == "solution"
            else "rename that column, or choose another reward"
        )
        raise DataError(
            f"reward '{name}' needs the column '{column}', which '{where}' lacks{nearest(column, columns)} "
            f"Found: {', '.join(columns)}; {advice}."
        )


def check_column(column: str, columns: Sequence[str], where: str) -> None:
    require_columns(columns, [column], where, "--solution_column")


def nearest_of(wanted: Sequence[str] | Mapping[str, str], columns: Sequence[str]) -> str:
    """The hint for whichever of the names wanted is nearly there."""
    hints = (nearest(name, columns) for name in wanted)
    return next((hint for hint in hints if hint != "."), ".")


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


def score(reward: TraceReward, columns: Mapping[str, Any]) -> list[Outcome]:
    return reward.function.score(**columns)
