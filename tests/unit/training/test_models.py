"""Tokenizers and models: made, loaded, brought in line, or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_r1.errors import ConfigError, ModelError, RunFolderError
from open_r1.hub.folders import base_of_adapter, check_model_path
from open_r1.text.tags import TAGS
from open_r1.training.models import (
    CHATML,
    align_model,
    check_template,
    get_model,
    get_tokenizer,
    merge_adapter,
    new_adapter,
    report_trainable,
)
from open_r1.training.tiny_models import ModelShape, make_model_folder, make_tokenizer

TOKENIZER = make_tokenizer(["Compute 7+5-3"] * 30, 400)


def settings_for(folder: Path, **changes: Any) -> tuple[Any, Any]:
    model = SimpleNamespace(
        model_name_or_path=str(folder), model_revision="main", dtype="float32", attn_implementation=None,
        load_in_4bit=False, load_in_8bit=False, use_peft=False,
    )  # fmt: skip
    training = SimpleNamespace(chat_template=None, eos_token=None, gradient_checkpointing=False)
    vars(training).update(changes)
    return model, training


def test_a_socks_proxy_is_one_sentence_before_a_model_is_loaded_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@proxy:1080")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("open_r1.hub.folders.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"proxy socks5://proxy:1080 is a SOCKS proxy.* pip install socksio"):
        get_tokenizer(*settings_for(Path("somebody/model")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    check_model_path("somebody/model")


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_the_made_tokenizer_encodes_any_text_without_loss(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text).input_ids) == text


@pytest.mark.parametrize("piece", [*TAGS, "\\boxed{", "7", "42", "99"])
def test_tags_boxes_and_numbers_are_one_token(piece: str) -> None:
    assert len(TOKENIZER(piece).input_ids) == 1


def test_tags_survive_when_special_tokens_are_left_out() -> None:
    ids = TOKENIZER("<think>\n7\n</think>").input_ids
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "<think>\n7\n</think>"


def test_a_made_model_folder_loads_like_any_other(tiny_model: Path) -> None:
    arguments = settings_for(tiny_model)
    tokenizer, model = get_tokenizer(*arguments), get_model(*arguments)
    align_model(model, tokenizer, arguments[0])
    assert model.config.eos_token_id == tokenizer.eos_token_id == model.generation_config.eos_token_id
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_a_tokenizer_without_template_gets_chatml_and_its_tokens(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "m")
    (folder / "chat_template.jinja").unlink()
    tokenizer = get_tokenizer(*settings_for(folder))
    assert tokenizer.chat_template == CHATML
    assert tokenizer.eos_token == "<|im_end|>"


def test_a_larger_tokenizer_grows_the_model(tiny_model: Path) -> None:
    arguments = settings_for(tiny_model)
    tokenizer, model = get_tokenizer(*arguments), get_model(*arguments)
    before = model.get_input_embeddings().num_embeddings
    tokenizer.add_tokens([f"<new-{index}>" for index in range(before)])
    align_model(model, tokenizer, arguments[0])
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)


def test_an_unknown_end_of_sequence_token_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match=r"eos_token '<\|nope\|>' is not in the tokenizer's vocabulary"):
        get_tokenizer(*settings_for(tiny_model, eos_token="<|nope|>"))


SYSTEM_ONLY = "You are Open-R1. Structure your response into <think> Thought </think> Solution."
DROPS_THINKING = CHATML.replace("message['content'] +", "message['content'].split('</think>')[-1] +")
PREFILLS = CHATML.replace("assistant\n' }}{%- endif %}", "assistant\n<think>\n' }}{%- endif %}")
NEVER_ENDS = CHATML.replace("message['content'] + '<|im_end|>' }}{%- endgen", "message['content'] }}{%- endgen")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (SYSTEM_ONLY, "leaves out the user's message"),
        (DROPS_THINKING, "drops the thinking"),
        (PREFILLS, "already writes <think> for the model"),
        (NEVER_ENDS, "does not end the assistant's turn"),
        ("{% for %}", "can't be rendered"),
    ],
)
def test_templates_that_ruin_training_are_refused(template: str, message: str) -> None:
    tokenizer = make_tokenizer(["x"], 300)
    tokenizer.chat_template = template
    with pytest.raises(ModelError, match=message):
        check_template(tokenizer)


def test_chatml_passes() -> None:
    check_template(TOKENIZER)


def test_folders_that_hold_no_model_are_refused_with_what_is_missing(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        check_model_path(str(tmp_path / "none"))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ModelError, match=r"no config.json \(found notes.txt\)"):
        check_model_path(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="is not JSON"):
        check_model_path(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    with pytest.raises(ModelError, match="no weights"):
        check_model_path(str(tmp_path))
    check_model_path(str(tiny_model))
    check_model_path("Qwen/Qwen2.5-1.5B")


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (
            {"hidden_size": 100, "num_heads": 3, "num_key_value_heads": 1},
            "hidden_size 100 must be a multiple of num_heads 3",
        ),
        ({"num_heads": 3}, "num_heads 3 must be a multiple of num_key_value_heads 2"),
        ({"hidden_size": 36}, "heads of 9 can't have rotary positions"),
        ({"architecture": "qwen2", "head_dim": 32}, "qwen2 has heads of hidden_size / num_heads"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(shape: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ModelShape(**shape)


def test_heads_may_have_a_size_of_their_own(tmp_path: Path) -> None:
    make_model_folder(tmp_path, ["1+1=2"] * 20, ModelShape(hidden_size=48, num_layers=1, head_dim=32), seed=0)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["hidden_size"], config["num_attention_heads"], config["head_dim"]) == (48, 4, 32)


@pytest.mark.parametrize(
    ("vocabulary", "pad", "expected"),
    [
        (["<e>", "<pad>", "<|endoftext|>"], None, "<|endoftext|>"),
        (["<e>", "<pad>"], "<e>", "<pad>"),
        (["<e>"], None, "<e>"),
        (["<e>", "<pad>", "own"], "own", "own"),
    ],
)
def test_padding_is_another_token_than_the_end_of_a_turn_where_there_is_one(
    vocabulary: list[str], pad: str | None, expected: str
) -> None:
    from types import SimpleNamespace

    from open_r1.training.models import align_end_of_sequence

    known = dict.fromkeys(vocabulary, 0)
    tokenizer = SimpleNamespace(
        eos_token="old",
        pad_token=pad,
        unk_token_id=None,
        get_vocab=lambda: known,
        convert_tokens_to_ids=known.get,
    )
    align_end_of_sequence(tokenizer, "<e>")
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<e>", expected)


def adapter_of(base: Path, folder: Path, named: str | None = None) -> Path:
    """A LoRA adapter for a model, trained for no step."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = LoraConfig(target_modules=["q_proj"], r=2, init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    if named is not None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": named}))
    return folder


def test_the_base_of_an_adapter_is_found_from_any_folder(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_model, tmp_path / "models" / "base")
    adapter = adapter_of(tiny_model, tmp_path / "runs" / "lora", "models/base")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert base_of_adapter(adapter) == str(tmp_path / "models" / "base")
    shutil.rmtree(tmp_path / "models" / "base")
    with pytest.raises(
        ModelError, match=r"the base model '/gone/base' of the adapter in .* does not exist; put it there"
    ):
        base_of_adapter(adapter_of(tiny_model, tmp_path / "other", "/gone/base"))
    assert base_of_adapter(adapter_of(tiny_model, tmp_path / "hub", "Qwen/Qwen3-0.6B")) == "Qwen/Qwen3-0.6B"


def test_an_adapter_is_merged_into_a_whole_model(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    adapter = adapter_of(tiny_model, tmp_path / "lora", str(tiny_model))
    merge_adapter(adapter, tmp_path / "merged")
    check_model_path(str(tmp_path / "merged"))
    merged, base = (AutoModelForCausalLM.from_pretrained(folder) for folder in (tmp_path / "merged", tiny_model))
    changed = {
        name.rpartition("layers.")[2]
        for (name, one), other in zip(merged.named_parameters(), base.parameters(), strict=True)
        if not torch.equal(one, other)
    }
    assert changed == {"0.self_attn.q_proj.weight"}
    with pytest.raises(RunFolderError, match="is not empty"):
        merge_adapter(adapter, tmp_path / "merged")
    with pytest.raises(ModelError, match="contains no LoRA adapter"):
        merge_adapter(tiny_model, tmp_path / "again")


def test_a_target_of_lora_that_the_model_lacks_is_one_sentence(tiny_model: Path) -> None:
    from trl import ModelConfig

    model = get_model(*settings_for(tiny_model))
    wanted = ModelConfig(use_peft=True, lora_target_modules=["q_prj", "v_proj"])
    with pytest.raises(ModelError, match="lora_target_modules names 'q_prj', .*; did you mean 'q_proj'"):
        new_adapter(model, wanted)
    single = new_adapter(model, ModelConfig(use_peft=True, lora_target_modules=["q_proj"]))
    assert single.target_modules == {"q_proj"}
    assert (
        new_adapter(model, ModelConfig(use_peft=True, lora_target_modules=["all-linear"])).target_modules
        == "all-linear"
    )


def test_the_share_of_the_parameters_that_are_trained_is_reported_where_it_is_not_all(tiny_model: Path) -> None:
    model_args, training_args = settings_for(tiny_model)
    model, said = get_model(model_args, training_args), []
    report_trainable(model, said.append)
    assert said == []
    for parameter in list(model.parameters())[1:]:
        parameter.requires_grad_(False)
    report_trainable(model, said.append)
    trained = next(model.parameters()).numel()
    assert said == [
        f"{trained:,} of {model.num_parameters():,} parameters are trained ({trained / model.num_parameters():.2%})"
    ]


def test_a_folder_that_is_called_as_an_organisation_does_not_hide_its_models_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from open_r1.hub.folders import looks_local

    monkeypatch.chdir(tmp_path)
    (tmp_path / "open-r1" / "src").mkdir(parents=True)
    assert not looks_local("open-r1/Qwen2.5-Math-7B-RoPE-300k")
    (tmp_path / "open-r1" / "OpenR1-Distill-1.5B").mkdir()
    assert not looks_local("open-r1/Qwen2.5-Math-7B-RoPE-300k")
    assert looks_local("open-r1/OpenR1-Distill-1.5B")
    (tmp_path / "models" / "tiny-base").mkdir(parents=True)
    assert looks_local("models/tiny-bas")
    (tmp_path / "runs" / "tiny" / "sft").mkdir(parents=True)
    (tmp_path / "runs" / "tiny" / "sft" / "resolved.yaml").touch()
    assert looks_local("runs/other")
