"""ioi_code: the score of an IOI subtask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from open_r1.execution.contests.case_files import IoiTests
from open_r1.execution.contests.ioi import LANGUAGE, IoiJudge, Subtask, SubtaskResult
from open_r1.execution.contests.rows import Row
from open_r1.execution.programs import Provider
from open_r1.records import Outcome
from open_r1.rewards.base import Columns, RewardFunction
from open_r1.rewards.contest_batch import ContestBatch, rows_of
from open_r1.rewards.functions.code import (
    MAX_LISTED_TESTS,
    NO_CODE,
    PROVIDER_SETTINGS,
    TEST_BATCH_SIZE,
    ProviderName,
    checked_provider,
    provider_maker,
)
from open_r1.rewards.spec import Example, RewardSetting, RewardSpec
from open_r1.text.fences import extract_code
from open_r1.text.thinking import visible_part

__all__ = ["get_ioi_code_reward", "ioi_code_reward"]

NEEDS = ("id", "subtask", "test_names", "time_limit", "memory_limit", "grader_files")
MAY_HAVE = ("year", "task_type", "score", "score_precision", "test_cases")


class IoiScorer:
    """The reward's state: a judge, made when first needed, and the tests."""

    def __init__(self, make_provider: Callable[[], Provider], tests: IoiTests | None, test_batch_size: int) -> None:
        self._make_provider, self._tests, self._batch_size = make_provider, tests, test_batch_size
        self._judge: IoiJudge | None = None

    @property
    def judge(self) -> IoiJudge:
        provider = self._make_provider()
        if self._judge is None or self._judge.provider is not provider:
            self._judge = IoiJudge(provider)
        return self._judge

    @cached_property
    def tests(self) -> IoiTests:
        return self._tests or IoiTests.from_environment()

    def __call__(self, texts: list[str], columns: Columns) -> list[Outcome]:
        codes = [extract_code(visible_part(text), LANGUAGE) for text in texts]

        def judge_all(entries: Sequence[tuple[Subtask, int]]) -> list[Outcome]:
            written = [(subtask, codes[place]) for subtask, place in entries if codes[place].strip()]
            results = iter(self.judge.score(written, self._batch_size))
            return [
                outcome_of(next(results)) if codes[place].strip() else Outcome(0.0, NO_CODE) for _, place in entries
            ]

        return ContestBatch(NEEDS, self._read, judge_all).score(rows_of(columns, (*NEEDS, *MAY_HAVE), len(texts)))

    def _read(self, row: Row) -> Subtask:
        return Subtask.from_row(row, lambda year, problem, names: self.tests.load(year, problem, names))


def outcome_of(result: SubtaskResult) -> Outcome:
    """A subtask's score as a reward, with each test's status."""
    return Outcome(result.score, result.reason, {"tests": list_tests(result)})


def list_tests(result: SubtaskResult) -> list[dict[str, Any]]:
    """Each test's status for the rollout records; why, in words, where it isn't AC."""
    tests = []
    for name, test in list(result.results.items())[:MAX_LISTED_TESTS]:
        status = result.statuses[name]
        points = {"points": test.points} if status == "PA" else {}
        milliseconds = {} if test.wall_s is None else {"ms": round(1000 * test.wall_s)}
        detail = {} if status in ("AC", "SKIPPED") else {"detail": test.detail}
        tests.append({"test": name, "result": status, **points, **milliseconds, **detail})
    return tests


def get_ioi_code_reward(
    provider: str | Provider = "local",
    settings: Any = None,
    test_batch_size: int = 1,
    tests: IoiTests | None = None,
) -> RewardFunction:
    """The reward with other settings.

    Args:
        provider: Where programs run, or its name: local, piston, morph, or another one.
        settings: What a named provider is built with: any object with attributes of `GRPOScriptArguments`.
        test_batch_size: How many tests run before their results are looked at; below 1, all of them.
        tests: Where tests come from that the rows don't have themselves; by default IOI_TESTS_FOLDER or the Hub.
    """
    scorer = IoiScorer(provider_maker(provider, settings), tests, test_batch_size)
    return RewardFunction("ioi_code_reward", scorer, needs_columns=NEEDS)


ioi_code_reward = get_ioi_code_reward()


REWARD = RewardSpec(
    name="ioi_code",
    function_name="ioi_code_reward",
    build=lambda settings: get_ioi_code_reward(
        checked_provider(settings.ioi_provider, settings),
        test_batch_size=settings.code_eval_test_batch_size,
        tests=IoiTests.from_environment(),
    ),
    kind="contest",
    summary="an IOI subtask's score: the least points of its tests",
    formula="r = min over tests, 0 to 1; no code 0",
    source="IOI; data as in open-r1/ioi",
    needs_columns=NEEDS,
    settings=(
        RewardSetting("ioi_provider", "local", "where programs for IOI problems run", type=ProviderName),
        *PROVIDER_SETTINGS,
        TEST_BATCH_SIZE,
    ),
    example=Example(
        "```cpp\n#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }\n```",
        {
            "id": "sum",
            "subtask": "01",
            "test_names": ["01"],
            "time_limit": 2.0,
            "memory_limit": 256,
            "grader_files": [],
            "test_cases": [{"test_name": "01", "input": "1 2", "output": "3"}],
        },
    ),
)
