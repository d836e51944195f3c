"""ioi_code: the score of an IOI subtask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import open_r1.rewards.program_reward as programs
from open_r1.execution.contests.case_files import IoiTests
from open_r1.execution.contests.ioi import LANGUAGE, Subtask, SubtaskResult, score_subtasks
from open_r1.execution.judge.judge import Judge
from open_r1.execution.programs import Provider
from open_r1.records import Outcome
from open_r1.rewards.base import RewardFunction
from open_r1.rewards.spec import Example, RewardSetting, RewardSpec

__all__ = ["get_ioi_code_reward", "ioi_code_reward"]

NEEDS = ("id", "subtask", "test_names", "time_limit", "memory_limit", "grader_files")
MAY_HAVE = ("year", "task_type", "score", "score_precision", "test_cases")


@dataclass
class IoiScorer(programs.ProgramScorer[Subtask]):
    """The scores of subtasks. `given_tests` has those that the rows lack, by default of IOI_TESTS_FOLDER or the Hub."""

    needs, may_have = NEEDS, MAY_HAVE

    given_tests: IoiTests | None = None

    @cached_property
    def tests(self) -> IoiTests:
        """Where the tests come from that a row lacks: the caller's, a folder's or the Hub's."""
        return self.given_tests or IoiTests.from_environment()

    def read(self, row: programs.Row) -> tuple[Subtask, str]:
        """The row's subtask with its tests, and the one language in which IOI problems are solved here."""
        return Subtask.from_row(row, lambda year, problem, names: self.tests.load(year, problem, names)), LANGUAGE

    def score(self, judge: Judge, samples: Sequence[programs.Submitted[Subtask]]) -> list[Outcome]:
        """Each program's score of its subtask, with its tests' results."""
        results = score_subtasks(judge, [(subtask, code) for subtask, code, _ in samples], self.test_batch_size)
        return [Outcome(result.score, result.reason, {"tests": list_tests(result)}) for result in results]


def list_tests(result: SubtaskResult) -> list[dict[str, Any]]:
    """Each test's status for the rollout records; why, in words, where it isn't AC."""
    tests = []
    for name, test in list(result.results.items())[: programs.MAX_LISTED_TESTS]:
        status = result.statuses[name]
        points = {"points": test.points} if status == "PA" else {}
        milliseconds = {} if test.wall_s is None else {"ms": round(1000 * test.wall_s)}
        detail = {} if status in ("AC", "SKIPPED") else {"detail": test.detail}
        tests.append({"test": name, "result": status, **points, **milliseconds, **detail})
    return tests


def get_ioi_code_reward(
    provider: str | Provider = "local", settings: Any = None, test_batch_size: int = 1, tests: IoiTests | None = None
) -> RewardFunction:
    """The reward with the settings of `IoiScorer`."""
    return programs.ProgramReward("ioi_code_reward", IoiScorer(provider, settings, test_batch_size, tests))


ioi_code_reward = get_ioi_code_reward()


REWARD = RewardSpec(
    name="ioi_code",
    build=lambda settings: get_ioi_code_reward(
        programs.checked_provider(settings.ioi_provider, settings),
        test_batch_size=settings.code_eval_test_batch_size,
        tests=IoiTests.from_environment(),
    ),
    kind="contest",
    scores_alone=True,
    summary="an IOI subtask's score: the least points of its tests",
    formula="r = min over tests, 0 to 1; no code 0",
    source="IOI; data as in open-r1/ioi",
    needs_columns=NEEDS,
    settings=(
        RewardSetting("ioi_provider", "local", "where programs for IOI problems run", type=programs.ProviderName),
        *programs.PROVIDER_SETTINGS,
        programs.TEST_BATCH_SIZE,
    ),
    example=Example(
        "```cpp\n#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }\n```",
        {
            **{"id": "sum", "subtask": "01", "test_names": ["01"], "time_limit": 2.0, "memory_limit": 256},
            **{"grader_files": [], "test_cases": [{"test_name": "01", "input": "1 2", "output": "3"}]},
        },
    ),
)
