"""Templates that refuse a system turn or two user turns, as Gemma's: one sentence before a model is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeSettings, running_fake

from open_r1.rundir import read_json, read_jsonl

Command = Callable[..., Any]

GEMMA = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
USER, ASSISTANT = {"role": "user", "content": "Compute 7+5"}, {"role": "assistant", "content": "12"}


@pytest.fixture
def gemma(tiny_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "gemma"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").write_text(GEMMA)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> Any:
        raise AssertionError("a model was loaded")

    for place in (
        "open_r1.generation.in_process.TransformersGenerator.from_folder",
        "open_r1.generation.vllm_in_process.VLLMGenerator.__init__",
        "open_r1.training.sft.get_model",
        "open_r1.training.grpo.get_model",
    ):
        monkeypatch.setattr(place, load)


def write_rows(path: Path, *prompts: Any) -> Path:
    rows = [{"prompt": prompt, "solution": "12"} for prompt in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


VERBS: dict[str, Callable[[Path, Path, Path], list[Any]]] = {
    f"{verb} {backend}": lambda model, rows, out, verb=verb, backend=backend: [
        *(["eval", model, "--problems", rows] if verb == "eval" else ["data", verb, rows, "--model", model]),
        *("--backend", backend, "--output_dir", out),
    ]
    for verb in ("eval", "generate", "pass-rate")
    for backend in ("transformers", "vllm")
} | {
    kind: lambda model, rows, out, kind=kind: [
        *(kind, "--model_name_or_path", model, "--dataset_name", rows, "--output_dir", out, "--max_steps", 1),
        *("--dataset_prompt_column", "prompt", "--report_to", "none"),
    ]
    for kind in ("sft", "grpo")
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_refused_system_turn_is_one_sentence_before_anything_is_loaded(
    verb: str, gemma: Path, tmp_path: Path, open_r1: Command
) -> None:
    rows = tmp_path / "rows.jsonl"
    messages = [[USER, ASSISTANT]] * 8
    rows.write_text("".join(json.dumps({"messages": one}) + "\n" for one in messages))
    rows = rows if verb == "sft" else write_rows(rows, *[f"Compute 7+{index}" for index in range(8)])
    ran = open_r1(*VERBS[verb](gemma, rows, tmp_path / "out"), "--system_prompt", "Think first.")
    assert (ran.status, "System role not supported" in ran.err) == (2, True), ran.err
    sentence = ran.err.strip().splitlines()[-1]
    assert sentence.startswith("open-r1: the chat template") and "leave out system_prompt" in sentence
    assert not (tmp_path / "out").exists()


def test_two_user_turns_are_refused_row_by_row(gemma: Path, tmp_path: Path, open_r1: Command) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [USER], [USER, USER], [USER, ASSISTANT, USER])
    ran = open_r1(
        "data", "generate", rows, "--backend", "transformers", "--model", gemma, "--output_dir", "o", "--dry-run"
    )
    assert "1 prompts (user, then user) will fail, since the chat template refuses them" in ran.err


@pytest.mark.parametrize("verb", ["eval", "generate", "pass-rate"])
def test_a_server_that_refuses_every_prompt_is_one_sentence(verb: str, tmp_path: Path, open_r1: Command) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", *[f"Compute 7+{index}" for index in range(30)])
    with running_fake(FakeSettings(faults={"refused": 1.0})) as fake:
        words = ["eval", "fake", "--problems", rows] if verb == "eval" else ["data", verb, rows]
        ran = open_r1(*words, "--server", fake.url, "--output_dir", tmp_path / "out")
    assert ran.status == 2 and "every prompt is refused (status 400: " in ran.err.splitlines()[-1], ran.err


def test_a_row_that_a_server_refuses_costs_that_row_alone(tmp_path: Path, open_r1: Command) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", *[f"Compute 7+{index}" for index in range(30)])
    asked = ["eval", "fake", "--problems", rows, "--output_dir", tmp_path / "out"]
    with running_fake(FakeSettings(faults={"refused": 0.1})) as fake:
        assert open_r1(*asked, "--server", fake.url).status == 1
        ran = open_r1(*asked, "--server", fake.url, "--skip_unusable")
    assert ran.status == 0, ran.err
    summary = read_json(tmp_path / "out" / "rows" / "summary.json")
    scored = {row["problem_id"] for row in read_jsonl(tmp_path / "out" / "rows" / "samples.jsonl")}
    assert summary["num_problems"] == len(scored) < 30
    assert f"{30 - len(scored)} of 30 problems are left out: the model refuses them" in ran.err
