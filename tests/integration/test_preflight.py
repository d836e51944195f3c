"""The pre-flight check as training begins with it: what it finds, and that it changes nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_training_options import launch

from open_r1.rundir import read_json, read_jsonl
from open_r1.text.tags import TAGS

REWARDS = """
import threading

def by_length(completions, **columns):
    return [len(completion[0]["content"]) / 10 for completion in completions]

def constant(completions, **columns):
    return [0.5] * len(completions)

meeting = threading.Barrier(2, timeout=60)

def one(completions, **columns):
    meeting.wait()
    columns["log_metric"]("mine", 1.0)
    return [len(completion[0]["content"]) for completion in completions]

def other(completions, **columns):
    assert threading.current_thread() is not threading.main_thread()
    assert columns["trainer_state"].max_steps > 0
    meeting.wait()
    return [0.5] * len(completions)
"""
OF_THE_CLOCK = ("step_time", "memory_gb", "tokens_per_second", "train_runtime", "train_samples_per_second",
                "train_steps_per_second")  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Problems whose answers no random model hits upon."""
    rows = [
        {"prompt": f"{a}1+{b}777", "solution": str(10 * a + 1000 * b + 778)} for a in range(1, 10) for b in range(9)
    ]
    return write(tmp_path / "data.jsonl", rows)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def own_rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "preflight_rewards.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def words(model: Path, data: Path, out: Path, *more: object, group: int = 2) -> list[str]:
    return [
        str(word)
        for word in [
            "grpo", "--model_name_or_path", model, "--dataset_name", data, "--output_dir", out, "--max_steps", 4,
            "--per_device_train_batch_size", 8, "--gradient_checkpointing", "false", "--report_to", "none",
            "--logging_steps", 1, "--save_steps", 2, "--learning_rate", "1e-2", "--num_generations", group,
            "--max_completion_length", 8, *more,
        ]
    ]  # fmt: skip


LEARNS = ("--reward_funcs", "preflight_rewards:by_length")


def results(out: Path) -> dict[str, Any]:
    """What the check must not change: weights, rollouts, metrics."""
    import pyarrow.parquet

    rows = [
        {key: value for key, value in row.items() if key not in OF_THE_CLOCK and not key.startswith("seconds/")}
        for row in read_jsonl(out / "metrics.jsonl")
    ]
    rollouts = [pyarrow.parquet.read_table(path).to_pylist() for path in sorted((out / "rollouts").iterdir())]
    return {"weights": read_json(out / "done.json")["weights"], "rollouts": rollouts, "metrics": rows}


def test_training_ends_where_it_ends_without_the_check(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, prompts in (("with", 8), ("without", 0)):
        ran = open_r1(*words(tiny_model, data, tmp_path / name, *LEARNS, "--preflight_prompts", prompts))
        assert ran.status == 0, ran.err
        assert ("pre-flight: 8 problems x 2 completions" in ran.err) == (name == "with")
        assert (tmp_path / name / "preflight.json").exists() == (name == "with")
    unchecked = results(tmp_path / "without")
    assert results(tmp_path / "with") == unchecked
    assert any(row["loss"] for row in unchecked["metrics"] if "loss" in row)

    from open_r1.training import preflight

    @contextmanager
    def disturbed(trainer: Any) -> Iterator[None]:
        yield

    monkeypatch.setattr(preflight, "undisturbed", disturbed)
    assert open_r1(*words(tiny_model, data, tmp_path / "disturbed", *LEARNS)).status == 0
    assert results(tmp_path / "disturbed")["weights"] != unchecked["weights"]


def test_a_run_that_goes_on_is_not_checked_again(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = words(tiny_model, data, out, *LEARNS)
    assert open_r1(*command).status == 0
    unbroken = results(out)
    for left in ("checkpoint-2", None):  # killed after a checkpoint, and before the first
        for path in out.glob("checkpoint-*"):
            if path.name != left:
                shutil.rmtree(path)
        (out / "done.json").unlink()
        ran = open_r1(*command)
        assert ran.status == 0, ran.err
        assert "pre-flight" not in ran.err
        assert results(out)["weights"] == unbroken["weights"]
    assert "pre-flight: 8" in open_r1(*command, "--overwrite_output_dir", "true").err


def test_a_policy_that_gets_nothing_right_is_refused_and_its_folder_stays_free(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = open_r1(*words(tiny_model, data, out, group=8))
    assert ran.status == 2
    assert "pre-flight: 32 problems x 8 completions" in ran.err
    assert "of the completions were cut off at max_completion_length = 8 tokens" in ran.err
    assert "none of 256 completions of 32 problems is right by accuracy_reward" in ran.err
    assert "for example: " in ran.err
    assert not out.exists() or not [path for path in out.iterdir() if not path.name.startswith(".")]
    ran = open_r1(*words(tiny_model, data, out, *LEARNS, group=8))
    assert ran.status == 0, ran.err


def test_a_refusal_leaves_the_run_that_was_to_be_overwritten(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert open_r1(*words(tiny_model, data, out, *LEARNS, group=8)).status == 0
    before = results(out)
    ran = open_r1(*words(tiny_model, data, out, "--overwrite_output_dir", "true", group=8))
    assert ran.status == 2
    assert results(out) == before
    ran = open_r1(
        *words(tiny_model, data, out, "--overwrite_output_dir", "true", "--preflight_prompts", 0, group=8),
        "--log_completions", "true",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert results(out)["weights"] != before["weights"]
    assert len(list((out / "completions").iterdir())) == 4


@pytest.fixture
def swallowing_model(tiny_model: Path, tmp_path: Path) -> Path:
    """A model whose tokenizer has the tags as special tokens, which decoding leaves out."""
    from transformers import AutoTokenizer

    folder = shutil.copytree(tiny_model, tmp_path / "swallowing")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", *TAGS]})
    tokenizer.save_pretrained(folder)
    return folder


def test_tags_that_decoding_swallows_are_refused_where_a_reward_counts_them(
    open_r1: Callable[..., Any], tiny_model: Path, swallowing_model: Path, data: Path, tmp_path: Path
) -> None:
    rewards = ("--reward_funcs", "preflight_rewards:by_length")
    ran = open_r1(*words(swallowing_model, data, tmp_path / "out", *rewards, "format"))
    assert ran.status == 2
    assert "a completion written to the format gets 0.0 from format_reward (does_not_start_with_think)" in ran.err
    assert open_r1(*words(swallowing_model, data, tmp_path / "free", *rewards)).status == 0
    assert open_r1(*words(tiny_model, data, tmp_path / "sound", *rewards, "format")).status == 0


PREFILL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\nLet me see.{% endif %}"
)


def test_a_template_that_begins_the_thinking_is_refused_where_a_reward_counts_its_tag(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    template = ("--chat_template", PREFILL)
    ran = open_r1(*words(tiny_model, data, tmp_path / "out", *LEARNS, "format", "tag_count", *template))
    assert ran.status == 2
    assert "gets 0.0 from format_reward" in ran.err
    assert "gets 0.75 from tag_count_reward" in ran.err
    assert open_r1(*words(tiny_model, data, tmp_path / "free", *LEARNS, *template)).status == 0


def test_golds_that_can_t_be_read_are_listed(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    rows[7]["solution"] = None
    ran = open_r1(*words(tiny_model, write(tmp_path / "one.jsonl", rows), tmp_path / "out"))
    assert ran.status == 0, ran.err
    assert "1 of 81 gold answers checked can't be read, the first in row 7: 'None'" in ran.err
    assert read_json(tmp_path / "out" / "preflight.json")["unreadable_golds"] == [{"row": 7, "gold": "None"}]
    many = [row | {"solution": "" if index % 3 else row["solution"]} for index, row in enumerate(rows)]
    ran = open_r1(*words(tiny_model, write(tmp_path / "many.jsonl", many), tmp_path / "out2"))
    assert ran.status == 2
    assert "54 of 81 gold answers checked can't be read" in ran.err


def test_a_reward_without_variance_is_warned_of(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    ran = open_r1(*words(tiny_model, data, tmp_path / "out", "--reward_funcs", "preflight_rewards:constant"))
    assert ran.status == 0, ran.err
    assert "no group has completions of different reward (32 groups sampled)" in ran.err
    record = read_json(tmp_path / "out" / "preflight.json")
    assert record["zero_variance_share"] == 1.0
    assert {found["kind"] for found in record["findings"]} >= {"no_variance", "constant"}


@pytest.mark.parametrize("alone", [(), ("--preflight",)])
def test_rewards_are_called_as_in_training(
    alone: tuple[str, ...], open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    rewards = ("--reward_funcs", "preflight_rewards:one", "preflight_rewards:other")
    ran = open_r1(*words(tiny_model, data, tmp_path / "out", *rewards, *alone))
    assert ran.status == 0, ran.err
    assert "pre-flight: 8 problems" in ran.err


def test_settings_of_rewards_that_do_nothing_are_told(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    ran = open_r1(*words(tiny_model, data, tmp_path / "out", *LEARNS, "soft_overlong_punishment"))
    assert "soft_overlong_punishment begins at 12288 tokens" in ran.err
    assert "set max_completion_len 8" in ran.err


def test_the_check_alone_leaves_nothing_and_says_what_it_found(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = open_r1(*words(tiny_model, data, out, *LEARNS, "--preflight", "--json"))
    assert ran.status == 0, ran.err
    record = json.loads(ran.out)
    assert (record["prompts"], record["completions"]) == (8, 16)
    assert "nothing was trained" in ran.err
    assert not out.exists()
    ran = open_r1(*words(tiny_model, data, out, "--preflight", "--json", group=8))
    assert ran.status == 2
    assert {found["kind"] for found in json.loads(ran.out)["findings"] if found["refused"]} == {"nothing_right"}
    ran = open_r1(*words(tiny_model, data, out, "--preflight", "--preflight_prompts", 0))
    assert ran.status == 2
    assert "preflight_prompts is 0" in ran.err
    ran = open_r1(*words(tiny_model, data, out, "--preflight_prompts", -1))
    assert "preflight_prompts must be at least 0, but is -1" in ran.err


@pytest.mark.slow
def test_two_processes_share_the_check_and_refuse_together(
    repo: Path, tiny_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    script = str(repo / "src" / "open_r1" / "grpo.py")
    small = ("--per_device_train_batch_size", 4)  # so that a group of 8 lies on both processes
    for name, prompts in (("with", 8), ("without", 0)):
        more = (*LEARNS, *small, "--preflight_prompts", prompts)
        ran = launch(script, words(tiny_model, data, tmp_path / name, *more, group=8)[1:], 2)
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr.count("pre-flight: 8 problems x 8 completions") == (name == "with")
    assert results(tmp_path / "with") == results(tmp_path / "without")
    ran = launch(script, words(tiny_model, data, tmp_path / "refused", *small, group=8)[1:], 2)
    assert ran.returncode != 0
    assert ran.stderr.count("pre-flight: 32 problems x 8 completions") == 1
    assert "none of 256 completions of 32 problems is right by accuracy_reward" in ran.stderr
    assert not (tmp_path / "refused" / "identity.json").exists()
