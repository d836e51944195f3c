"""A reward as TRL calls it, which also logs why each value is what it is, and which samples it failed on.

It scores in a thread of its own, so that all rewards of a step run at the same time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from open_r1.records import Outcome
from open_r1.rewards.base import RewardFunction
from open_r1.rewards.combination import check_unscored_share, has_failed, summarise

logger = logging.getLogger(__name__)

RECENT_OUTCOMES = 256
"""Outcomes of a reward over which the share of unscored ones is watched."""

MOST_DETAILS = 400
"""Characters of an unscored sample's details in a warning."""

LOGGERS = ("log_extra", "log_metric")
"""TRL's keywords for logging. They write to plain dicts, so they are called on the trainer's thread alone."""


class RewardAdapter:
    """TRL awaits all rewards that are coroutine functions together; `log` logs the outcomes in the trainer's thread."""

    def __init__(self, reward: RewardFunction, max_unscored_share: float) -> None:
        self.reward = reward
        self.__name__ = reward.__name__
        self.max_unscored_share = max_unscored_share
        self.recent: deque[Outcome] = deque(maxlen=RECENT_OUTCOMES)
        self.has_failed: list[bool] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self.__name__)
        self._calls: list[Callable[[], None]] = []
        self._waiting: deque[tuple[int, Mapping[str, Any]]] = deque()
        self._early: dict[int, tuple[Mapping[str, Any], Outcome]] = {}
        self._detail_names: set[str] = set()
        self._warned: set[str] = set()

    async def __call__(self, **columns: Any) -> list[float | None]:
        loggers: dict[str, Any] = {name: columns[name] for name in LOGGERS}
        self._calls = []
        columns |= {name: partial(self._call_later, log) for name, log in loggers.items()}
        score = partial(self._score_all, columns)
        outcomes = await asyncio.get_running_loop().run_in_executor(self._thread, score)
        self.has_failed = list(map(has_failed, outcomes))
        self._calls.append(partial(self._log_outcomes, outcomes, *loggers.values()))
        return [outcome.value for outcome in outcomes]

    def score_early(self, place: int, sample: Mapping[str, Any]) -> None:
        """Score a sample in the reward's thread while others are generated; the next call takes its outcome.

        Samples that end while the thread is busy are scored together. `sample` has a value for each column, among them
        prompts, completions and completion_ids; `place` is its place in the next call.
        """
        self._waiting.append((place, sample))
        self._thread.submit(self._score_waiting)

    def _score_waiting(self) -> None:
        count = len(self._waiting)  # others may be added meanwhile
        samples = [self._waiting.popleft() for _ in range(count)]
        if not samples:
            return
        columns = {name: [sample[name] for _, sample in samples] for name in samples[0][1]}
        columns |= dict.fromkeys(LOGGERS, _ignore)
        outcomes = self.reward.score(**columns)
        for (place, sample), outcome in zip(samples, outcomes, strict=True):
            self._early[place] = (sample, outcome)

    def _score_all(self, columns: dict[str, Any]) -> list[Outcome]:
        """An outcome for each sample, those that are known already as they are. In the reward's thread."""
        early, self._early = self._early, {}
        self._waiting.clear()
        ids = columns.get("completion_ids") or []
        known = {
            place: outcome for place, (sample, outcome) in early.items() if ids[place] == sample["completion_ids"]
        }
        if not known:
            return self.reward.score(**columns)
        rest = [place for place in range(len(ids)) if place not in known]
        if rest:
            size = len(ids)
            part = {
                name: [value[place] for place in rest] if isinstance(value, list) and len(value) == size else value
                for name, value in columns.items()
            }
            known |= zip(rest, self.reward.score(**part), strict=True)
        return [known[place] for place in range(len(ids))]

    def log(self) -> None:
        """Log the last call's outcomes, and what the reward itself logged. RunError if too much stays unscored.

        To be called when all rewards are done, so that the log has the same order whichever ended first.
        """
        calls, self._calls = self._calls, []
        for call in calls:
            call()

    def _call_later(self, log: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        self._calls.append(partial(log, *args, **kwargs))

    def _log_outcomes(self, outcomes: Sequence[Outcome], log_extra: Any, log_metric: Any) -> None:
        log_extra(f"{self.__name__}_reason", [outcome.reason for outcome in outcomes])
        self._detail_names.update(name for outcome in outcomes for name in outcome.details)
        for name in sorted(self._detail_names):  # once logged, always: TRL would go on showing the last batch's
            log_extra(f"{self.__name__}_{name}", [detail_text(outcome, name) for outcome in outcomes])
        log_metric(f"rewards/{self.__name__}/unscored", sum(self.has_failed) / len(outcomes))
        for outcome in filter(has_failed, outcomes):
            if outcome.reason not in self._warned:
                self._warned.add(outcome.reason)
                details = json.dumps(outcome.details, ensure_ascii=False, default=str)[:MOST_DETAILS]
                logger.warning(
                    "reward %s leaves samples unscored (%s), the first with %s; further occurrences are logged only in "
                    "the rollouts",
                    self.__name__, outcome.reason, details,
                )  # fmt: skip
        self.recent.extend(outcomes)
        if len(self.recent) == RECENT_OUTCOMES:
            check_unscored_share(self.__name__, list(self.recent), self.max_unscored_share)


def _ignore(*_: Any) -> None:
    """What a reward logs of some samples is logged when all are there; those scored early don't log."""


def detail_text(outcome: Outcome, name: str) -> str | None:
    """One of an outcome's details as a cell of a table: compact JSON, None where it has no such detail."""
    if name not in outcome.details:
        return None
    return json.dumps(outcome.details[name], ensure_ascii=False, separators=(",", ":"), default=str)


UNTELLING = frozenset({"counted", "scored"})
MAX_REASONS = 12
"""A user's reward may give a reason of its own to every sample; beyond the commonest they are counted together."""


def reward_metrics(logs: Mapping[str, Any], group_size: int) -> dict[str, float]:
    """What metrics.jsonl has of each reward beside TRL's mean and std, of one generation batch, from TRL's `_logs`.

    rewards/NAME/zero_variance is the share of the groups in which the reward gave every scored sample the same,
    rewards/NAME/reason/REASON the share of the samples for which this was the reason; one that did not occur has no entry.
    """
    metrics: dict[str, float] = {}
    for name, values in logs["rewards"].items():
        reasons = logs["extra"].get(f"{name}_reason", ())
        reasons = reasons if len(reasons) == len(values) else [None] * len(values)
        outcomes = [
            Outcome(None if math.isnan(value) else value, reason or "scored")
            for value, reason in zip(values, reasons, strict=True)
        ]
        summary = summarise(outcomes, group_size)
        share = summary.zero_variance_share
        metrics[f"rewards/{name}/zero_variance"] = math.nan if share is None else share
        for reason, count in count_reasons(summary.reasons).items():
            metrics[f"rewards/{name}/reason/{reason}"] = count / len(outcomes)
    return metrics


def count_reasons(reasons: Mapping[str, int]) -> dict[str, int]:
    """The commonest reasons that say more than that a value was given, and the rest together as "other"."""
    telling = Counter({reason: count for reason, count in reasons.items() if reason not in UNTELLING})
    counts = dict(telling.most_common(MAX_REASONS))
    if rest := telling.total() - sum(counts.values()):
        counts["other"] = counts.get("other", 0) + rest
    return counts


def add_metrics(held: MutableMapping[str, list[float]], new: Mapping[str, float], generations: int) -> None:
    """Add one generation's metrics to those held since the last log, whose mean will be logged.

    `generations` counts those held, the new one among them; a reason that one of them lacks is 0 there.
    """
    for key in dict.fromkeys([*new, *(key for key in held if "/reason/" in key)]):
        missing = 0.0 if "/reason/" in key else math.nan
        values = held[key]
        values.extend([missing] * (generations - 1 - len(values)))
        values.append(new.get(key, missing))
