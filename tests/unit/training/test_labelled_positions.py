"""The output layer is computed where labels are, with TRL's own loss and gradients, and TRL is left as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer
from trl.trainer import utils

from open_r1.training.labelled_positions import LabelledPositionsTrainer, labelled_positions_only

TEXTS = ["Compute 7+5-3", "1+1", "Compute 2+2+2+2+2"]


class Labelled(LabelledPositionsTrainer, SFTTrainer):
    pass


def trained(trainer_class: Any, folder: Path, output: Path) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss of a batch of prompts and completions, and its gradients."""
    rows = Dataset.from_list([{"prompt": text, "completion": f" = {len(text)}"} for text in TEXTS])
    settings = SFTConfig(str(output), use_cpu=True, bf16=False, report_to="none", gradient_checkpointing=False)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    trainer = trainer_class(model=model, args=settings, train_dataset=rows, processing_class=tokenizer)
    batch = trainer.data_collator([trainer.train_dataset[number] for number in range(len(TEXTS))])
    loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=(batch["labels"] != -100).sum())
    loss.backward()
    named = trainer.model.named_parameters()
    return loss.item(), {name: value.grad.clone() for name, value in named if value.grad is not None}


@pytest.fixture
def projected(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each projection onto the vocabulary."""
    rows: list[int] = []
    project = utils._ChunkedLogProbFunction.apply

    def apply(hidden: torch.Tensor, *rest: Any) -> Any:
        rows.append(len(hidden))
        return project(hidden, *rest)

    monkeypatch.setattr(utils._ChunkedLogProbFunction, "apply", apply)
    return rows


def test_loss_and_gradients_are_stock_s_from_fewer_rows(
    tiny_model: Path, tmp_path: Path, projected: list[int]
) -> None:
    stock_loss, stock = trained(SFTTrainer, tiny_model, tmp_path)
    our_loss, ours = trained(Labelled, tiny_model, tmp_path)
    assert our_loss == pytest.approx(stock_loss, abs=1e-6)
    assert set(ours) == set(stock)
    for name, value in stock.items():
        torch.testing.assert_close(ours[name], value, atol=1e-6, rtol=1e-5)
    computed, labelled = projected
    assert labelled < computed / 2


def test_trl_s_choice_returns_after_an_error_and_stays_on_other_devices() -> None:
    before = utils._use_triton
    with labelled_positions_only():
        assert utils._use_triton(torch.device("cpu"))
        assert not utils._use_triton(torch.device("meta"))
    assert utils._use_triton is before
    with pytest.raises(ZeroDivisionError), labelled_positions_only():
        _ = 1 / 0
    assert utils._use_triton is before
