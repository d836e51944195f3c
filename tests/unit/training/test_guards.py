"""Rules of the guards over logged rows: what raises an alarm, what doesn't, and each kind once."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from open_r1.errors import ConfigError
from open_r1.rundir import RunDir, read_jsonl
from open_r1.training.callbacks import EarlyStopCallback
from open_r1.training.guards import GuardCallback, Watch, find_large_steps
from open_r1.training.held_out import check_held_out, means_of_groups
from open_r1.training.parse import parse_stage


def kinds(**metrics: list[Any]) -> dict[str, int]:
    """The kinds of alarm that rows with these values raise, and at which row."""
    watch, raised = Watch(), {}
    for number, values in enumerate(zip(*metrics.values(), strict=True), start=1):
        row = {"step": number, "loss": 0.0, **dict(zip(metrics, values, strict=True))}
        raised |= {alarm.kind: number for alarm in watch.observe(row)}
    return raised


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"loss": [3.0, 2.0, math.nan, math.nan]}, {"nan": 3}),
        ({"loss": [3.0, 2.0], "grad_norm": [1.0, None]}, {"nan": 2}),
        ({"loss": [3.0, 2.0, 1.9, 6.1]}, {"loss_spike": 4}),
        ({"loss": [3.0, 2.0, 1.5, 1.9, 1.4]}, {}),
        ({"reward": [0.5, 0.6, 0.5, 0.6, 0.1, 0.05]}, {"reward_fall": 6}),
        ({"reward": [0.5] * 6, "dynamic_sampling/reward": [0.5, 0.6, 0.5, 0.6, 0.1, 0.05]}, {"reward_fall": 6}),
        ({"reward": [0.1, 0.3, 0.2, 0.4, 0.3, 0.5]}, {}),
        ({"reward": [0.1] * 5, "entropy": [2.0, 2.0, 2.0, 0.1, 0.1]}, {"entropy": 5}),
        ({"reward": [0.1] * 5, "entropy": [0.5, 0.5, 0.5, 3.0, 3.0]}, {"entropy": 5}),
        ({"loss": [1.0] * 5, "entropy": [2.0, 2.0, 2.0, 0.1, 0.1]}, {}),  # of SFT, which is to fall
        ({"reward": [0.1] * 3, "kl": [0.1, 1.5, 2.0]}, {"kl": 3}),
        ({"reward": [0.1] * 5, "completions/mean_length": [100.0, 100.0, 100.0, 400.0, 400.0]}, {"length": 5}),
        ({"reward": [0.1] * 5, "completions/mean_length": [100.0, 100.0, 100.0, 20.0, 20.0]}, {"length": 5}),
        ({"reward": [0.1] * 3, "completions/clipped_ratio": [0.9, 0.8, 0.7]}, {"truncation": 3}),
        ({"reward": [0.1] * 3, "completions/clipped_ratio": [0.9, 0.2, 0.7]}, {}),
        ({"reward": [0.1] * 6, "frac_reward_zero_std": [1.0, 0.9, 1.0, 1.0, 1.0, 1.0]}, {"no_variance": 5}),
    ],
)
def test_a_rule_raises_its_alarm_once_and_no_other(metrics: dict[str, list[Any]], expected: dict[str, int]) -> None:
    assert kinds(**metrics) == expected


@pytest.mark.parametrize(
    ("first", "words"),
    [(0.9, "90% of the completions are cut off; raise max_completion_length"),
     (0.05, "90% of the completions are cut off, 5% at first; lower learning_rate if the reward fell too")],
)  # fmt: skip
def test_completions_that_come_to_be_cut_off_are_not_blamed_on_their_limit_alone(first: float, words: str) -> None:
    watch, raised = Watch(), []
    for step, share in enumerate([first, 0.9, 0.9, 0.9], start=1):
        raised += watch.observe({"step": step, "loss": 0.0, "completions/clipped_ratio": share})
    assert [alarm.text.startswith(words) for alarm in raised] == [True]


def hacked(accuracies: list[list[float]], rewards: list[float]) -> list[str]:
    """The alarms of a run with an evaluation at its first and its last step, each with its accuracies by problem."""
    watch, raised = Watch(), []

    def evaluate(step: int, by_problem: list[float]) -> None:
        share = sum(by_problem) / len(by_problem)
        row = {"eval_accuracy": share, "eval_accuracy_low": share - 0.1, "eval_accuracy_high": share + 0.1}
        raised.extend(alarm.text for alarm in watch.observe({"step": step, **row}, by_problem))

    evaluate(0, accuracies[0])
    for step, reward in enumerate(rewards, start=1):
        raised.extend(alarm.text for alarm in watch.observe({"step": step, "loss": 0.0, "reward": reward}))
    evaluate(len(rewards), accuracies[1])
    return raised


RISING = [0.1, 0.15, 0.2, 0.4, 0.6, 0.7, 0.8, 0.8, 0.8]


def test_reward_up_while_held_out_accuracy_is_flat_is_named_with_its_numbers() -> None:
    flat = [0.0, 0.5, 0.25, 0.0] * 8
    (text,) = hacked([flat, flat], RISING)
    assert text.startswith("reward rose from 0.15 to 0.8 while held-out accuracy did not: 18.8 [8.8, 28.7] at step 0")
    assert hacked([flat, [value + 0.5 for value in flat]], RISING) == []
    assert hacked([flat, flat], [0.1, 0.12, 0.09, 0.11, 0.1, 0.12, 0.1, 0.11, 0.1]) == []


@pytest.mark.parametrize(("held_out_reward", "is_named"), [(0.187, True), (0.09, False), (0.04, False)])
def test_a_rise_that_only_the_held_out_reward_shows_is_named(held_out_reward: float, is_named: bool) -> None:
    watch, raised = Watch(), []
    for step, reward, accuracy in ((0, 0.048, 0.493), (20, held_out_reward, 0.408)):
        row = {"eval_accuracy": accuracy, "eval_accuracy_low": accuracy - 0.05, "eval_accuracy_high": accuracy + 0.05}
        raised += watch.observe({"step": step, "eval_reward": reward, **row})
    named = [alarm.text.startswith("reward rose from 0.048 to 0.187 while held-out accuracy") for alarm in raised]
    assert named == [True] * is_named


CONTROL: Any = SimpleNamespace(should_training_stop=False)


def test_a_run_that_goes_on_does_not_repeat_alarms_and_stops_where_it_is_told_to(tmp_path: Path) -> None:
    run, said = RunDir(tmp_path), []
    rows = [{"step": step, "loss": 1.0, "kl": 3.0} for step in (1, 2, 3)]
    run.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run.alarms.write_text(json.dumps({"step": 2, "alarm": "kl", "text": "KL is high.", "is_grave": True}) + "\n")
    state: Any = SimpleNamespace(global_step=3, is_world_process_zero=True)
    callback = GuardCallback(SimpleNamespace(), run, stops=True, report=said.append)
    callback.on_train_begin(None, state, CONTROL)
    callback.on_log(None, state, CONTROL, {"loss": 1.0, "kl": 4.0})
    assert said == [] and not CONTROL.should_training_stop
    callback.on_log(None, state, CONTROL, {"loss": math.nan})
    assert said[0].startswith("alarm at step 3: loss is not a finite number; lower learning_rate")
    assert said[1:] == ["step 3: guards is stop, so training ends here"] and CONTROL.should_training_stop
    recorded = read_jsonl(run.alarms)[1:]
    assert [(row["step"], row["alarm"], row["is_grave"]) for row in recorded] == [(3, "nan", True)]
    assert said[0] == f"alarm at step 3: {recorded[0]['text']}"


def large_steps_at(rate: float, optim: str = "adamw_torch_fused", **more: Any) -> str:
    model = torch.nn.Sequential(torch.nn.Embedding(50, 16), torch.nn.Linear(16, 16), torch.nn.LayerNorm(16))
    for name, value in more.items():
        setattr(model, name, value)
    for value in model.parameters():
        torch.nn.init.constant_(value, 0.1)
    alarm = find_large_steps(model, SimpleNamespace(learning_rate=rate, optim=optim))
    return "" if alarm is None else alarm.text


def test_a_rate_that_rewrites_the_weights_is_named_before_the_first_step(tmp_path: Path) -> None:
    assert large_steps_at(3e-3) == large_steps_at(3e-1, "sgd") == large_steps_at(3e-1, peft_config={}) == ""
    assert large_steps_at(3e-1).startswith(
        "a step of learning_rate = 0.3 changes each weight by about 300% of its typ"
    )
    run, said = RunDir(tmp_path), []
    state: Any = SimpleNamespace(global_step=0, is_world_process_zero=True)
    settings: Any = SimpleNamespace(learning_rate=1.0, optim="adamw_torch")
    GuardCallback(SimpleNamespace(), run, True, said.append).on_train_begin(
        settings, state, CONTROL, model=torch.nn.Linear(4, 4)
    )
    assert said[0].startswith("alarm at step 0: a step of learning_rate = 1 changes each weight")
    assert [(row["step"], row["alarm"]) for row in read_jsonl(run.alarms)] == [(0, "large_steps")]


def test_an_early_stop_counts_evaluations_without_improvement() -> None:
    said: list[str] = []
    callback = EarlyStopCallback(2, said.append)
    arguments: Any = SimpleNamespace(metric_for_best_model="loss", greater_is_better=False)
    stopped = []
    log: list[dict[str, float]] = []
    for loss in (3.0, 2.0, 2.5, 2.1):
        log.append({"eval_loss": loss})
        control: Any = SimpleNamespace(should_training_stop=False)
        callback.on_evaluate(
            arguments, SimpleNamespace(log_history=log, global_step=9, is_world_process_zero=True), control
        )
        stopped.append(control.should_training_stop)
    assert stopped == [False, False, False, True]
    assert said == ["step 9: stopping early, eval_loss has not fallen below 2 for 2 evaluations"]


def test_means_by_problem_leave_out_what_has_no_value_and_what_fills_up_the_last_batch() -> None:
    found = means_of_groups([1.0, 0.0, math.nan, 1.0, math.nan, math.nan, 9.0, 9.0], num_problems=3, group=2)
    assert found[:2] == [0.5, 1.0] and math.isnan(found[2]) and len(found) == 3


BASE = ["--model_name_or_path", "m", "--dataset_name", "d", "--output_dir", "out"]


def test_settings_of_the_best_model_are_checked_before_anything_is_loaded() -> None:
    evaluated = ["--eval_strategy", "steps", "--eval_steps", "5", "--early_stopping_patience", "3"]
    assert parse_stage("grpo", [*BASE, *evaluated]).training.metric_for_best_model == "accuracy"
    assert parse_stage("sft", [*BASE, *evaluated]).training.metric_for_best_model == "loss"
    with pytest.raises(ConfigError, match="early_stopping_patience counts evaluations, but eval_strategy is no"):
        parse_stage("grpo", [*BASE, "--early_stopping_patience", "3"])
    with pytest.raises(ConfigError, match="early_stopping_patience must be at least 1, but is 0"):
        parse_stage("grpo", [*BASE, *evaluated[:-1], "0"])
    settings = SimpleNamespace(metric_for_best_model="accuracy")
    check_held_out(settings, [], ["prompt", "solution"])
    with pytest.raises(ConfigError, match="no reward judges answers and the data have no column 'solution'"):
        check_held_out(settings, [], ["prompt"])
