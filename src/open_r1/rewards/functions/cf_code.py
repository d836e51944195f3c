"""cf_code: whether a program passes a Codeforces problem's tests, or which share of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import open_r1.rewards.program_reward as programs
from open_r1.execution.contests.case_files import GeneratedTests
from open_r1.execution.contests.codeforces import (
    COMPILE_ERROR,
    NO_CODE_VALUE,
    SHARE_WEIGHT,
    CodeforcesProblem,
    ScoringMode,
    check_scoring_mode,
    patch_code,
    score_programs,
    submission_language,
)
from open_r1.execution.judge.judge import Judge
from open_r1.execution.programs import Provider
from open_r1.records import Outcome
from open_r1.rewards.base import RewardFunction
from open_r1.rewards.functions.code_format import CODE_LANGUAGE
from open_r1.rewards.spec import Example, RewardSetting, RewardSpec

__all__ = ["cf_code_reward", "get_cf_code_reward"]

NEEDS = ("official_tests", "time_limit", "memory_limit")
MAY_HAVE = (
    *("id", "contest_id", "generated_tests", "generated_checker", "input_mode", "interaction_format", "executable"),
)


@dataclass
class CodeforcesScorer(programs.ProgramScorer[CodeforcesProblem]):
    """Codeforces problems' results by a mode. `given_tests` has generated ones, by default those of CF_TESTS_FOLDER.

    `is_patched` adds what submissions often lack (`patch_code`).
    """

    needs, may_have = NEEDS, (*MAY_HAVE, "language")
    no_code = Outcome(NO_CODE_VALUE, programs.NO_CODE)
    keywords: ClassVar = {**programs.ProgramScorer.keywords, "scoring_mode": "mode", "patch_code": "is_patched"}

    mode: ScoringMode = "weighted_sum"
    language: str = "python"
    given_tests: GeneratedTests | None = None
    is_patched: bool = False

    def __post_init__(self) -> None:
        check_scoring_mode(self.mode)

    @cached_property
    def tests(self) -> GeneratedTests | None:
        """Where generated tests come from; None where neither the caller nor the environment names a place."""
        return self.given_tests or GeneratedTests.from_environment()

    def read(self, row: programs.Row) -> tuple[CodeforcesProblem, str]:
        """The row's problem with its tests, generated ones included, and the row's language, or else the reward's."""
        language = row.get("language")
        name = submission_language(self.language if language is None else str(language))
        return CodeforcesProblem.from_row(row, self.tests), name

    def score(self, judge: Judge, samples: Sequence[programs.Submitted[CodeforcesProblem]]) -> list[Outcome]:
        """Each program's value by the scoring mode, with its tests' results."""
        if self.is_patched:
            samples = [one._replace(code=patch_code(one.code, one.language)) for one in samples]
        results = score_programs(judge, samples, self.mode, self.test_batch_size)
        return [
            Outcome(result.value(self.mode), result.reason, {"tests": programs.list_tests(result.judged)})
            for result in results
        ]


def get_cf_code_reward(
    provider: str | Provider = "local",
    settings: Any = None,
    test_batch_size: int = 1,
    scoring_mode: str = "weighted_sum",
    language: str = "python",
    tests: GeneratedTests | None = None,
) -> RewardFunction:
    """The reward with other settings: `programs.ProgramScorer`'s and these.

    Args:
        scoring_mode: weighted_sum, pass_fail or partial.
        language: Of samples without a `language` column.
        tests: Where generated tests come from; by default CF_TESTS_FOLDER.
    """
    options = (check_scoring_mode(scoring_mode), language, tests)
    return programs.ProgramReward("cf_code_reward", CodeforcesScorer(provider, settings, test_batch_size, *options))


cf_code_reward = get_cf_code_reward()


REWARD = RewardSpec(
    name="cf_code",
    build=lambda settings: get_cf_code_reward(
        programs.checked_provider(settings.code_provider, settings),
        test_batch_size=settings.code_eval_test_batch_size,
        scoring_mode=settings.code_eval_scoring_mode,
        language=settings.code_language,
        tests=GeneratedTests.from_environment(),
    ),
    kind="contest",
    scores_alone=True,
    summary="a Codeforces problem's tests: all passed, or the share of them, or both weighted",
    formula=f"weighted_sum: pass + {SHARE_WEIGHT}·share; pass_fail: 1 or 0; partial: share; no code {NO_CODE_VALUE:g}; "
    f"compile error {COMPILE_ERROR:g}",
    source="Open-R1; data as in open-r1/codeforces",
    needs_columns=NEEDS,
    settings=(
        programs.CODE_PROVIDER,
        *programs.PROVIDER_SETTINGS,
        programs.TEST_BATCH_SIZE,
        RewardSetting("code_eval_scoring_mode", "weighted_sum", "what a result is worth", type=ScoringMode),
        CODE_LANGUAGE,
    ),
    example=Example(
        "```python\nprint(sum(map(int, input().split())))\n```",
        {"official_tests": [{"input": "1 2", "output": "3"}], "time_limit": 2.0, "memory_limit": 256.0},
    ),
)
