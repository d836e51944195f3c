"""Weighing several rewards into one, with weights that may change while training goes on.

In a recipe, by position or by name, each weight a number or a schedule over training progress (0 at the start, 1 at
the end):

    reward_weights: [0.4, 0.3]
    reward_weights:
      accuracy: 0.4                                                # constant
      format: {schedule: linear, from: 0.4, to: 0.0, end: 0.5}     # reaches 0 at half of training and stays there
      tag_count: {schedule: cosine, from: 0.2, to: 0.0}
      cosine: {schedule: step, values: [0.0, 0.5, 1.0], at: [0.2, 0.6]}
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from open_r1.errors import ConfigError, RunError, nearest
from open_r1.records import Outcome
from open_r1.rewards.base import NOT_APPLICABLE

SCHEDULE_KEYS: dict[str, frozenset[str]] = {
    "constant": frozenset({"value"}),
    "linear": frozenset({"from", "to", "start", "end"}),
    "cosine": frozenset({"from", "to", "start", "end"}),
    "step": frozenset({"values", "at"}),
}


@dataclass(frozen=True)
class Schedule:
    """A weight over training progress: its levels, and the progress at which it begins and ends to change, or steps."""

    kind: str
    values: tuple[float, ...]
    moments: tuple[float, ...] = ()

    def at(self, progress: float) -> float:
        """The weight at `progress` in [0, 1]; outside it is taken as 0 or 1."""
        progress = min(1.0, max(0.0, progress))
        if self.kind in {"constant", "step"}:
            return self.values[bisect_right(self.moments, progress)]
        first, last = self.values
        start, end = self.moments
        share = min(1.0, max(0.0, (progress - start) / (end - start)))
        if self.kind == "cosine":
            share = 0.5 * (1.0 - math.cos(math.pi * share))
        return first + (last - first) * share


@dataclass(frozen=True)
class RewardWeights:
    """A schedule for each reward, in the order of `reward_funcs`."""

    names: tuple[str, ...]
    schedules: tuple[Schedule, ...]

    @classmethod
    def read(cls, weights: Any, names: Sequence[str]) -> RewardWeights:
        """The setting `reward_weights` for the rewards `names`: None (all 1), a list, or a mapping by name."""
        if weights is None:
            weights = [1.0] * len(names)
        if isinstance(weights, Mapping):
            weights = _by_position(weights, names)
        if not isinstance(weights, Sequence) or isinstance(weights, str):
            raise ConfigError(
                f"reward_weights is {weights!r}, neither a list nor a mapping; give one weight for each of "
                f"{', '.join(names)}: [1.0, …], or by name: {{{names[0] if names else 'accuracy'}: 1.0, …}}."
            )
        if len(weights) != len(names):
            raise ConfigError(
                f"reward_weights has {len(weights)} values for {len(names)} rewards ({', '.join(names)}); "
                "give one each, or name them: {accuracy: 1.0, …}."
            )
        return cls(tuple(names), tuple(map(_read_schedule, weights, names)))

    def at(self, progress: float) -> list[float]:
        """The weights at a training progress in [0, 1]."""
        return [schedule.at(progress) for schedule in self.schedules]

    @property
    def are_constant(self) -> bool:
        """Whether no weight changes while training."""
        return all(schedule.kind == "constant" for schedule in self.schedules)


def _by_position(weights: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    for name in weights:
        if name not in names:
            raise ConfigError(
                f"reward_weights names '{name}', which is not among reward_funcs{nearest(str(name), names)} "
                f"The rewards are: {', '.join(names)}."
            )
    if missing := [name for name in names if name not in weights]:
        raise ConfigError(f"reward_weights has no weight for {', '.join(missing)}; add it (0 leaves a reward logged).")
    return [weights[name] for name in names]


def _read_schedule(weight: Any, name: str) -> Schedule:
    if isinstance(weight, int | float) and not isinstance(weight, bool):
        weight = {"value": weight}
    if not isinstance(weight, Mapping):
        raise ConfigError(f"the weight of reward '{name}' must be a number or a schedule, got {weight!r}.")
    kind = str(weight.get("schedule", "constant"))
    if kind not in SCHEDULE_KEYS:
        raise ConfigError(
            f"the weight of reward '{name}' has the unknown schedule '{kind}'{nearest(kind, SCHEDULE_KEYS)} "
            f"Choose one of: {', '.join(SCHEDULE_KEYS)}."
        )
    if unknown := set(weight) - SCHEDULE_KEYS[kind] - {"schedule"}:
        raise ConfigError(
            f"the {kind} weight of reward '{name}' has unknown keys: {', '.join(sorted(map(str, unknown)))}; "
            f"it takes {', '.join(sorted(SCHEDULE_KEYS[kind]))}."
        )
    if kind == "constant":
        return Schedule(kind, (_number(weight.get("value"), name),))
    return _read_step(weight, name) if kind == "step" else _read_curve(kind, weight, name)


def _read_curve(kind: str, weight: Mapping[str, Any], name: str) -> Schedule:
    first, last = _number(weight.get("from"), name), _number(weight.get("to"), name)
    start, end = _number(weight.get("start", 0.0), name), _number(weight.get("end", 1.0), name)
    if not 0.0 <= start < end <= 1.0:
        raise ConfigError(
            f"the weight of reward '{name}' changes from progress {start} to {end}; give 0 ≤ start < end ≤ 1."
        )
    return Schedule(kind, (first, last), (start, end))


def _read_step(weight: Mapping[str, Any], name: str) -> Schedule:
    for key in ("values", "at"):
        if not isinstance(weight.get(key), list | tuple):
            raise ConfigError(
                f"the step weight of reward '{name}' needs a list of numbers as its {key}, got {weight.get(key)!r}; "
                "write values: [0.0, 1.0] and at: [0.5]."
            )
    values, moments = (tuple(_number(value, name) for value in weight[key]) for key in ("values", "at"))
    is_rising = all(earlier < later for earlier, later in pairwise((0.0, *moments)))
    if len(values) != len(moments) + 1 or not is_rising or max(moments, default=0.0) > 1.0:
        raise ConfigError(
            f"the step weight of reward '{name}' has {len(values)} values and steps at {list(moments)}; give rising "
            "steps above 0 and up to 1, and one value more than there are steps."
        )
    return Schedule("step", values, moments)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"the weight of reward '{name}' needs a finite number where it has {value!r}.")
    return float(value)


def combine(outcomes: Sequence[Sequence[Outcome]], weights: Sequence[float]) -> list[Outcome]:
    """The weighted sum for each sample; `outcomes` has one row a reward.

    A sample is unscored when a reward with a weight failed on it, for a sum without it would be another quantity; a
    reward that has nothing to say about a sample ("not_applicable") is left out, unless all are.
    """
    return [_combine_one(sample, weights) for sample in zip(*outcomes, strict=True)]


def _combine_one(sample: Sequence[Outcome], weights: Sequence[float]) -> Outcome:
    weighted = [(outcome, weight) for outcome, weight in zip(sample, weights, strict=True) if weight]
    if failed := [outcome for outcome, _ in weighted if has_failed(outcome)]:
        return failed[0]
    values = [weight * outcome.value for outcome, weight in weighted if outcome.value is not None]
    return Outcome(math.fsum(values), "combined") if values or not weighted else Outcome(None, NOT_APPLICABLE)


@dataclass(frozen=True)
class RewardSummary:
    """One reward over one batch, for the log: mean and population std of the scored samples, None where none is.

    `zero_variance_share` is as the function gives it, `unscored_share` of the samples to which the reward applies.
    """

    mean: float | None
    std: float | None
    zero_variance_share: float | None
    unscored_share: float
    reasons: Mapping[str, int]


def summarise(outcomes: Sequence[Outcome], group_size: int | Sequence[int]) -> RewardSummary:
    """The summary of a batch whose samples stand group by group, `group_size` to a prompt, or as many as it lists."""
    values = [outcome.value for outcome in outcomes if outcome.value is not None]
    mean = math.fsum(values) / len(values) if values else None
    std = None if mean is None else math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    reasons = Counter(outcome.reason for outcome in outcomes)
    no_variance = zero_variance_share([outcome.value for outcome in outcomes], group_size)
    return RewardSummary(mean, std, no_variance, unscored_share(outcomes), reasons)


def zero_variance_share(values: Sequence[Hashable | None], group_size: int | Sequence[int]) -> float | None:
    """Share of the groups whose samples, those with None left out, have all one value; None where no group has two.

    `group_size` is the size of every group, or of each.
    """
    sizes = [group_size] * -(-len(values) // group_size) if isinstance(group_size, int) else group_size
    groups = [values[start:end] for start, end in pairwise(accumulate(sizes, initial=0))]
    scored = [[value for value in group if value is not None] for group in groups]
    comparable = [group for group in scored if len(group) > 1]
    return sum(len(set(group)) == 1 for group in comparable) / len(comparable) if comparable else None


def has_failed(outcome: Outcome) -> bool:
    """Whether a reward should have scored a sample and could not."""
    return outcome.value is None and outcome.reason != NOT_APPLICABLE


def unscored_share(outcomes: Sequence[Outcome]) -> float:
    """The share of samples that a reward should have scored and couldn't; 0 when it applies to none."""
    applicable = [outcome for outcome in outcomes if outcome.reason != NOT_APPLICABLE]
    return sum(not outcome.is_scored for outcome in applicable) / len(applicable) if applicable else 0.0


def list_reasons(outcomes: Iterable[Outcome], most: int | None = None) -> str:
    """Each reason with its count, the commonest first: `wrong 3, no_answer 1`."""
    counts = Counter(outcome.reason for outcome in outcomes)
    return ", ".join(f"{reason} {count}" for reason, count in counts.most_common(most))


def check_unscored_share(name: str, outcomes: Sequence[Outcome], max_share: float) -> None:
    """RunError when more than `max_share` of a batch is unscored: training on the rest would mislead."""
    share = unscored_share(outcomes)
    if share > max_share:
        reasons = list_reasons(filter(has_failed, outcomes))
        raise RunError(
            f"{name}: {share:.0%} of {len(outcomes)} samples could not be scored ({reasons}), more than the "
            f"{max_share:.0%} allowed; fix the cause, or raise max_unscored_share. The same command resumes from the last "
            "checkpoint."
        )
