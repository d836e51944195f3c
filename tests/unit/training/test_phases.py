"""Seconds by phase: they add up, a phase inside another counts once, and what they achieve is logged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from open_r1.training import phases
from open_r1.training.micro_batches import MicroBatch
from open_r1.training.phases import PhaseClock, PhaseTrainer, count_tokens, peak_flops


class Clock:
    """A clock that is set by hand."""

    moment = 0.0

    def __call__(self) -> float:
        return self.moment


def test_a_phase_inside_another_counts_for_itself_alone_and_all_add_up() -> None:
    now = Clock()
    clock = PhaseClock(now)
    now.moment = 1.0
    with clock.phase("update"):
        now.moment = 3.0
        with clock.phase("generation"):
            now.moment = 10.0
        now.moment = 11.0
    now.moment = 11.5
    assert clock.read() == {"waiting": 1.5, "update": 3.0, "generation": 7.0}
    now.moment = 12.0
    assert clock.read() == {"waiting": 0.5}


def test_what_an_evaluation_does_is_evaluation_and_a_phase_that_fails_ends() -> None:
    now = Clock()
    clock = PhaseClock(now)

    def fail() -> None:
        with clock.phase("evaluation"), clock.phase("generation"):
            now.moment = 4.0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    now.moment = 5.0
    assert clock.read() == {"evaluation": 4.0, "waiting": 1.0}


def test_work_that_a_phase_started_on_a_device_counts_there() -> None:
    now = Clock()

    def synchronize() -> None:
        now.moment += 2.0

    clock = PhaseClock(now, synchronize)
    with clock.phase("update"):
        pass
    assert clock.read()["update"] == 2.0


def test_padding_is_counted_in_batches_of_sft_and_micro_batches_of_grpo() -> None:
    ids, mask = torch.ones(2, 4, dtype=torch.long), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    assert [int(count) for count in count_tokens({"input_ids": ids, "attention_mask": mask})] == [6, 8]
    assert count_tokens({"input_ids": ids, "position_ids": ids}) == (8, 8)
    inputs = {"prompt_ids": ids, "prompt_mask": mask, "completion_ids": ids, "completion_mask": mask}
    assert count_tokens([MicroBatch(inputs, 1.0), MicroBatch(inputs, 0.0)]) == (12, 16)
    assert count_tokens([]) == (0, 0)


def trainer(**more: Any) -> Any:
    made = PhaseTrainer.__new__(PhaseTrainer)
    made.__dict__.update(
        accelerator=SimpleNamespace(device=torch.device("cpu")),
        args=SimpleNamespace(bf16=True, fp16=False),
        state=SimpleNamespace(num_input_tokens_seen=0),
        model=SimpleNamespace(num_parameters=lambda exclude_embeddings: 1000),
        **more,
    )
    return made


def test_a_row_has_tokens_a_second_padding_memory_and_where_the_peak_is_known_mfu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = Clock()
    made = trainer(_total_train_tokens=600, _useful=500, _computed=1000)
    clock = PhaseClock(now)
    with clock.phase("update"):
        now.moment = 2.0
    with clock.phase("saving"):
        now.moment = 9.0
    row = made._read_phases(clock)
    assert row["tokens_per_second"] == 300.0
    assert row["padding_share"] == 0.5
    assert row["memory_gb"] > 0
    assert "mfu" not in row, "a CPU's peak is not known"
    monkeypatch.setattr(phases, "peak_flops", lambda device: 6e6)
    made._useful = 1000
    with clock.phase("update"):
        now.moment += 2.0
    assert made._read_phases(clock)["mfu"] == 0.5


def test_a_device_is_known_by_a_part_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    device = SimpleNamespace(type="cuda")
    for name, peak in (("NVIDIA H100 PCIe", 7.56e14), ("NVIDIA H100 80GB HBM3", 9.89e14), ("NVIDIA L40S", 3.62e14)):
        monkeypatch.setattr(phases.torch.cuda, "get_device_name", lambda _, name=name: name)
        assert peak_flops(device) == peak  # type: ignore[arg-type]
    monkeypatch.setattr(phases.torch.cuda, "get_device_name", lambda _: "Unheard-of 9000")
    assert peak_flops(device) is None  # type: ignore[arg-type]
    assert peak_flops(torch.device("cpu")) is None
