"""The rollouts of GRPO on disk: a Parquet file a step, written by training and read by the report.

Columns: step, prompt (its last message), completion, each REWARD (null where unscored; listed in the file's metadata),
REWARD_reason, what a reward logs as REWARD_NAME, and advantage.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.errors import DataError
from open_r1.rundir.files import atomic_file, open_regular

if TYPE_CHECKING:
    import pyarrow

REWARDS = b"open_r1.rewards"
"""The key of the file's metadata whose value is the list of the columns of rewards, as JSON."""


def reason_column(reward: str) -> str:
    """The column with the reasons of a reward's values."""
    return f"{reward}_reason"


def rollout_table(
    step: int,
    prompts: Sequence[str],
    completions: Sequence[str],
    rewards: Mapping[str, Sequence[float | None]],
    more: Mapping[str, Sequence[Any]],
    advantages: Sequence[float],
) -> pyarrow.Table:
    """Rollouts as they are written; every sequence has one item a rollout.

    Args:
        rewards: Each reward's values by its name; NaN and None are unscored.
        more: The other columns: reasons, details, and what rewards of the user's own log.
    """
    import pyarrow

    columns: dict[str, list[Any]] = {
        "step": [step] * len(advantages),
        "prompt": list(prompts),
        "completion": list(completions),
        **{
            name: [None if value is None or math.isnan(value) else value for value in values]
            for name, values in rewards.items()
        },
        **{name: list(values) for name, values in more.items()},
        "advantage": list(advantages),
    }
    types = {name: pyarrow.float64() for name in [*rewards, "advantage"]}
    types |= {name: pyarrow.string() for name, values in columns.items() if name not in types and _is_text(values)}
    table = pyarrow.table({name: pyarrow.array(values, types.get(name)) for name, values in columns.items()})
    return table.replace_schema_metadata({REWARDS: json.dumps(list(rewards))})


def write_rollouts(path: Path, tables: Sequence[pyarrow.Table]) -> None:
    """Write the rollouts of one step, which may come from several generations."""
    import pyarrow
    import pyarrow.parquet

    with atomic_file(path) as file:
        pyarrow.parquet.write_table(pyarrow.concat_tables(tables, promote_options="default"), file)


@dataclass(frozen=True)
class RolloutRows:
    """The rows of a file, and the names of its reward columns."""

    rewards: tuple[str, ...]
    rows: list[dict[str, Any]]


def read_rollouts(path: Path, rewards_only: bool = False) -> RolloutRows:
    """The rows of a file; with `rewards_only`, just the rewards and their reasons. DataError when it can't be read."""
    import pyarrow
    import pyarrow.parquet

    try:
        with open_regular(path) as file:
            parquet = pyarrow.parquet.ParquetFile(file)
            schema = parquet.schema_arrow
            if REWARDS not in (schema.metadata or {}):
                raise DataError(f"'{path}' does not list its reward columns: an older version of Open R1 wrote it.")
            rewards = tuple(json.loads(schema.metadata[REWARDS]))
            rewards = tuple(name for name in rewards if name in schema.names)
            wanted = [name for reward in rewards for name in (reward, reason_column(reward)) if name in schema.names]
            table = parquet.read(wanted if rewards_only else None)
    except (OSError, pyarrow.ArrowException, KeyError, ValueError) as error:
        raise DataError(f"'{path}' is not a file of rollouts: {error}; remove it.") from None
    return RolloutRows(rewards, table.to_pylist())


def _is_text(values: Sequence[Any]) -> bool:
    return not any(value is not None and not isinstance(value, str) for value in values)
