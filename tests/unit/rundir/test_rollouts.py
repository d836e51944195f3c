"""One schema of rollouts: what training writes is what the report reads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from open_r1.errors import DataError
from open_r1.rundir.rollouts import read_rollouts, rollout_table, write_rollouts


def table(step: int = 3, details: dict[str, list[Any]] | None = None) -> pa.Table:
    details = {"acc_reason": ["correct", "timeout"], "speed": [1.5, 2.5]} if details is None else details
    return rollout_table(step, ["q", "q"], ["a", "b"], {"acc": [1.0, None], "len": [0.5, 0.25]}, details, [0.5, 0.0])


def test_rollouts_are_read_back_with_the_names_of_their_rewards(tmp_path: Path) -> None:
    write_rollouts(tmp_path / "rollouts" / "step-000003.parquet", [table()])
    found = read_rollouts(tmp_path / "rollouts" / "step-000003.parquet")
    assert found.rewards == ("acc", "len")
    assert found.rows[1] == {
        "step": 3, "prompt": "q", "completion": "b", "acc": None, "len": 0.25, "acc_reason": "timeout", "speed": 2.5,
        "advantage": 0.0,
    }  # fmt: skip


def test_only_rewards_and_their_reasons_are_read_when_that_is_enough(tmp_path: Path) -> None:
    write_rollouts(tmp_path / "a.parquet", [table()])
    assert read_rollouts(tmp_path / "a.parquet", rewards_only=True).rows[0] == {
        "acc": 1.0, "acc_reason": "correct", "len": 0.5,
    }  # fmt: skip


def test_generations_of_one_step_keep_the_names_when_they_are_joined(tmp_path: Path) -> None:
    write_rollouts(tmp_path / "a.parquet", [table(), table(details={"more": ["x", "y"]})])
    found = read_rollouts(tmp_path / "a.parquet")
    assert found.rewards == ("acc", "len") and [row["more"] for row in found.rows] == [None, None, "x", "y"]


def test_a_column_of_details_has_the_same_type_whether_or_not_a_batch_has_some() -> None:
    assert table(details={"tests": ["[]", None]}).schema == table(details={"tests": [None, None]}).schema


@pytest.mark.parametrize("value", [math.nan, None])
def test_an_unscored_value_is_null(value: float | None) -> None:
    (row,) = rollout_table(1, ["p"], ["c"], {"acc": [value]}, {}, [-0.25]).to_pylist()
    assert row == {"step": 1, "prompt": "p", "completion": "c", "acc": None, "advantage": -0.25}


def test_the_columns_have_their_order() -> None:
    expected = ["step", "prompt", "completion", "acc", "len", "acc_reason", "speed", "advantage"]
    assert table().schema.names == expected


@pytest.mark.parametrize("make", ["empty", "link", "other schema", "absent"])
def test_what_is_not_a_file_of_rollouts_is_named(tmp_path: Path, make: str) -> None:
    path = tmp_path / "step.parquet"
    if make == "empty":
        path.touch()
    elif make == "link":
        write_rollouts(tmp_path / "elsewhere.parquet", [table()])
        path.symlink_to(tmp_path / "elsewhere.parquet")
    elif make == "other schema":
        pq.write_table(pa.table({"reward": [1.0]}), path)
    with pytest.raises(DataError, match=r"step.parquet' is not a file of rollouts"):
        read_rollouts(path)
