"""code, binary_code: what a program is worth by the tests in `verification_info`.

Does: take the program out of a completion, have its tests judged, and tell the result of each test in the outcome's
details. Does not: run anything outside a provider, or know how tests are written (`execution.verification`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from open_r1.execution.judge.judge import Judge, Submission, Verdict, shared_judge
from open_r1.execution.judge.test_cases import UnusableTestsError, Verification, read_verification
from open_r1.execution.programs import Program, Provider
from open_r1.records import Outcome
from open_r1.rewards.base import NOT_APPLICABLE, Columns, RewardFunction, RewardSpec, setting
from open_r1.text.fences import ALIASES, extract_code
from open_r1.text.thinking import visible_part

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
    if verification.language not in ALIASES:
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


def checked_provider(settings: Any, setting_name: str = "code_provider") -> Provider:
    """The provider that a recipe's setting names, usable here; ConfigError says what is missing and what to do."""
    provider = provider_maker(setting(settings, setting_name, "local"), settings)()
    provider.check()
    return provider


def _build_code(settings: Any) -> RewardFunction:
    return get_code_reward(checked_provider(settings))


def _build_binary_code(settings: Any) -> RewardFunction:
    batch_size = setting(settings, "code_eval_test_batch_size", 1)
    return get_binary_code_reward(checked_provider(settings), test_batch_size=batch_size)


code_reward = get_code_reward()
binary_code_reward = get_binary_code_reward()

PROVIDER_OPTIONS = (
    "code_provider",
    "code_packages",
    "e2b_router_url",
    "morph_router_url",
    "parallel_code_exec_per_proc",
)

REWARDS = (
    RewardSpec(
        name="code",
        function_name="code_reward",
        build=_build_code,
        summary="the share of a problem's tests that the program passes; unscored if one of them could not be run",
        formula="r = passed / tests; no code 0",
        source="Open-R1; data as in open-r1/verifiable-coding-problems-python",
        needs_columns=NEEDS,
        options=PROVIDER_OPTIONS,
    ),
    RewardSpec(
        name="binary_code",
        function_name="binary_code_reward",
        build=_build_binary_code,
        summary="1 if the program passes its tests, which are run until too many have failed",
        formula=f"r = 1 if passed / tests > {BINARY_THRESHOLD}, else 0",
        source="Open-R1; data as in open-r1/verifiable-coding-problems-python",
        needs_columns=NEEDS,
        options=(*PROVIDER_OPTIONS, "code_eval_test_batch_size"),
    ),
)
