"""How the pre-flight check draws its completions: whole groups, no more at once than training, the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from open_r1.rewards import accuracy_reward, format_reward
from open_r1.rewards.functions.format import check_format
from open_r1.training.preflight import (
    choose_rows,
    generation_batches,
    look_at_golds,
    without_prefill,
    write_perfect,
)


def trainer(rank: int, processes: int, a_device: int, steps: int, group: int) -> Any:
    return SimpleNamespace(
        num_generations=group,
        accelerator=SimpleNamespace(num_processes=processes, process_index=rank),
        args=SimpleNamespace(per_device_train_batch_size=a_device, steps_per_generation=steps),
    )


@pytest.mark.parametrize(
    ("processes", "a_device", "steps", "group"),
    [(1, 4, 1, 2), (1, 16, 4, 16), (7, 16, 1, 14), (8, 4, 1, 16), (2, 8, 1, 8), (3, 8, 2, 6), (8, 2, 1, 16)],
)
@pytest.mark.parametrize("num_rows", [1, 3, 8, 32])
def test_every_problem_gets_its_group_and_every_process_as_much_as_the_others(
    processes: int, a_device: int, steps: int, group: int, num_rows: int
) -> None:
    rows = [{"problem": number} for number in range(num_rows)]
    of_each = [
        list(generation_batches(trainer(rank, processes, a_device, steps, group), rows)) for rank in range(processes)
    ]
    rounds = list(zip(*of_each, strict=True))
    gathered = [row for batches in rounds for batch in batches for row in batch]
    assert gathered[: num_rows * group] == [row for row in rows for _ in range(group)]
    for batches in rounds:
        sizes = {len(batch) for batch in batches}
        assert len(sizes) == 1
        assert sizes.pop() <= a_device * steps
        assert sum(map(len, batches)) % group == 0
    whole_groups = math.lcm(group, processes)
    assert len(gathered) - num_rows * group < max(whole_groups, group)


def test_the_rows_chosen_are_the_same_in_every_process_and_no_row_twice() -> None:
    data = [{"row": number} for number in range(50)]
    chosen = choose_rows(data, 32, seed=1)
    assert chosen == choose_rows(data, 32, seed=1) != choose_rows(data, 32, seed=2)
    assert len({row["row"] for row in chosen}) == 32
    assert len(choose_rows(data[:5], 32, seed=1)) == 5


def test_golds_are_looked_at_all_over_the_data_where_a_reward_compares_with_them() -> None:
    data: list[dict[str, Any]] = [{"solution": str(number)} for number in range(1000)]
    assert look_at_golds(data, [format_reward]).looked_at == 0
    assert look_at_golds(data, [accuracy_reward]).looked_at == 100
    data[500]["solution"], data[501]["solution"] = "", ""
    assert look_at_golds(data, [accuracy_reward]).unreadable == ((500, ""),)
    assert look_at_golds(data[:3], [accuracy_reward]).looked_at == 3


@pytest.mark.parametrize("row", [{"solution": "6"}, {"solution": None}, {}])
def test_a_perfect_completion_keeps_the_format(row: dict[str, Any]) -> None:
    assert check_format(write_perfect(row, None)) == "well_formed"
    assert check_format(write_perfect(row, "python")) == "well_formed"
    assert "```cpp\n" in write_perfect({"language": "cpp"}, "python")
    assert r"\boxed{6}" in write_perfect({"solution": "So it is $6$. The answer is $6$."}, None)


PREFILLS: Sequence[tuple[str, str]] = [
    ("<|im_start|>assistant\n", "<think>\na\n</think>\nb"),
    ("<|im_start|>assistant\n<think>\n", "\na\n</think>\nb"),
    ("<|im_start|>assistant\n<think>\n\n</think>\n\n", "\nb"),
]


@pytest.mark.parametrize(("written", "left"), PREFILLS)
def test_what_the_template_has_written_is_no_part_of_the_completion(written: str, left: str) -> None:
    assert without_prefill("<think>\na\n</think>\nb", written) == left
