"""What the rewards for programs share: from columns of problems and completions to a judge's outcomes.

Each problem is read once for all its completions, and as many problems are judged together as fit in memory.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, Self, TypeVar

from open_r1.execution.contests.rows import BYTES_PER_MB, ProblemError, Row
from open_r1.execution.judge.judge import Judge, shared_judge
from open_r1.execution.judge.results import SubmissionResult
from open_r1.execution.programs import Provider
from open_r1.execution.providers import get_provider
from open_r1.records import Outcome
from open_r1.rewards.base import NOT_APPLICABLE, Columns, RewardFunction
from open_r1.rewards.spec import RewardSetting
from open_r1.text.fences import extract_code
from open_r1.text.thinking import visible_part

logger = logging.getLogger(__name__)

BATCH_BYTES = 256 * BYTES_PER_MB
"""Problems are judged together until their tests have this size; one alone may have more."""

OF_PROVIDER = {
    "num_parallel": "parallel_code_exec_per_proc",
    "e2b_router_url": "e2b_router_url",
    "morph_router_url": "morph_router_url",
}
"""Keywords of a direct call -> the provider's settings."""

MAX_LISTED_TESTS = 200
NO_CODE = "no_code"

ProviderName = Literal["local", "e2b", "morph", "piston", "sandbox_fusion", "executor"]

CODE_PROVIDER = RewardSetting("code_provider", "local", "where the model's programs run", type=ProviderName)
PROVIDER_SETTINGS = (
    RewardSetting(
        "code_packages", [], "installed packages that Python programs may import in the local sandbox, such as numpy",
        type=list[str],
    ),
    RewardSetting("e2b_router_url", None, "URL of an E2B router", type=str | None),
    RewardSetting("morph_router_url", None, "URL of a Morph router", type=str | None),
    RewardSetting(
        "parallel_code_exec_per_proc", 2,
        "with e2b or morph and no router, programs that run at the same time per training process",
    ),
)  # fmt: skip
TEST_BATCH_SIZE = RewardSetting(
    "code_eval_test_batch_size", 1, "tests that run together before their results are looked at; -1: all"
)


class Judged(Protocol):
    """A problem as its scorer reads it."""

    @property
    def size(self) -> int:
        """Bytes of its tests."""
        ...


Problem = TypeVar("Problem", bound=Judged)


class Submitted(NamedTuple, Generic[Problem]):
    """A program for a problem."""

    problem: Problem
    code: str
    language: str


@dataclass
class ProgramScorer(ABC, Generic[Problem]):
    """A reward's scorer for completions that contain programs.

    Args:
        provider: Where programs run, or its name: local, e2b, morph, piston, sandbox_fusion, or `module:name`.
        settings: What a named provider is built with: any object with attributes of `GRPOScriptArguments`.
        test_batch_size: How many tests run before their results are looked at; below 1, all of them.
    """

    needs: ClassVar[tuple[str, ...]]
    """Columns of a problem. Where a row has none of them, it is another kind of problem."""
    may_have: ClassVar[tuple[str, ...]] = ()
    no_code: ClassVar[Outcome] = Outcome(0.0, NO_CODE)
    keywords: ClassVar[Mapping[str, str]] = {"test_batch_size": "test_batch_size"}
    """Keywords of a direct call, beside the provider's -> the scorer's fields."""

    provider: str | Provider = "local"
    settings: Any = None
    test_batch_size: int = 1
    _judge: Judge | None = field(default=None, init=False)

    @abstractmethod
    def read(self, row: Row) -> tuple[Problem, str] | Outcome:
        """A row's problem and the language to solve it in, or its completions' outcome.

        ProblemError where it can't be judged.
        """

    @abstractmethod
    def score(self, judge: Judge, samples: Sequence[Submitted[Problem]]) -> list[Outcome]:
        """An outcome for each program, in order."""

    def with_keywords(self, given: Mapping[str, Any]) -> Self:
        """The scorer that a direct call's keywords ask for. ConfigError for a provider that can't be used here."""
        changes = {self.keywords[name]: value for name, value in given.items() if name in self.keywords}
        of_provider = {OF_PROVIDER[name]: value for name, value in given.items() if name in OF_PROVIDER}
        if of_provider or "provider_type" in given:
            name = self.provider if isinstance(self.provider, str) else self.provider.name
            settings = SimpleNamespace(**getattr(self.settings, "__dict__", {}) | of_provider)
            provider = checked_provider(given.get("provider_type", name), settings)
            changes |= {"provider": provider, "settings": settings}
        return replace(self, **changes)

    @property
    def judge(self) -> Judge:
        """The provider's judge, which other rewards use too; a named provider is found when it is first needed."""
        provider = get_provider(self.provider, self.settings) if isinstance(self.provider, str) else self.provider
        self._judge = shared_judge(provider)
        return self._judge

    def __call__(self, texts: list[str], columns: Columns) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        waiting: dict[int, Submitted[Problem]] = {}
        size = 0
        for row, places in groups_of(rows_of(columns, (*self.needs, *self.may_have), len(texts))):
            found = self._read(row)
            if isinstance(found, Outcome):
                outcomes |= dict.fromkeys(places, found)
                continue
            problem, language = found
            added = problem.size
            if waiting and size + added > BATCH_BYTES:
                outcomes |= self._judge_all(waiting)
                waiting, size = {}, 0
            size += added
            for place in places:
                code = extract_code(visible_part(texts[place]), language)
                if code.strip():
                    waiting[place] = Submitted(problem, code, language)
                else:
                    outcomes[place] = self.no_code
        outcomes |= self._judge_all(waiting)
        return [outcomes[place] for place in range(len(texts))]

    def _read(self, row: Row) -> tuple[Problem, str] | Outcome:
        if all(row.get(name) is None for name in self.needs):
            return Outcome(None, NOT_APPLICABLE)
        try:
            return self.read(row)
        except ProblemError as error:
            warn_once(error.reason, str(error))
            return Outcome(None, error.reason, {"problem": str(error)})

    def _judge_all(self, waiting: dict[int, Submitted[Problem]]) -> dict[int, Outcome]:
        return dict(zip(waiting, self.score(self.judge, [*waiting.values()]), strict=True)) if waiting else {}


class ProgramReward(RewardFunction):
    """A reward for programs, which a direct call may change by Open-R1's keywords.

    code_reward(completions, verification_info=infos, provider_type="e2b", num_parallel=4)

    A keyword with a list is a column, as always.
    """

    def __init__(self, name: str, scorer: ProgramScorer[Any]) -> None:
        super().__init__(name, scorer, scorer.needs)
        self.scorer = scorer

    def score(self, *args: Any, **columns: Any) -> list[Outcome]:
        """As every reward's; ConfigError for a keyword's value that can't be used."""
        known = ("provider_type", *OF_PROVIDER, *self.scorer.keywords)
        given = {name: columns.pop(name) for name in known if isinstance(columns.get(name), str | int)}
        if not given:
            return super().score(*args, **columns)
        return RewardFunction(self.__name__, self.scorer.with_keywords(given), self.needs_columns).score(
            *args, **columns
        )


def rows_of(columns: Columns, names: Sequence[str], count: int) -> list[Row]:
    """The named columns, those that are there, as a row for each sample."""
    present = {name: columns[name] for name in names if columns.get(name) is not None}
    return [{name: values[place] for name, values in present.items()} for place in range(count)]


def groups_of(rows: Sequence[Row]) -> Iterator[tuple[Row, list[int]]]:
    """Each run of equal rows, which is a prompt's group of completions, with its places."""
    places: list[int] = []
    for place, row in enumerate(rows):
        if places and not _are_same(row, rows[places[0]]):
            yield rows[places[0]], places
            places = []
        places.append(place)
    if places:
        yield rows[places[0]], places


def _are_same(row: Row, other: Row) -> bool:
    try:
        return row == other
    except (ValueError, RecursionError):  # arrays, which have no single answer
        return False


@cache
def warn_once(reason: str, message: str) -> None:
    """Say once why a problem can't be judged."""
    logger.warning("unscored (%s): %s", reason, message)


def list_tests(judged: SubmissionResult) -> list[dict[str, Any]]:
    """Each test's result for the rollout records; what is wrong, in words, for the first that failed or is unknown."""
    tests = []
    for result in judged.results[:MAX_LISTED_TESTS]:
        milliseconds = {} if result.wall_s is None else {"ms": round(1000 * result.wall_s)}
        is_first = result is judged.first_failed or result is judged.first_unknown
        tests.append({"result": result.code, **milliseconds, **({"detail": result.detail} if is_first else {})})
    return tests


def checked_provider(name: str, settings: Any) -> Provider:
    """The provider that a recipe names, usable here; ConfigError says what is missing and what to do."""
    provider = get_provider(name, settings)
    provider.check()
    return provider
