"""code, binary_code: what a program is worth by the tests in `verification_info`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import open_r1.rewards.program_reward as programs
from open_r1.errors import DataError
from open_r1.execution.judge.judge import Judge, Submission, SubmissionResult
from open_r1.execution.judge.test_cases import Verification, read_verification
from open_r1.execution.programs import Program, Provider
from open_r1.records import Outcome
from open_r1.rewards.base import NOT_APPLICABLE, Columns, RewardFunction
from open_r1.rewards.spec import Example, RewardSpec
from open_r1.text.languages import ALIASES, canonical_language

__all__ = ["binary_code_reward", "code_reward", "get_binary_code_reward", "get_code_reward"]

NEEDS = ("verification_info",)

BINARY_THRESHOLD = 0.99


@dataclass
class CodeScorer(programs.ProgramScorer[Verification]):
    """The share of the tests that a program passes; `enforce_same_language` refuses a batch of several languages."""

    needs = NEEDS
    keywords: ClassVar = {**programs.ProgramScorer.keywords, "enforce_same_language": "enforce_same_language"}

    enforce_same_language: bool = False

    def __call__(self, texts: list[str], columns: Columns) -> list[Outcome]:
        if self.enforce_same_language:
            refuse_several_languages(columns["verification_info"])
        return super().__call__(texts, columns)

    def read(self, row: programs.Row) -> tuple[Verification, str] | Outcome:
        """The tests and their language; an outcome without a value where there are none or the language is unknown."""
        verification = read_verification(row["verification_info"])
        if verification is None:
            return Outcome(None, NOT_APPLICABLE)
        if canonical_language(verification.language) not in ALIASES:
            return Outcome(None, "unknown_language", {"problem": f"no language is called '{verification.language}'"})
        return verification, verification.language

    def score(self, judge: Judge, samples: Sequence[programs.Submitted[Verification]]) -> list[Outcome]:
        """Each program's value, with its tests' results."""
        results = judge.judge(
            [self.submission(Program(code, language), problem) for problem, code, language in samples]
        )
        return [Outcome(*self.value(judged), {"tests": programs.list_tests(judged)}) for judged in results]

    def submission(self, program: Program, problem: Verification) -> Submission:
        """The program with all tests of its problem."""
        return Submission(program, problem.tests)

    def value(self, judged: SubmissionResult) -> tuple[float | None, str]:
        """The share of tests passed, None if it is unknown, and the reason."""
        return judged.share, judged.reason


@dataclass
class BinaryCodeScorer(CodeScorer):
    """1 where a program passes more than `BINARY_THRESHOLD` of the tests, else 0; no more tests run than decide it."""

    def submission(self, program: Program, problem: Verification) -> Submission:
        """The program with its tests, which run in batches until too many have failed."""
        count = len(problem.tests)
        size = self.test_batch_size if self.test_batch_size > 0 else count
        return Submission(program, problem.tests, max_failures=allowed_failures(count), batch_size=size)

    def value(self, judged: SubmissionResult) -> tuple[float | None, str]:
        """A program that has failed too many tests is worth 0, also when some of the others are unknown."""
        if judged.first_failed and judged.num_failed > allowed_failures(len(judged.results)):
            return 0.0, judged.first_failed.code
        return None if judged.share is None else float(judged.share > BINARY_THRESHOLD), judged.reason


def refuse_several_languages(infos: Sequence[Any]) -> None:
    """DataError where the problems of a batch are to be solved in more than one language."""
    read = [read_verification(info) for info in infos]
    if len(languages := sorted({canonical_language(one.language) for one in read if one is not None})) > 1:
        raise DataError(
            f"enforce_same_language is set, but the verification_info of this batch has {', '.join(languages)}; give the "
            "problems of one language at a time, or leave it out."
        )


def allowed_failures(num_tests: int) -> int:
    """How many of so many tests may fail with still more than 0.99 of them passed."""
    return (num_tests - 1) // 100


def get_code_reward(provider: str | Provider = "local", settings: Any = None) -> RewardFunction:
    """The share of tests passed; arguments as for `programs.ProgramScorer`."""
    return programs.ProgramReward("code_reward", CodeScorer(provider, settings))


def get_binary_code_reward(
    provider: str | Provider = "local", settings: Any = None, test_batch_size: int = 1
) -> RewardFunction:
    """1 where more than 0.99 of the tests are passed, else 0; arguments as for `programs.ProgramScorer`."""
    return programs.ProgramReward("binary_code_reward", BinaryCodeScorer(provider, settings, test_batch_size))


code_reward = get_code_reward()
binary_code_reward = get_binary_code_reward()

_BOTH = {
    "kind": "program",
    "scores_alone": True,
    "source": "Open-R1; data as in open-r1/verifiable-coding-problems-python",
    "needs_columns": NEEDS,
    "example": Example(
        "```python\nprint(sum(map(int, input().split())))\n```",
        {"verification_info": {"language": "python", "test_cases": [{"input": "1 2", "output": "3"}]}},
    ),
}
REWARDS = (
    RewardSpec(
        name="code",
        build=lambda settings: get_code_reward(programs.checked_provider(settings.code_provider, settings)),
        summary="the share of a problem's tests that the program passes; unscored if one of them could not be run",
        formula="r = passed / tests; no code 0",
        settings=(programs.CODE_PROVIDER, *programs.PROVIDER_SETTINGS),
        verifies=NEEDS,
        **_BOTH,
    ),
    RewardSpec(
        name="binary_code",
        build=lambda settings: get_binary_code_reward(
            programs.checked_provider(settings.code_provider, settings),
            test_batch_size=settings.code_eval_test_batch_size,
        ),
        summary="1 if the program passes its tests, which are run until too many have failed",
        formula=f"r = 1 if passed / tests > {BINARY_THRESHOLD}, else 0",
        settings=(programs.CODE_PROVIDER, *programs.PROVIDER_SETTINGS, programs.TEST_BATCH_SIZE),
        **_BOTH,
    ),
)
