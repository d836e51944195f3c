"""Packed samples don't see each other, batches of one length come in an order that resumes, padding is reported."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from open_r1.errors import ConfigError, ModelError
from open_r1.training.packing import (
    EpochLengthSampler,
    describe_packing,
    describe_padding,
    padding_share,
    refuse_contamination,
)
from open_r1.training.parse import parse_stage

SHAPE = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1,
}  # fmt: skip
CONFIGS = {"qwen3": Qwen3Config, "qwen2": Qwen2Config, "llama": LlamaConfig}
COLLATOR = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)


def model_of(architecture: str, attention: str) -> Any:
    torch.manual_seed(0)
    config = CONFIGS[architecture](**SHAPE, initializer_range=0.5)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention).float()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_logits_of_packed_samples_are_those_of_each_alone(architecture: str, attention: str) -> None:
    model = model_of(architecture, attention).eval()
    samples = [torch.randint(64, (length,)).tolist() for length in (7, 3, 12, 1, 9)]
    rows = [  # two packed sequences in one batch, which TRL makes one
        {"input_ids": [*samples[0], *samples[1], *samples[2]], "seq_lengths": [7, 3, 12]},
        {"input_ids": [*samples[3], *samples[4]], "seq_lengths": [1, 9]},
    ]
    batch = COLLATOR(rows) | {"use_cache": False}
    with torch.no_grad():
        packed = model(**{name: value for name, value in batch.items() if name != "labels"}).logits[0]
        alone = torch.cat([model(torch.tensor([sample])).logits[0] for sample in samples])
    torch.testing.assert_close(packed, alone, atol=1e-4, rtol=1e-4)


def as_trainer(model: Any) -> Any:
    from contextlib import nullcontext

    return SimpleNamespace(
        model=model, model_wrapped=model, data_collator=COLLATOR, _prepare_inputs=lambda batch: batch,
        compute_loss_context_manager=nullcontext,
    )  # fmt: skip


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_model_that_ignores_where_samples_begin_is_refused_for_packing(
    attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of("qwen3", attention)
    refuse_contamination(as_trainer(model))
    assert model.training
    forward = model.forward

    def deaf(input_ids: Any, position_ids: Any, **_: Any) -> Any:
        ones = torch.ones_like(input_ids)
        return forward(input_ids, attention_mask=ones, position_ids=position_ids, use_cache=False)

    monkeypatch.setattr(model, "forward", deaf)
    with pytest.raises(ModelError, match=f"packed samples see each other .* attn_implementation = {attention}"):
        refuse_contamination(as_trainer(model))


def test_batches_of_one_length_come_in_an_order_of_the_epoch_alone_with_the_longest_first() -> None:
    lengths = [(place * 37) % 100 + 1 for place in range(64)]
    sampler = EpochLengthSampler(8, lengths=lengths)
    sampler.set_epoch(0)
    first = list(sampler)
    torch.rand(7)
    sampler.set_epoch(1)
    second = list(sampler)
    sampler.set_epoch(0)
    assert list(sampler) == first != second
    assert sorted(first) == list(range(64))
    assert lengths[first[0]] == max(lengths)
    assert padding_share(lengths, first, 8) < padding_share(lengths, range(64), 8) - 0.1


def settings(**changes: Any) -> Any:
    made = {
        "packing": False, "padding_free": False, "per_device_train_batch_size": 2, "max_length": None, "seed": 0,
        "gradient_accumulation_steps": 1, "train_sampling_strategy": "random",
    }  # fmt: skip
    return SimpleNamespace(**made | changes)


def test_padding_is_reported_before_training_with_what_lowers_it() -> None:
    assert padding_share([1, 3, 2, 2], [0, 1, 2, 3], 2) == pytest.approx(1 - 8 / 10)
    lengths = [10, 100] * 50
    said = describe_padding(lengths, settings())
    assert "% of the tokens will be padding; train_sampling_strategy group_by_length: " in said
    at_random, grouped = (int(part.split("%")[0].split(" ")[-1]) for part in said.split(";"))
    assert grouped < 10 < 20 < at_random and said.endswith("%, packing: none")
    by_length = settings(train_sampling_strategy="group_by_length")
    assert describe_padding(lengths, by_length) == f"{grouped}% of the tokens will be padding"
    assert describe_padding([50] * 100, settings()) == "0% of the tokens will be padding"
    assert describe_padding(lengths, settings(max_length=10)) == "0% of the tokens will be padding"
    for without in ({"packing": True}, {"padding_free": True}, {"per_device_train_batch_size": 1}):
        assert describe_padding(lengths, settings(**without)) == ""
    packed = describe_packing({"seq_lengths": [[4, 4], [6]]}, 10)
    assert packed == "3 samples in 2 sequences without padding, each filled to 70% of max_length"


BASE = ["--model_name_or_path", "m", "--dataset_name", "d", "--output_dir", "out"]


def test_what_can_t_be_packed_or_trained_is_refused_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="load_in_4bit is set but use_peft is not"):
        parse_stage("sft", [*BASE, "--load_in_4bit"])
    monkeypatch.setenv("PARALLELISM_CONFIG_CP_SIZE", "2")
    parse_stage("sft", BASE)
    with pytest.raises(ConfigError, match="which context parallelism .*cp_size 2 .* drops; set packing false"):
        parse_stage("sft", [*BASE, "--packing"])


def test_trl_s_loss_of_a_packed_batch_is_that_of_the_samples_alone(tiny_model: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rows = Dataset.from_list([{"text": "Compute " + "7+5-3" * (1 + number)} for number in range(4)])
    losses = []
    for packing in (True, False):
        arguments = SFTConfig(
            output_dir=str(tmp_path), packing=packing, max_length=128, use_cpu=True, bf16=False, report_to="none",
            gradient_checkpointing=False,
        )  # fmt: skip
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_pretrained(tiny_model)
        trainer = SFTTrainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)
        made: Any = trainer.train_dataset
        batch = trainer.data_collator([made[number] for number in range(len(made))])
        assert ("seq_lengths" in made.column_names) == packing
        losses.append(float(trainer.compute_loss(trainer.model, dict(batch))))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_trl_s_loss_is_that_of_all_logits_which_it_never_has_at_once(tiny_model: Path, tmp_path: Path) -> None:
    """Over more than one tile of 4,096 tokens. The output layer is not called: its weights are used tile by tile."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        output_dir=str(tmp_path),
        max_length=None,
        use_cpu=True,
        bf16=False,
        report_to="none",
        gradient_checkpointing=False,
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_model),
        args=arguments,
        train_dataset=Dataset.from_list([{"text": "Compute " + "7+5-3" * 1100}]),
        processing_class=AutoTokenizer.from_pretrained(tiny_model),
    )
    made: Any = trainer.train_dataset
    model: Any = trainer.model
    batch = trainer.data_collator([made[0]])
    assert batch["input_ids"].shape[1] > 4096
    with torch.no_grad():
        expected = model(**batch).loss
        called: list[Any] = []
        model.lm_head.register_forward_hook(lambda *given: called.append(given))
        assert float(trainer.compute_loss(model, dict(batch))) == pytest.approx(float(expected), rel=1e-5)
    assert not called


@pytest.mark.slow
@pytest.mark.parametrize("more", [["--train_sampling_strategy", "group_by_length"], ["--packing"]])
def test_grouped_and_packed_runs_end_where_an_unbroken_one_does(
    more: list[str], open_r1: Any, tiny_model: Path, tmp_path: Path
) -> None:
    import json
    import shutil

    from open_r1.rundir import read_json

    rows = [
        {
            "messages": [
                {"role": "user", "content": f"{n}+1"},
                {"role": "assistant", "content": f"{n + 1} " * (n % 9 + 1)},
            ]
        }
        for n in range(40)
    ]
    data = tmp_path / "traces.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = (
        "--per_device_train_batch_size 2 --max_steps 24 --logging_steps 4 --save_steps 6 --report_to none --max_length 128 "
        "--gradient_checkpointing false --learning_rate 1e-2"
    ).split()
    paths = ["--model_name_or_path", tiny_model, "--dataset_name", data, "--output_dir", tmp_path / "out"]
    assert open_r1("sft", *paths, *words, *more).status == 0
    weights = read_json(tmp_path / "out" / "done.json")["weights"]
    for name in ("done.json", "checkpoint-24", "checkpoint-18"):
        path = tmp_path / "out" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    ran = open_r1("sft", *paths, *words, *more)
    assert "going on from checkpoint-12" in ran.err, ran.err
    assert read_json(tmp_path / "out" / "done.json")["weights"] == weights
