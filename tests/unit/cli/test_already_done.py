"""The same command again, whole results in place: "already done in PLACE", nothing written, status 0, in every verb."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeSettings, Running, running_fake

Command = Callable[..., Any]

VERBS = {
    "eval": "eval fake --problems rows.jsonl --max_new_tokens 64 --server URL --output_dir out",
    "generate": "data generate rows.jsonl --server URL --max_new_tokens 64 --output_dir out",
    "pass-rate": "data pass-rate rows.jsonl --server URL --num_samples 2 --max_new_tokens 64 --output_dir out",
    "verify": "data verify rows.jsonl --output out/verified.jsonl",
    "select": "data select rows.jsonl --keep all --output out/selected.jsonl",
    "dedup": "data dedup rows.jsonl --output out/unique.jsonl --report out/repeated.jsonl",
    "decontaminate": "data decontaminate rows.jsonl --against held.jsonl --output out/clean.jsonl",
    "mix": "data mix mix.yaml --output_dir out",
}


def rows(count: int) -> str:
    texts = [(f"What is {number} plus {number}?", str(2 * number)) for number in range(count)]
    made = [
        {"problem": asked, "solution": gold, "completion": f"<think>\nso\n</think>\n{gold}"} for asked, gold in texts
    ]
    return "".join(json.dumps(row) + "\n" for row in made)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text(rows(6))
    (tmp_path / "held.jsonl").write_text(
        json.dumps({"problem": "Which city has the oldest bridge in the world?"}) + "\n"
    )
    (tmp_path / "mix.yaml").write_text("dataset_mixture:\n  datasets:\n    - {id: rows.jsonl}\n")
    return tmp_path


@pytest.fixture(scope="module")
def fake() -> Iterator[Running]:
    with running_fake(FakeSettings()) as server:
        yield server


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("summary.json", ".lock")
    }


@pytest.mark.parametrize("verb", VERBS)
def test_the_same_command_again_says_that_it_is_already_done(
    verb: str, folder: Path, fake: Running, open_r1: Command
) -> None:
    words = VERBS[verb].replace("URL", fake.url).split()
    first = open_r1(*words)
    assert first.status == 0 and "already done" not in first.err, first.err
    made, asked = contents(folder / "out"), fake.server.counts["requests"]
    again = open_r1(*words)
    assert again.status == 0 and "already done in out" in again.err.replace("out/rows", "out"), again.err
    assert (contents(folder / "out"), fake.server.counts["requests"]) == (made, asked)
    assert again.out == first.out


@pytest.mark.parametrize("verb", VERBS)
def test_another_source_under_the_same_name_is_never_already_done(
    verb: str, folder: Path, fake: Running, open_r1: Command
) -> None:
    words = VERBS[verb].replace("URL", fake.url).split()
    assert open_r1(*words).status == 0
    (folder / "rows.jsonl").rename(folder / "before.jsonl")
    (folder / "rows.jsonl").write_text(rows(7))
    assert "already done" not in open_r1(*words).err


@pytest.mark.parametrize("verb", ["select", "dedup", "decontaminate"])
def test_other_settings_are_not_already_done(verb: str, folder: Path, open_r1: Command) -> None:
    words = VERBS[verb].split()
    assert open_r1(*words).status == 0
    more = {"select": ["--min_tokens", "1"], "dedup": ["--exact"], "decontaminate": ["--variants"]}[verb]
    ran = open_r1(*words, *more)
    assert ran.status == 2 and "already exists; give another name, or replace it with --overwrite" in ran.err
    assert open_r1(*words, *more, "--overwrite").status == 0


def test_a_model_from_texts_is_already_done_and_never_in_place_of_another(
    folder: Path, tiny_model: Path, open_r1: Command
) -> None:
    words = ["model", "new", "rows.jsonl", "tiny", "--hidden_size", "32", "--num_layers", "1"]
    assert open_r1(*words).status == 0
    weights = (folder / "tiny" / "model.safetensors").read_bytes()
    again = open_r1(*words)
    assert again.status == 0 and "already done in tiny" in again.err
    ran = open_r1(*words, "--seed", "1")
    assert ran.status == 2 and "seed was 0 and is now 1" in ran.err and "--overwrite" in ran.err
    assert (folder / "tiny" / "model.safetensors").read_bytes() == weights
    ran = open_r1("model", "new", "rows.jsonl", tiny_model)
    assert ran.status == 2 and "is not empty" in ran.err


def test_a_merged_adapter_is_already_done(folder: Path, tiny_model: Path, open_r1: Command) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    get_peft_model(model, LoraConfig(target_modules="all-linear")).save_pretrained("adapter")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained("adapter")
    assert open_r1("merge", "adapter", "whole").status == 0
    again = open_r1("merge", "adapter", "whole")
    assert again.status == 0 and "already done in whole" in again.err
