"""code, binary_code: what a program is worth by the tests in `verification_info`.

Does: take the program out of a completion, have its tests judged, and list the result of each test in the outcome's
details. Does not: run anything outside a provider, or know how tests are written (`execution.verification`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from open_r1.execution.judge.judge import Judge, Submission, Verdict, shared_judge
from open_r1.execution.judge.test_cases import UnusableTestsError, Verification, read_verification
from open_r1.execution.programs import Program, Provider
from open_r1.records import Outcome
from open_r1.rewards.base import NOT_APPLICABLE, Columns, RewardFunction
from open_r1.rewards.spec import Example, RewardSetting, RewardSpec
from open_r1.text.fences import extract_code
from open_r1.text.languages import ALIASES, canonical_language
from open_r1.text.thinking import visible_part

__all__ = ["binary_code_reward", "code_reward", "get_binary_code_reward", "get_code_reward"]

NEEDS = ("verification_info",)

NO_CODE = "no_code"

BINARY_THRESHOLD = 0.99

BATCH_BYTES = 256 << 20
"""Problems are judged together until their tests have this size; one alone may have more."""

MAX_LISTED_TESTS = 200

Score = Callable[[Verdict], Outcome]


class CodeReward:
    """Both rewards' common part: completions and tests in, verdicts out.

    Args:
        make_provider: Gives the provider; called at the first score.
        score: What a verdict is worth.
        stops_early: Whether tests may be left out once enough have failed for a 0.
        test_batch_size: With `stops_early`, how many tests run before their results are looked at.
    """

    def __init__(
        self, make_provider: Callable[[], Provider], score: Score, stops_early: bool, test_batch_size: int = 1
    ) -> None:
        self._make_provider = make_provider
        self._score = score
        self._stops_early = stops_early
        self._test_batch_size = test_batch_size
        self._judge: Judge | None = None

    @property
    def judge(self) -> Judge:
        provider = self._make_provider()
        if self._judge is None or self._judge.provider is not provider:
            self._judge = shared_judge(provider)
        return self._judge

    def __call__(self, texts: list[str], columns: Columns) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for batch in _batches(self._read(texts, columns["verification_info"])):
            submissions = [sample for sample in batch if isinstance(sample, Submission)]
            verdicts = iter(self.judge.judge(submissions) if submissions else ())
            outcomes += [sample if isinstance(sample, Outcome) else self._outcome(next(verdicts)) for sample in batch]
        return outcomes

    def _read(self, texts: Sequence[str], infos: Sequence[Any]) -> Iterator[Submission | Outcome]:
        """What is to be judged for each completion, or the outcome of one that isn't; equal neighbours are read once."""
        last, problem = None, Outcome(None, NOT_APPLICABLE)
        for text, info in zip(texts, infos, strict=True):
            if not _are_same(info, last):
                last, problem = info, read_problem(info)
            yield problem if isinstance(problem, Outcome) else self._submission(text, problem)

    def _submission(self, text: str, problem: Verification) -> Submission | Outcome:
        source = extract_code(visible_part(text), problem.language)
        if not source.strip():
            return Outcome(0.0, NO_CODE)
        num_tests = len(problem.tests)
        return Submission(
            Program(source, problem.language),
            problem.tests,
            max_failures=allowed_failures(num_tests) if self._stops_early else None,
            batch_size=self._test_batch_size if self._test_batch_size > 0 else num_tests,
        )

    def _outcome(self, verdict: Verdict) -> Outcome:
        outcome = self._score(verdict)
        return Outcome(outcome.value, outcome.reason, {"tests": list_tests(verdict)})


def read_problem(info: Any) -> Verification | Outcome:
    """A row's tests; or the outcome of every completion for a row without any that can be run."""
    try:
        verification = read_verification(info)
    except UnusableTestsError as error:
        return Outcome(None, error.reason, {"problem": str(error)})
    if verification is None:
        return Outcome(None, NOT_APPLICABLE)
    if canonical_language(verification.language) not in ALIASES:
        return Outcome(None, "unknown_language", {"problem": f"no language is called '{verification.language}'"})
    return verification


def allowed_failures(num_tests: int) -> int:
    """How many of so many tests may fail with still more than 0.99 of them passed."""
    return (num_tests - 1) // 100


def score_share(verdict: Verdict) -> Outcome:
    return Outcome(verdict.share, verdict.reason)


def score_binary(verdict: Verdict) -> Outcome:
    """A program that has failed too many tests is worth 0, also when some of the others are unknown."""
    if verdict.first_failed and verdict.num_failed > allowed_failures(len(verdict.results)):
        return Outcome(0.0, verdict.first_failed.code)
    if verdict.share is None:
        return Outcome(None, verdict.reason)
    return Outcome(1.0 if verdict.share > BINARY_THRESHOLD else 0.0, verdict.reason)


def list_tests(verdict: Verdict) -> list[dict[str, Any]]:
    """Each test's result for the rollout records; what is wrong, in words, for the first that failed or is unknown."""
    tests = []
    for result in verdict.results[:MAX_LISTED_TESTS]:
        milliseconds = {} if result.wall_s is None else {"ms": round(1000 * result.wall_s)}
        is_first = result is verdict.first_failed or result is verdict.first_unknown
        tests.append({"result": result.code, **milliseconds, **({"detail": result.detail} if is_first else {})})
    return tests


def _are_same(info: Any, last: Any) -> bool:
    try:
        return info is last or bool(info == last)
    except (ValueError, RecursionError):  # arrays, which have no single answer
        return False


def _batches(samples: Iterator[Submission | Outcome]) -> Iterator[list[Submission | Outcome]]:
    """The samples in lists whose problems' tests stay within a size, so that memory does."""
    batch: list[Submission | Outcome] = []
    size, last = 0, None
    for sample in samples:
        if isinstance(sample, Submission) and sample.tests is not last:
            last = sample.tests
            added = sum(len(test.input) + len(test.expected) for test in last)
            if batch and size + added > BATCH_BYTES:
                yield batch
                batch, size = [], 0
            size += added
        batch.append(sample)
    yield batch


def get_code_reward(provider: str | Provider = "local", settings: Any = None) -> RewardFunction:
    """The share of tests passed.

    Args:
        provider: Where programs run, or its name: local, e2b, morph, piston, sandbox_fusion, or `module:name`.
        settings: What a named provider is built with: any object with attributes of `GRPOScriptArguments`.
    """
    return RewardFunction("code_reward", CodeReward(provider_maker(provider, settings), score_share, False), NEEDS)


def get_binary_code_reward(
    provider: str | Provider = "local", settings: Any = None, test_batch_size: int = 1
) -> RewardFunction:
    """1 where more than 0.99 of the tests are passed, else 0; tests that can't change that any more are left out.

    Args:
        provider, settings: As for `get_code_reward`.
        test_batch_size: How many tests run before their results are looked at; below 1, all of them.
    """
    scorer = CodeReward(provider_maker(provider, settings), score_binary, True, test_batch_size)
    return RewardFunction("binary_code_reward", scorer, NEEDS)


def provider_maker(provider: str | Provider, settings: Any = None) -> Callable[[], Provider]:
    """Gives the provider when it is needed; of a name, that which the process shares."""

    def make() -> Provider:
        from open_r1.execution.providers import get_provider

        return get_provider(provider, settings) if isinstance(provider, str) else provider

    return make


def checked_provider(name: str, settings: Any) -> Provider:
    """The provider that a recipe names, usable here; ConfigError says what is missing and what to do."""
    provider = provider_maker(name, settings)()
    provider.check()
    return provider


code_reward = get_code_reward()
binary_code_reward = get_binary_code_reward()

ProviderName = Literal["local", "e2b", "morph", "piston", "sandbox_fusion", "executor"]

CODE_PROVIDER = RewardSetting("code_provider", "local", "where the model's programs run", type=ProviderName)
PROVIDER_SETTINGS = (
    RewardSetting(
        "code_packages",
        [],
        "installed packages that Python programs may import in the local sandbox, such as numpy",
        type=list[str],
    ),
    RewardSetting("e2b_router_url", None, "URL of an E2B router", type=str | None),
    RewardSetting("morph_router_url", None, "URL of a Morph router", type=str | None),
    RewardSetting(
        "parallel_code_exec_per_proc",
        2,
        "with e2b or morph and no router, programs that run at the same time per training process",
    ),
)
TEST_BATCH_SIZE = RewardSetting(
    "code_eval_test_batch_size", 1, "tests that run together before their results are looked at; -1: all"
)

EXAMPLE = Example(
    "```python\nprint(sum(map(int, input().split())))\n```",
    {"verification_info": {"language": "python", "test_cases": [{"input": "1 2", "output": "3"}]}},
)

REWARDS = (
    RewardSpec(
        name="code",
        function_name="code_reward",
        build=lambda settings: get_code_reward(checked_provider(settings.code_provider, settings)),
        kind="program",
        summary="the share of a problem's tests that the program passes; unscored if one of them could not be run",
        formula="r = passed / tests; no code 0",
        source="Open-R1; data as in open-r1/verifiable-coding-problems-python",
        needs_columns=NEEDS,
        settings=(CODE_PROVIDER, *PROVIDER_SETTINGS),
        example=EXAMPLE,
        verifies=NEEDS,
    ),
    RewardSpec(
        name="binary_code",
        function_name="binary_code_reward",
        build=lambda settings: get_binary_code_reward(
            checked_provider(settings.code_provider, settings), test_batch_size=settings.code_eval_test_batch_size
        ),
        kind="program",
        summary="1 if the program passes its tests, which are run until too many have failed",
        formula=f"r = 1 if passed / tests > {BINARY_THRESHOLD}, else 0",
        source="Open-R1; data as in open-r1/verifiable-coding-problems-python",
        needs_columns=NEEDS,
        settings=(CODE_PROVIDER, *PROVIDER_SETTINGS, TEST_BATCH_SIZE),
        example=EXAMPLE,
    ),
)
