"""GRPO's update in micro-batches by length has the loss and the gradients of stock TRL on the same samples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.utils import DistributedType
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from replayed_grpo import Ours, Stock, gradients, largest_difference, make_folder

from open_r1.training.micro_batches import join, plan, share_out, take

LOSS_TYPES = ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    make_folder(made)
    return made


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_every_loss_has_stock_s_gradients(folder: Path, loss_type: str) -> None:
    stock, stock_run = gradients(Stock, folder, loss_type=loss_type)
    ours, our_run = gradients(Ours, folder, loss_type=loss_type)
    assert largest_difference(stock, ours) < 1e-5
    losses = [[row["loss"] for row in run.state.log_history if "loss" in row] for run in (stock_run, our_run)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"beta": 0.1},
        {"num_iterations": 2, "max_steps": 4},
        {"steps_per_generation": 8, "max_steps": 4, "num_iterations": 2, "per_device_train_batch_size": 3},
        {"steps_per_generation": 4, "gradient_accumulation_steps": 8, "per_device_train_batch_size": 6},
        {"mask_truncated_completions": True},
        {"importance_sampling_level": "sequence"},
        {"gradient_checkpointing": True},
        {"entropy_coef": 0.01},
        {"top_entropy_quantile": 0.5},
        {"scale_rewards": "batch"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_every_setting_of_the_update_has_stock_s_gradients(folder: Path, changes: dict[str, Any]) -> None:
    stock, _ = gradients(Stock, folder, **changes)
    ours, _ = gradients(Ours, folder, **changes)
    assert largest_difference(stock, ours) < 1e-5


@pytest.mark.parametrize("changes", [{}, {"beta": 0.1}], ids=["alone", "reference"])
def test_an_adapter_has_stock_s_gradients(folder: Path, changes: dict[str, Any]) -> None:
    adapter = LoraConfig(r=4, lora_dropout=0.0, target_modules=["q_proj", "down_proj"])
    stock, _ = gradients(Stock, folder, adapter, **changes)
    ours, _ = gradients(Ours, folder, adapter, **changes)
    assert all("lora_" in name for name in ours[-1])
    assert largest_difference(stock, ours) < 1e-5


@pytest.fixture
def generation() -> dict[str, torch.Tensor]:
    """Three samples: prompts of 1, 3 and 2 tokens, completions of 4, 1 and 2."""
    prompt_mask = torch.tensor([[0, 0, 1], [1, 1, 1], [0, 1, 1]])
    completion_mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]])
    return {
        "prompt_ids": prompt_mask * 7,
        "prompt_mask": prompt_mask,
        "completion_ids": completion_mask * torch.arange(1, 5),
        "completion_mask": completion_mask,
        "advantages": torch.tensor([1.0, 2.0, 3.0]),
        "importance_sampling_ratio": torch.tensor([[0.5], [0.6], [0.7]]),
        "num_items_in_batch": torch.tensor(7),
    }


def test_a_micro_batch_is_cut_to_its_longest_prompt_and_completion(generation: dict[str, torch.Tensor]) -> None:
    taken = take(generation, [2, 1])
    assert taken["prompt_ids"].tolist() == [[0, 7, 7], [7, 7, 7]]
    assert taken["completion_ids"].tolist() == [[1, 2], [1, 0]]
    assert taken["advantages"].tolist() == [3.0, 2.0]
    assert taken["importance_sampling_ratio"].tolist() == [pytest.approx([0.7]), pytest.approx([0.6])]
    assert taken["num_items_in_batch"] == 7


def test_widths_are_rounded_up_but_never_beyond_the_generation(generation: dict[str, torch.Tensor]) -> None:
    taken = take(generation, [2], multiple=3)
    assert taken["prompt_ids"].shape == (1, 3)
    assert taken["completion_ids"].shape == (1, 3)
    assert take(generation, [0], multiple=3)["completion_ids"].shape == (1, 4)


def test_joining_cut_batches_brings_the_samples_back(generation: dict[str, torch.Tensor]) -> None:
    joined = join([take(generation, [1]), take(generation, []), take(generation, [0, 2])])
    assert joined["advantages"].tolist() == [2.0, 1.0, 3.0]
    for name in ("prompt_ids", "completion_ids", "completion_mask"):
        assert joined[name].tolist() == generation[name][[1, 0, 2]].tolist()


lengths = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 400)), max_size=40).map(
    lambda pairs: np.array(pairs, dtype=int).reshape(-1, 2)
)


@given(lengths, st.integers(1, 2000), st.integers(0, 200))
def test_each_row_is_in_one_micro_batch_within_the_budget(lengths: np.ndarray, budget: int, cost: int) -> None:
    parts = plan(lengths, budget, cost)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    for part in parts:
        assert len(part) == 1 or len(part) * lengths[part].max(axis=0).sum() <= budget


@given(st.lists(st.integers(1, 60), min_size=1, max_size=7), st.integers(60, 200), st.integers(0, 50))
def test_no_other_cuts_of_the_sorted_rows_cost_less(sizes: list[int], budget: int, cost: int) -> None:
    lengths = np.array([[1, size] for size in sizes])
    ordered = np.sort(lengths.sum(axis=1))[::-1]

    def cheapest(rows: np.ndarray) -> int:
        if not len(rows):
            return 0
        fits = [n for n in range(1, len(rows) + 1) if n == 1 or n * rows[0] <= budget]
        return min(n * rows[0] + cost + cheapest(rows[n:]) for n in fits)

    found = sum(len(part) * lengths[part].sum(axis=1).max() + cost for part in plan(lengths, budget, cost))
    assert found == cheapest(ordered)


@settings(max_examples=50)
@given(lengths, st.integers(1, 8))
def test_ranks_get_about_equal_sums_of_squares(lengths: np.ndarray, ranks: int) -> None:
    shares = share_out(lengths, ranks)
    assert sorted(row for share in shares for row in share) == list(range(len(lengths)))
    squares = lengths.sum(axis=1) ** 2
    loads = [int(squares[share].sum()) for share in shares]
    assert max(loads) - min(loads) <= squares.max(initial=0)


def test_deepspeed_gets_a_sample_of_weight_0_where_a_call_has_none(generation: dict[str, torch.Tensor]) -> None:
    for kind, expected in ((DistributedType.NO, []), (DistributedType.DEEPSPEED, [0.0])):
        trainer: Any = Ours.__new__(Ours)
        trainer.pad_to_multiple_of = None
        trainer.accelerator = SimpleNamespace(num_processes=1, distributed_type=kind)
        assert [part.weight for part in trainer._idle_call(generation)] == expected


@pytest.mark.slow
def test_two_processes_share_the_load_and_have_stock_s_gradients(folder: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = str(Path(__file__).with_name("replayed_grpo.py"))
    ran = subprocess.run(
        [*command, script, str(folder)],
        capture_output=True,
        text=True,
        timeout=400,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    lines = [line.split() for line in ran.stdout.splitlines() if line.startswith("gradients differ by")]
    differences = [float(line[3]) for line in lines]
    assert len(differences) == 4
    assert max(differences) < 1e-5
