"""What goes wrong in a training is named in words within 20 steps or before the first; held-out accuracy decides the end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_r1.rundir import read_json, read_jsonl

REWARDS = """
def share_of_digits(completions, **columns):
    texts = [completion[0]["content"] for completion in completions]
    return [sum(map(str.isdigit, text)) / max(1, len(text)) for text in texts]

def paid_for_a_word(completions, **columns):
    return [min(1.0, completion[0]["content"].count("7") / 4) for completion in completions]
"""


@pytest.fixture(autouse=True)
def own_rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "guarded_rewards.py").write_text(REWARDS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def mixture(tmp_path: Path, count: int = 96) -> str:
    """Problems that no random model solves, a third of them held out."""
    rows = [{"prompt": f"Say {n}", "solution": f"{n}7193"} for n in range(count)]
    path = write(tmp_path / "problems.jsonl", rows)
    return json.dumps({"datasets": [{"id": str(path)}], "test_split_size": count // 3})


GRPO = (
    "--per_device_train_batch_size 64 --per_device_eval_batch_size 64 --num_generations 8 --max_completion_length 12 "
    "--lr_scheduler_type constant --gradient_checkpointing false --report_to none --logging_steps 1 --save_strategy no "
    "--preflight_prompts 0 --beta 0"
).split()


def grpo(open_r1: Callable[..., Any], model: Path, tmp_path: Path, reward: str, *more: object) -> Any:
    paths = ["--model_name_or_path", model, "--dataset_mixture", mixture(tmp_path), "--output_dir", tmp_path / "out"]
    return open_r1("grpo", *paths, *GRPO, "--reward_funcs", *reward.split(), *more)


def alarms(err: str) -> dict[str, int]:
    """The sentences of alarms, and the step of each."""
    return {text: int(step) for step, text in re.findall(r"alarm at step (\d+): (.*)", err)}


@pytest.mark.slow
def test_a_reward_paid_for_a_word_is_named_within_20_steps(
    open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    often = ("--eval_strategy", "steps", "--eval_steps", 5, "--eval_on_start", "--max_steps", 20)
    ran = grpo(open_r1, tiny_model, tmp_path, "guarded_rewards:paid_for_a_word", "--learning_rate", "1e-2", *often)
    assert ran.status == 0, ran.err
    (named,) = [text for text in alarms(ran.err) if "while held-out accuracy did not" in text]
    assert re.search(r"reward rose from 0\.\d+ to 0\.\d+ .*: 0\.0 \[0\.0, \d+\.\d\] at step 0", named), named


@pytest.mark.slow
def test_a_rate_a_hundred_times_too_high_is_named_within_20_steps_of_grpo(
    open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    ran = grpo(
        open_r1, tiny_model, tmp_path, "guarded_rewards:share_of_digits", "--learning_rate", 1, "--max_steps", 20
    )
    assert ran.status == 0, ran.err
    assert any("lower learning_rate" in text.lower() for text in alarms(ran.err)), ran.err
    assert len(alarms(ran.err)) == len(re.findall("alarm at step", ran.err))


@pytest.mark.slow
def test_a_healthy_run_raises_no_alarm(open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path) -> None:
    ran = grpo(
        open_r1, tiny_model, tmp_path, "guarded_rewards:share_of_digits", "--learning_rate", "1e-2", "--max_steps", 20
    )
    assert ran.status == 0, ran.err
    assert not {text for text in alarms(ran.err) if "cut off" not in text}, ran.err


def sft(open_r1: Callable[..., Any], model: Path, tmp_path: Path, *more: object) -> Any:
    rows = [
        {"messages": [{"role": "user", "content": f"{n}+1"}, {"role": "assistant", "content": f"It is {n + 1}."}]}
        for n in range(90)
    ]
    words = (
        "--per_device_train_batch_size 8 --max_steps 20 --logging_steps 1 --save_strategy no --report_to none "
        "--gradient_checkpointing false --lr_scheduler_type constant"
    ).split()
    paths = ["--model_name_or_path", model, "--dataset_name", write(tmp_path / "traces.jsonl", rows)]
    return open_r1("sft", *paths, *words, "--output_dir", tmp_path / "out", *more)


@pytest.mark.parametrize(("rate", "is_named"), [("1e-2", False), ("1", True)])
def test_a_rate_a_hundred_times_too_high_is_named_within_20_steps_of_sft(
    rate: str, is_named: bool, open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    ran = sft(open_r1, tiny_model, tmp_path, "--learning_rate", rate)
    assert ran.status == 0, ran.err
    assert any("lower learning_rate" in text for text in alarms(ran.err)) == is_named, ran.err


@pytest.mark.slow
def test_completions_cut_at_8_tokens_are_named_before_the_first_step_and_by_the_guards_without_that_check(
    open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    short = ("--max_completion_length", 8, "--learning_rate", "1e-4", "--max_steps", 4)
    checked = grpo(open_r1, tiny_model, tmp_path, "accuracy", *short, "--preflight_prompts", 8)
    assert checked.status == 2
    assert "completions were cut off at max_completion_length = 8" in checked.err, checked.err
    ran = grpo(open_r1, tiny_model, tmp_path, "accuracy guarded_rewards:share_of_digits", *short)
    (step,) = [step for text, step in alarms(ran.err).items() if "of the completions are cut off" in text]
    assert step == 3


def test_a_missing_gold_column_is_named_before_a_model_is_loaded(open_r1: Callable[..., Any], tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", [{"prompt": "Say 1", "result": "1"}])
    paths = ["--model_name_or_path", tmp_path / "none", "--dataset_name", data, "--output_dir", tmp_path / "out"]
    ran = open_r1("grpo", *paths, *GRPO, "--reward_funcs", "accuracy")
    assert ran.status == 2
    assert "reward 'accuracy' needs the column 'solution'" in ran.err


def test_a_template_that_removes_the_thinking_is_named_before_the_first_step(
    open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    template = (
        "{%- for message in messages %}{{- '<|im_start|>' + message['role'] + '\n' }}"
        "{%- if message['role'] == 'assistant' %}"
        "{%- generation %}{{- message['content'].split('</think>')[-1] + '<|im_end|>' }}{%- endgeneration %}{{- '\n' }}"
        "{%- else %}{{- message['content'] + '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
    )
    ran = sft(open_r1, tiny_model, tmp_path, "--chat_template", template)
    assert ran.status == 2
    assert "the chat template drops the thinking" in ran.err, ran.err


@pytest.mark.slow
def test_training_keeps_the_best_checkpoint_stops_early_and_goes_on_as_if_it_had_not_looked(
    open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    """The accuracy of a model that solves nothing never rises, so the first evaluation stays the best."""
    words = ("--learning_rate", "1e-3", "--max_steps", 8, "--save_strategy", "steps", "--save_steps", 2)
    watched = ("--eval_strategy", "steps", "--eval_steps", 2, "--num_generations_eval", 4)
    best = ("--load_best_model_at_end", "--early_stopping_patience", 2)
    reward = "guarded_rewards:share_of_digits"

    def run(name: str, *more: object) -> tuple[Any, dict[int, Any]]:
        ran = grpo(open_r1, tiny_model, tmp_path, reward, *words, *more, "--output_dir", tmp_path / name)
        assert ran.status == 0, ran.err
        rows = read_jsonl(tmp_path / name / "metrics.jsonl")
        return ran, {row["step"]: row["reward"] for row in rows if "reward" in row}

    _, plain = run("plain")
    _, seen = run("watched", *watched)
    assert seen == plain
    ran, stopped = run("stopped", *watched, *best)
    assert list(stopped) == [1, 2, 3, 4, 5, 6]
    assert "step 6: stopping early, eval_accuracy has not exceeded 0 for 2 evaluations" in ran.err
    rows = [row for row in read_jsonl(tmp_path / "stopped" / "metrics.jsonl") if "eval_accuracy" in row]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert all(row["eval_accuracy_low"] == 0 < row["eval_accuracy_high"] < 0.2 for row in rows)
    state = read_json(tmp_path / "stopped" / "checkpoint-6" / "trainer_state.json")
    assert state["best_model_checkpoint"].endswith("checkpoint-2")
