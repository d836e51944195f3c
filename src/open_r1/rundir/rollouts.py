"""The file of one step's rollouts: its columns are declared here, written by training and read by the report.

    step        int64      the step that the completions were made for
    prompt      string     the last message of the prompt
    completion  string     the completion's text
    <reward>    float64    one column for each reward; null where the sample is unscored
    <detail>               what rewards keep beside, among it `<reward>_reason`: why a value is what it is
    advantage   float64

The names of the reward columns are in the file's own metadata, so that no reader has to guess them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.errors import DataError
from open_r1.rundir.files import atomic_file, open_regular

if TYPE_CHECKING:
    import pyarrow

REWARDS_KEY = b"open_r1.rewards"


@dataclass(frozen=True)
class RolloutRows:
    """The rows of a file, and the names of its reward columns."""

    rewards: tuple[str, ...]
    rows: list[dict[str, Any]]


def reason_column(reward: str) -> str:
    """Where the reason of a reward's value is."""
    return f"{reward}_reason"


def make_rollout_table(
    step: int,
    prompts: Sequence[str],
    completions: Sequence[str],
    rewards: Mapping[str, Sequence[float | None]],
    details: Mapping[str, Sequence[Any]],
    advantages: Sequence[float],
) -> pyarrow.Table:
    """A table of one generation, all columns of the same length."""
    import pyarrow

    columns: dict[str, Sequence[Any]] = {
        "step": [step] * len(advantages),
        "prompt": prompts,
        "completion": completions,
        **rewards,
        **details,
        "advantage": advantages,
    }
    types = {name: pyarrow.float64() for name in (*rewards, "advantage")}
    types |= {name: pyarrow.string() for name, values in columns.items() if name not in types and is_text(values)}
    table = pyarrow.table({name: pyarrow.array(values, types.get(name)) for name, values in columns.items()})
    return table.replace_schema_metadata({REWARDS_KEY: json.dumps(list(rewards))})


def is_text(values: Sequence[Any]) -> bool:
    """Whether a column is text; one of nothing but None is too: it is mostly text, and happens to be empty here."""
    return not any(value is not None and not isinstance(value, str) for value in values)


def write_rollouts(path: Path, table: pyarrow.Table) -> None:
    """The whole file of a step; it appears only when it is whole."""
    import pyarrow.parquet

    with atomic_file(path) as file:
        pyarrow.parquet.write_table(table, file)


def read_rollouts(path: Path, rewards_only: bool = False) -> RolloutRows:
    """The rows of a file; with `rewards_only`, just the rewards and their reasons. DataError when it can't be read."""
    import pyarrow
    import pyarrow.parquet

    try:
        with open_regular(path) as file:
            parquet = pyarrow.parquet.ParquetFile(file)
            schema = parquet.schema_arrow
            rewards = tuple(json.loads((schema.metadata or {})[REWARDS_KEY]))
            wanted = [name for reward in rewards for name in (reward, reason_column(reward)) if name in schema.names]
            table = parquet.read(wanted if rewards_only else None)
    except (OSError, pyarrow.ArrowException, KeyError, ValueError) as error:
        raise DataError(f"'{path}' is not a file of rollouts: {error}; remove it.") from None
    return RolloutRows(rewards, table.to_pylist())
