"""Rewards as TRL calls them: all at the same time, with reasons and details for the rollouts."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from trl.trainer.utils import is_async_callable

from open_r1.errors import RunError
from open_r1.records import Outcome
from open_r1.rewards import RewardFunction
from open_r1.training import reward_adapter
from open_r1.training.reward_adapter import RewardAdapter

Scorer = Callable[[list[str], Any], list[Outcome]]


class Trainer:
    """What TRL does with async rewards: it awaits them together on a loop in another thread."""

    def __init__(self, *scorers: Scorer, max_unscored_share: float = 1.0) -> None:
        rewards = [RewardFunction(f"reward_{number}", scorer) for number, scorer in enumerate(scorers)]
        self.rewards = [RewardAdapter(reward, max_unscored_share) for reward in rewards]
        self.extra: dict[str, list[Any]] = {}
        self.metrics: dict[str, float] = {}
        self.loggers: set[str] = set()

    def log_extra(self, column: str, values: list[Any]) -> None:
        self.loggers.add(threading.current_thread().name)
        self.extra[column] = values

    def log_metric(self, name: str, value: float) -> None:
        self.loggers.add(threading.current_thread().name)
        self.metrics[name] = value

    def score(self, *texts: str) -> list[list[float | None]]:
        async def gather() -> list[list[float | None]]:
            columns = {"completions": list(texts), "log_extra": self.log_extra, "log_metric": self.log_metric}
            return await asyncio.gather(*(reward(**columns) for reward in self.rewards))

        values = asyncio.run(gather())
        for reward in self.rewards:
            reward.log()
        return values


def constant(value: float) -> Scorer:
    return lambda texts, columns: [Outcome(value, "fine") for _ in texts]


def test_trl_takes_the_reward_for_a_coroutine_function() -> None:
    assert is_async_callable(Trainer(constant(1.0)).rewards[0])


def test_the_rewards_of_a_step_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=30)  # none gets past it before all have come

    def waits_for_the_others(texts: list[str], columns: Any) -> list[Outcome]:
        meeting.wait()
        return [Outcome(1.0, "fine") for _ in texts]

    assert Trainer(*[waits_for_the_others] * 3).score("a") == [[1.0]] * 3


def test_a_reward_that_ends_first_is_logged_in_its_place() -> None:
    first_is_done = threading.Event()

    def slow(texts: list[str], columns: Any) -> list[Outcome]:
        assert first_is_done.wait(30)
        return [Outcome(0.5, "slow") for _ in texts]

    def fast(texts: list[str], columns: Any) -> list[Outcome]:
        first_is_done.set()
        return [Outcome(None, "lost"), Outcome(None, "not_applicable"), Outcome(1.0, "fast")]

    trainer = Trainer(slow, fast)
    assert trainer.score("a", "b", "c") == [[0.5] * 3, [None, None, 1.0]]
    assert list(trainer.extra) == ["reward_0_reason", "reward_1_reason"]
    assert trainer.extra["reward_1_reason"] == ["lost", "not_applicable", "fast"]
    assert trainer.metrics == {"rewards/reward_0/unscored": 0.0, "rewards/reward_1/unscored": pytest.approx(1 / 3)}
    assert trainer.rewards[1].has_failed == [True, False, False]


def test_what_a_reward_logs_itself_is_logged_in_the_trainers_thread() -> None:
    def chatty(texts: list[str], columns: Any) -> list[Outcome]:
        assert threading.current_thread() is not threading.main_thread()
        columns["log_extra"]("mine", [1] * len(texts))
        columns["log_metric"]("mine", 2.0)
        return [Outcome(1.0, "fine") for _ in texts]

    trainer = Trainer(chatty)
    trainer.score("a")
    assert (trainer.extra["mine"], trainer.metrics["mine"]) == ([1], 2.0)
    assert trainer.loggers == {threading.main_thread().name}


def test_details_become_columns_of_compact_json_when_some_outcome_has_them() -> None:
    details = {"tests": [{"result": "passed", "ms": 12}]}
    batches = [
        [Outcome(1.0, "fine"), Outcome(0.0, "fine")],
        [Outcome(1.0, "passed", details), Outcome(0.0, "no_code")],
        [Outcome(0.0, "no_code"), Outcome(0.0, "no_code")],
    ]
    trainer = Trainer(lambda texts, columns: batches.pop(0))
    trainer.score("a", "b")
    assert list(trainer.extra) == ["reward_0_reason"]
    trainer.score("a", "b")
    assert trainer.extra["reward_0_tests"] == ['[{"result":"passed","ms":12}]', None]
    assert json.loads(trainer.extra["reward_0_tests"][0]) == details["tests"]
    trainer.score("a", "b")
    assert trainer.extra["reward_0_tests"] == [None, None], "the last batch's tests must not be shown again"


def test_the_run_stops_when_too_much_stays_unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reward_adapter, "RECENT_OUTCOMES", 4)
    trainer = Trainer(lambda texts, columns: [Outcome(None, "rate_limited")] * 2, max_unscored_share=0.5)
    trainer.score("a", "b")
    with pytest.raises(RunError, match="rate_limited 4"):
        trainer.score("a", "b")


def test_an_error_of_a_reward_reaches_the_trainer() -> None:
    def broken(texts: list[str], columns: Any) -> list[Outcome]:
        raise RunError("the data are gone")

    with pytest.raises(RunError, match="the data are gone"):
        Trainer(constant(1.0), broken).score("a")


def test_why_samples_are_unscored_is_told_once_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    fates = {
        "down": Outcome(None, "provider_down", {"tests": "the service is gone"}),
        "slow": Outcome(None, "timeout"),
        "other": Outcome(None, "not_applicable"),
        "fine": Outcome(1.0, "passed"),
    }
    trainer = Trainer(lambda texts, columns: [fates[text] for text in texts])
    for _ in range(3):
        trainer.score("fine", "down", "down", "other", "slow")
    down, slow = caplog.messages
    assert "reward_0 leaves samples unscored (provider_down)" in down and "the service is gone" in down
    assert "(timeout)" in slow


def early_sample(text: str) -> dict[str, Any]:
    return {"completions": text, "completion_ids": list(map(ord, text)), "prompts": "p"}


def call(adapter: RewardAdapter, texts: list[str]) -> list[float | None]:
    columns = {"completions": texts, "completion_ids": [list(map(ord, text)) for text in texts]}
    columns |= {"prompts": ["p"] * len(texts), "log_extra": lambda *_: None, "log_metric": lambda *_: None}
    return asyncio.run(adapter(**columns))


def test_samples_scored_early_are_scored_once_and_stand_in_their_places() -> None:
    scored: list[str] = []

    def scorer(texts: list[str], columns: Any) -> list[Outcome]:
        scored.extend(texts)
        return [Outcome(float(len(text)), text) for text in texts]

    adapter = RewardAdapter(RewardFunction("lengths", scorer), 1.0)
    for place, text in ((2, "ccc"), (0, "a")):
        adapter.score_early(place, early_sample(text))
    assert call(adapter, ["a", "bb", "ccc"]) == [1.0, 2.0, 3.0]
    assert sorted(scored) == ["a", "bb", "ccc"]
    assert call(adapter, ["a", "dddd"]) == [1.0, 4.0], "what was scored early counts for one call"


def test_an_early_outcome_of_another_completion_does_not_count() -> None:
    adapter = RewardAdapter(
        RewardFunction("lengths", lambda texts, _: [Outcome(float(len(t)), "r") for t in texts]), 1.0
    )
    adapter.score_early(0, early_sample("aaaa"))
    assert call(adapter, ["b"]) == [1.0]


def test_an_error_while_scoring_early_is_raised_where_all_are_scored() -> None:
    def scorer(texts: list[str], columns: Any) -> list[Outcome]:
        raise RunError("the service is down")

    adapter = RewardAdapter(RewardFunction("broken", scorer), 1.0)
    adapter.score_early(0, early_sample("a"))
    with pytest.raises(RunError, match="the service is down"):
        call(adapter, ["a"])
