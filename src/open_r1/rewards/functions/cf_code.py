"""cf_code: whether a program passes a Codeforces problem's tests, or which share of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from open_r1.execution.contests.case_files import GeneratedTests
from open_r1.execution.contests.codeforces import (
    COMPILE_ERROR,
    NO_CODE_VALUE,
    SHARE_WEIGHT,
    CodeforcesJudge,
    CodeforcesProblem,
    CodeforcesResult,
    ScoringMode,
    check_scoring_mode,
    submission_language,
)
from open_r1.execution.contests.rows import Row
from open_r1.execution.programs import Provider
from open_r1.records import Outcome
from open_r1.rewards.base import Columns, RewardFunction, optional_column
from open_r1.rewards.contest_batch import ContestBatch, rows_of
from open_r1.rewards.functions.code import (
    CODE_PROVIDER,
    NO_CODE,
    PROVIDER_SETTINGS,
    TEST_BATCH_SIZE,
    checked_provider,
    list_tests,
    provider_maker,
)
from open_r1.rewards.functions.code_format import CODE_LANGUAGE
from open_r1.rewards.spec import Example, RewardSetting, RewardSpec
from open_r1.text.fences import extract_code
from open_r1.text.thinking import visible_part

__all__ = ["cf_code_reward", "get_cf_code_reward"]

NEEDS = ("official_tests", "time_limit", "memory_limit")
MAY_HAVE = (
    "id",
    "contest_id",
    "generated_tests",
    "generated_checker",
    "input_mode",
    "interaction_format",
    "executable",
)


class CodeforcesScorer:
    """The reward's state: a judge, made when first needed, and the generated tests."""

    def __init__(
        self,
        make_provider: Callable[[], Provider],
        mode: ScoringMode,
        test_batch_size: int,
        language: str,
        tests: GeneratedTests | None,
        time_factors: Mapping[str, float] | None,
    ) -> None:
        self._make_provider, self._batch_size = make_provider, test_batch_size
        self._mode: ScoringMode = mode
        self._language, self._tests, self._time_factors = language, tests, time_factors
        self._judge: CodeforcesJudge | None = None

    @property
    def judge(self) -> CodeforcesJudge:
        provider = self._make_provider()
        if self._judge is None or self._judge.provider is not provider:
            self._judge = CodeforcesJudge(provider, time_factors=self._time_factors)
        return self._judge

    @cached_property
    def tests(self) -> GeneratedTests | None:
        return self._tests or GeneratedTests.from_environment()

    def __call__(self, texts: list[str], columns: Columns) -> list[Outcome]:
        names = optional_column(columns, "language", len(texts), self._language)
        languages = [submission_language(str(name)) for name in names]
        codes = [extract_code(visible_part(text), language) for text, language in zip(texts, languages, strict=True)]

        def judge_all(entries: Sequence[tuple[CodeforcesProblem, int]]) -> list[Outcome]:
            written = [(problem, codes[place], languages[place]) for problem, place in entries if codes[place].strip()]
            results = iter(self.judge.score(written, self._mode, self._batch_size))
            return [
                outcome_of(next(results), self._mode) if codes[place].strip() else Outcome(NO_CODE_VALUE, NO_CODE)
                for _, place in entries
            ]

        return ContestBatch(NEEDS, self._read, judge_all).score(rows_of(columns, (*NEEDS, *MAY_HAVE), len(texts)))

    def _read(self, row: Row) -> CodeforcesProblem:
        return CodeforcesProblem.from_row(row, self.tests)


def outcome_of(result: CodeforcesResult, mode: ScoringMode) -> Outcome:
    """A result as a reward, with each test's."""
    return Outcome(result.value(mode), result.reason, {"tests": list_tests(result.verdict)})


def get_cf_code_reward(
    provider: str | Provider = "local",
    settings: Any = None,
    test_batch_size: int = 1,
    scoring_mode: str = "weighted_sum",
    language: str = "python",
    tests: GeneratedTests | None = None,
    time_factors: Mapping[str, float] | None = None,
) -> RewardFunction:
    """The reward with other settings.

    Args:
        provider: Where programs run, or its name: local, piston, morph, or another one.
        settings: What a named provider is built with: any object with attributes of `GRPOScriptArguments`.
        test_batch_size: How many tests run before their results are looked at; below 1, all of them.
        scoring_mode: weighted_sum, pass_fail or partial.
        language: Of samples without a `language` column.
        tests: Where generated tests come from; by default CF_TESTS_FOLDER.
        time_factors: Language -> by how much a problem's time limit is stretched, such as {"python": 3}.
    """
    scorer = CodeforcesScorer(
        provider_maker(provider, settings),
        check_scoring_mode(scoring_mode),
        test_batch_size,
        language,
        tests,
        time_factors,
    )
    return RewardFunction("cf_code_reward", scorer, needs_columns=NEEDS)


cf_code_reward = get_cf_code_reward()


REWARD = RewardSpec(
    name="cf_code",
    function_name="cf_code_reward",
    build=lambda settings: get_cf_code_reward(
        checked_provider(settings.code_provider, settings),
        test_batch_size=settings.code_eval_test_batch_size,
        scoring_mode=settings.code_eval_scoring_mode,
        language=settings.code_language,
        tests=GeneratedTests.from_environment(),
    ),
    kind="contest",
    summary="a Codeforces problem's tests: all passed, or the share of them, or both weighted",
    formula=f"weighted_sum: pass + {SHARE_WEIGHT}·share; pass_fail: 1 or 0; partial: share; no code {NO_CODE_VALUE:g}; "
    f"compile error {COMPILE_ERROR:g}",
    source="Open-R1; data as in open-r1/codeforces",
    needs_columns=NEEDS,
    settings=(
        CODE_PROVIDER,
        *PROVIDER_SETTINGS,
        TEST_BATCH_SIZE,
        RewardSetting("code_eval_scoring_mode", "weighted_sum", "what a verdict is worth", type=ScoringMode),
        CODE_LANGUAGE,
    ),
    example=Example(
        "```python\nprint(sum(map(int, input().split())))\n```",
        {"official_tests": [{"input": "1 2", "output": "3"}], "time_limit": 2.0, "memory_limit": 256.0},
    ),
)
