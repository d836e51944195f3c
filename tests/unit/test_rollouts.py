"""The rollouts on disk: one schema, written by training and read by the report."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from open_r1.rundir.rollouts import reason_column, reward_names, rollout_table, write_rollouts


def table(step: int = 1, value: float | None = 0.5, **more: list) -> pyarrow.Table:
    return rollout_table(step, ["p"], ["c"], {"a_reward": [value], "number": [1.0]}, more, [-0.25])


@pytest.mark.parametrize("value", [math.nan, None])
def test_an_unscored_value_is_null(value: float | None) -> None:
    assert table(value=value).to_pylist() == [
        {"step": 1, "prompt": "p", "completion": "c", "a_reward": None, "number": 1.0, "advantage": -0.25}
    ]


def test_the_columns_of_rewards_are_listed_in_the_file(tmp_path: Path) -> None:
    tables = [table(a_reward_reason=["correct"], mine=[2.5]), table(a_reward_reason=["wrong"], a_reward_tests=["[]"])]
    write_rollouts(tmp_path / "step.parquet", tables)
    schema = pyarrow.parquet.read_schema(tmp_path / "step.parquet")
    assert reward_names(schema) == ["a_reward", "number"]
    assert schema.names[:6] == ["step", "prompt", "completion", "a_reward", "number", "a_reward_reason"]
    rows = pyarrow.parquet.read_table(tmp_path / "step.parquet").to_pylist()
    assert [(row["a_reward_reason"], row["mine"], row["a_reward_tests"]) for row in rows] == [
        ("correct", 2.5, None),
        ("wrong", None, "[]"),
    ]


def test_a_file_that_lists_no_rewards_has_those_with_reasons() -> None:
    schema = table(a_reward_reason=["correct"], mine=[2.5]).replace_schema_metadata(None).schema
    assert reward_names(schema) == ["a_reward"]
    assert reason_column("a_reward") == "a_reward_reason"


def test_a_listed_reward_that_the_file_lacks_is_left_out() -> None:
    whole = table()
    assert reward_names(whole.drop_columns(["number"]).schema) == ["a_reward"]
