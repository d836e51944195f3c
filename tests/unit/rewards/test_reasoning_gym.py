from __future__ import annotations

import importlib.util
import json
from dataclasses import replace

import pytest

from open_r1.data.sources import load_splits
from open_r1.errors import ConfigError
from open_r1.execution.sandbox import tiers
from open_r1.rewards.functions import reasoning_gym as module
from open_r1.rewards.functions.reasoning_gym import answer_in
from open_r1.rewards.registry import build_reward

needs_gym = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None or tiers.detect().tier != "A",
    reason="reasoning-gym isn't installed (pip install '.[gym]'), or the sandbox isn't available",
)


def chat(answer: str) -> str:
    return f"<think>\nso\n</think>\n<answer>\n{answer}\n</answer>"


@needs_gym
def test_answers_are_scored_by_the_sets_own_scorer() -> None:
    rows = load_splits("reasoning_gym:chain_sum?size=3&seed=3", None, "train")["train"].to_list()
    columns = [row["reasoning_gym"] for row in rows] * 2 + [None, "{broken", rows[0]["reasoning_gym"]]
    answers = (
        [chat(row["solution"]) for row in rows] + [chat("-1")] * 3 + [chat("1"), chat("1"), "no answer here " * 40]
    )
    outcomes = build_reward("reasoning_gym").score(completions=answers, reasoning_gym=columns)
    assert [outcome.value for outcome in outcomes] == [1, 1, 1, 0, 0, 0, None, None, 0]
    assert [outcome.reason for outcome in outcomes[6:]] == ["not_applicable", "bad_problem", "no_answer"]


@needs_gym
def test_an_answer_that_a_scorer_evaluates_reaches_nothing() -> None:
    """countdown's scorer hands the answer to sympy, which evaluates it: in the box, where there is nothing to reach."""
    row = load_splits("reasoning_gym:countdown?size=1&seed=1", None, "train")["train"][0]
    attack = "__import__('os').system('touch /tmp/escaped')"
    entry = json.loads(row["reasoning_gym"])["entry"]
    assert entry["question"]
    outcome = build_reward("reasoning_gym").score(completions=[chat(attack)], reasoning_gym=[row["reasoning_gym"]])[0]
    assert outcome.value is None or outcome.value < 1


BREAKS = {
    "never ends": "9**9**9**9",
    "leaves": "__import__('os')._exit(3)",
    "dies": "__import__('os').abort()",
    "writes a score": "__import__('os').write(1, b'1.0\\n') and __import__('os')._exit(0)",
    "writes something else": "__import__('os').write(1, b'nan\\n') and __import__('os')._exit(0)",
    "is no text": "\ud800\x00",
    "is deep": "(" * 5000,
    "is long": "1+" * 200_000 + "1",
}


@needs_gym
def test_an_answer_on_which_the_scorer_fails_is_wrong_and_not_unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMITS", replace(module.LIMITS, wall_s=6.0, cpu_s=4.0))
    row = load_splits("reasoning_gym:countdown?size=1&seed=1", None, "train")["train"][0]
    columns = [row["reasoning_gym"]] * (len(BREAKS) + 1)
    answers = [chat(answer) for answer in (*BREAKS.values(), row["solution"])]
    outcomes = build_reward("reasoning_gym").score(completions=answers, reasoning_gym=columns)
    values = dict(zip((*BREAKS, "is right"), (outcome.value for outcome in outcomes), strict=True))
    assert {name: value for name, value in values.items() if value is None or value > 0.5} == {"is right": 1.0}


@needs_gym
def test_a_scorer_that_fails_whatever_the_answer_leaves_it_unscored() -> None:
    broken = {"task": "no such task", "entry": {"answer": "1", "metadata": {}}}
    outcome = build_reward("reasoning_gym").score(completions=[chat("1")], reasoning_gym=[broken])[0]
    assert (outcome.value, outcome.reason) == (None, "scorer_failed")


def test_without_the_library_the_reward_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "reasoning-gym-that-is-not-there")
    module._provider.cache_clear()
    try:
        with pytest.raises(ConfigError, match="isn't installed"):
            build_reward("reasoning_gym")
    finally:
        module._provider.cache_clear()


def test_the_answer_block_is_taken_whole() -> None:
    assert answer_in(chat("1 2\n3 4")) == "1 2\n3 4"
    assert answer_in("<think>x</think> The answer is \\boxed{7}.") == "7"
    assert answer_in("<think>\\boxed{7}") == ""
