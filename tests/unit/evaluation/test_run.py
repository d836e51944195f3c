"""A benchmark's run: exact scores, resumable, refused in words, measured in full."""

from __future__ import annotations

import errno
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedCompleter

from open_r1.errors import ConfigError, DataError, RunError, RunFolderError
from open_r1.estimates import mean
from open_r1.evaluation import EvaluationSettings, Plan, plan_evaluation, run_evaluation
from open_r1.evaluation.backends import Backend, estimate_tokens
from open_r1.evaluation.benchmarks import get_benchmark
from open_r1.evaluation.summary import thinking_tokens
from open_r1.generation import Reply, RequestFailed, Sampling
from open_r1.rundir import read_json, read_jsonl


def write_numbers(path: Path, count: int, gold: Callable[[int], str] = str) -> str:
    rows = ({"problem": f"What is {index}?", "answer": gold(index), "subject": "odd" if index % 2 else "even"}
            for index in range(count))  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def number_in(prompt: str) -> int:
    return int(prompt.split()[2].rstrip("?"))


def right(prompt: str, seed: int) -> str:
    return f"<think>\nso\n</think>\n\\boxed{{{number_in(prompt)}}}"


def backend_of(script: Callable[[str, int], str], context: int | None = None, **options: Any) -> Backend:
    return Backend(ScriptedCompleter(script, **options), context, estimate_tokens)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_evaluation(
        get_benchmark(write_numbers(tmp_path / "numbers.jsonl", 20)), EvaluationSettings(num_samples=4)
    )


def test_every_sample_is_kept_with_its_answer_and_reason(plan: Plan, tmp_path: Path) -> None:
    def script(prompt: str, seed: int) -> str:
        return right(prompt, seed) if number_in(prompt) % 2 else "I would rather not say which number this one is."

    summary = run_evaluation(plan, backend_of(script), tmp_path / "out")
    result = summary["modes"]["sampled"]
    assert result["accuracy"]["value"] == 0.5 and result["accuracy"]["n"] == 20
    assert {group: share["value"] for group, share in result["by"]["subject"].items()} == {"even": 0.0, "odd": 1.0}
    assert result["no_answer_share"] == 0.5 and result["unscored_share"] == 0.0
    assert result["pass_at"]["4"]["value"] == result["maj_at"]["4"]["value"] == 0.5
    rows = read_jsonl(tmp_path / "out" / "samples.jsonl")
    assert [(row["problem_id"], row["sample"]) for row in rows] == [
        (question.id, sample) for question in plan.problems for sample in range(4)
    ]
    assert {(row["extracted_answer"], row["reason"]) for row in rows if row["gold"] in "2357"} == {
        (None, "no_answer"), ("3", "correct"), ("5", "correct"), ("7", "correct")
    }  # fmt: skip
    assert len({row["seed"] for row in rows}) == 80
    assert read_json(tmp_path / "out" / "summary.json") == summary


def test_truncated_thinking_is_wrong_and_counted(plan: Plan, tmp_path: Path) -> None:
    summary = run_evaluation(
        plan, backend_of(lambda prompt, seed: "<think> 7 is \\boxed{7} " + "so " * 40000), tmp_path / "out"
    )
    result = summary["modes"]["sampled"]
    assert (result["accuracy"]["value"], result["truncated_share"], result["no_answer_share"]) == (0.0, 1.0, 1.0)
    assert result["mean_thinking_tokens"] == result["mean_tokens"] == 32768


@pytest.mark.parametrize(
    ("text", "tokens", "thinking"),
    [
        ("<think>12</think>3", 100, 94),
        ("no thinking", 100, 0),
        ("<think>still", 100, 100),
        ("", 0, 0),
        ("<think>x</think>", None, None),
    ],
)
def test_thinking_tokens_are_the_thinkings_share(text: str, tokens: int | None, thinking: int | None) -> None:
    assert thinking_tokens(text, tokens) == thinking


def chance(prompt: str, seed: int) -> str:
    return right(prompt, seed) if random.Random(seed).random() < 0.5 else "\\boxed{-1}"


class Dies(ScriptedCompleter):
    """Goes down after so many answers."""

    def __init__(self, script: Any, answers: int) -> None:
        super().__init__(script, concurrency=1)
        self.left = answers

    async def complete(self, messages: Any, sampling: Sampling) -> Reply:
        self.left -= 1
        if self.left < 0:
            raise RunError("the machine is gone")
        return await super().complete(messages, sampling)


def test_an_interrupted_run_ends_with_the_same_bytes(plan: Plan, tmp_path: Path) -> None:
    run_evaluation(plan, backend_of(chance), tmp_path / "whole")
    for answers in (13, 7, 0):
        with pytest.raises(RunError):
            run_evaluation(plan, Backend(Dies(chance, answers), None, estimate_tokens), tmp_path / "parts")
        assert not (tmp_path / "parts" / "summary.json").exists()
    rest = ScriptedCompleter(chance)
    run_evaluation(plan, Backend(rest, None, estimate_tokens), tmp_path / "parts")
    assert rest.asked == 80 - 13 - 7
    for name in ("summary.json", "samples.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_finished_run_asks_nothing_and_more_samples_add_just_those(plan: Plan, tmp_path: Path) -> None:
    first = run_evaluation(plan, backend_of(chance), tmp_path / "out")
    silent = ScriptedCompleter(chance)
    assert run_evaluation(plan, Backend(silent, None, estimate_tokens), tmp_path / "out") == first
    assert silent.asked == 0
    more = plan_evaluation(plan.benchmark, EvaluationSettings(num_samples=6))
    summary = run_evaluation(more, Backend(silent, None, estimate_tokens), tmp_path / "out")
    assert silent.asked == 40 and summary["modes"]["sampled"]["num_samples"] == 6


def test_other_settings_in_the_same_folder_are_refused(plan: Plan, tmp_path: Path) -> None:
    run_evaluation(plan, backend_of(chance), tmp_path / "out")
    other = plan_evaluation(plan.benchmark, EvaluationSettings(num_samples=4, temperature=1.0))
    with pytest.raises(RunFolderError, match="temperature was 0.6 and is now 1.0.*start over with --overwrite"):
        run_evaluation(other, backend_of(chance), tmp_path / "out")


def test_golds_that_cannot_be_read_are_listed_before_sampling(tmp_path: Path) -> None:
    path = write_numbers(
        tmp_path / "n.jsonl",
        30,
        lambda index: "nothing here could ever count as an answer to anything" if index < 12 else "1",
    )
    told: list[str] = []
    with pytest.raises(
        DataError,
        match=r"12 of 30 problems of n can't be scored: .*no answer can be read.*and 2 more.*--skip_unusable",
    ):
        plan_evaluation(get_benchmark(path), EvaluationSettings())
    plan = plan_evaluation(get_benchmark(path), EvaluationSettings(skip_unusable=True), tell=told.append)
    assert len(plan.problems) == 18 and "12 of 30" in told[0]


def test_tokens_are_capped_to_the_context_and_told(plan: Plan, tmp_path: Path) -> None:
    told: list[str] = []
    summary = run_evaluation(plan, backend_of(right, context=100), tmp_path / "out", tell=told.append)
    capped = summary["settings"]["max_new_tokens"]
    assert capped == 100 - max(estimate_tokens([{"content": question.prompt}]) for question in plan.problems)
    assert "limited to" in told[0] and "32,768 were asked for" in told[0]


def test_a_context_that_is_too_small_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="context of 10 tokens is too small: problem"):
        run_evaluation(plan, backend_of(right, context=10), tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Refuses(ScriptedCompleter):
    async def complete(self, messages: Any, sampling: Sampling) -> Reply:
        if "What is 3?" in messages[-1]["content"]:
            raise RequestFailed("refused", "400: too long")
        return await super().complete(messages, sampling)


def test_samples_that_could_not_be_drawn_are_told_and_tried_again(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"4 of 80 samples could not be generated \(refused × 4\).*open-r1 eval M"):
        run_evaluation(
            plan, Backend(Refuses(right), None, estimate_tokens), tmp_path / "out", command="open-r1 eval M"
        )
    rest = ScriptedCompleter(right)
    run_evaluation(plan, Backend(rest, None, estimate_tokens), tmp_path / "out")
    assert rest.asked == 4


def test_a_full_disk_is_told_and_loses_nothing(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = os.write, []

    def full(descriptor: int, data: Any) -> int:
        if len(written) > 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(data)
        return write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(RunError, match="the disk is full.*run the same command again"):
            run_evaluation(plan, backend_of(chance, concurrency=1), tmp_path / "out", command="open-r1 eval M")
    run_evaluation(plan, backend_of(chance), tmp_path / "out")
    run_evaluation(plan, backend_of(chance), tmp_path / "whole")
    assert (tmp_path / "out" / "summary.json").read_bytes() == (tmp_path / "whole" / "summary.json").read_bytes()


def test_greedy_is_one_sample(plan: Plan) -> None:
    assert plan_evaluation(plan.benchmark, EvaluationSettings(temperature=0)).num_samples == 1
    with pytest.raises(ConfigError, match="temperature 0"):
        plan_evaluation(plan.benchmark, EvaluationSettings(temperature=0, num_samples=2))


@pytest.mark.slow
def test_the_interval_covers_the_truth_93_to_97_times_in_100(tmp_path: Path) -> None:
    """A model whose accuracy on each problem is known, evaluated 200 times: on other problems of the same population.

    The interval is about the population that problems are drawn from, so that is what the truth is taken of.
    """
    source = write_numbers(tmp_path / "numbers.jsonl", 100)
    covered, errors, spread = 0, [], []
    for repetition in range(200):
        rng = random.Random(f"accuracies {repetition}")
        accuracies = [rng.betavariate(2, 1) for _ in range(100)]

        def script(prompt: str, seed: int, accuracies: list[float] = accuracies) -> str:
            is_right = random.Random(seed).random() < accuracies[number_in(prompt)]
            return right(prompt, seed) if is_right else "\\boxed{-1}"

        plan = plan_evaluation(get_benchmark(source), EvaluationSettings(num_samples=4, seed=repetition))
        result = run_evaluation(plan, backend_of(script), tmp_path / str(repetition))["modes"]["sampled"]
        share = result["accuracy"]
        covered += share["low"] <= 2 / 3 <= share["high"]
        spread.append(share["value"])
        errors.append(result["standard_error"])
    print(f"covered {covered} of 200; mean standard error {mean(errors):.4f}")
    assert 0.93 <= covered / 200 <= 0.97
    deviation = (sum((value - mean(spread)) ** 2 for value in spread) / 199) ** 0.5
    assert mean(errors) == pytest.approx(deviation, rel=0.15)
