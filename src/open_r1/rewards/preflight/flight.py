"""What a pre-flight check looks at: completions of the policy, what the rewards gave them, and the shares that matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from open_r1.records import Outcome
from open_r1.rewards.base import NOT_APPLICABLE
from open_r1.rewards.functions.format import WELL_FORMED

MIN_PROMPTS, MIN_COMPLETIONS = 32, 256
"""So much must a sample hold before training is refused for what it shows: what none of 256 independent completions does,
fewer than 1.2 % do, with a confidence of 95 %."""

ANSWER_REWARDS = frozenset({"accuracy_reward", "cosine_scaled_reward", "len_reward"})
"""Rewards whose reasons are the answer layer's verdicts."""

PROGRAM_REWARDS = frozenset({"code_reward", "binary_code_reward", "ioi_code_reward", "cf_code_reward"})
FORMAT_REWARDS = frozenset({"format_reward", "graded_format_reward", "think_format_reward", "code_format_reward"})
TAG_REWARDS = FORMAT_REWARDS | {"tag_count_reward"}
"""Rewards that a completion written to the format must satisfy in full."""


@dataclass(frozen=True)
class PolicySample:
    """One completion of the policy. `prompt` is what the model saw, rendered; `strays` are special tokens in it."""

    prompt: str
    completion: str
    num_tokens: int
    is_truncated: bool
    strays: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoldLook:
    """How many gold answers were looked at, and those that can't be read, as (row, text)."""

    looked_at: int = 0
    unreadable: tuple[tuple[int, str], ...] = ()

    @property
    def share(self) -> float:
        return len(self.unreadable) / self.looked_at if self.looked_at else 0.0


@dataclass(frozen=True)
class Flight:
    """What the policy wrote and what the rewards gave it; samples and outcomes stand group by group.

    Args:
        samples: `group_size` completions a prompt.
        outcomes: For each reward, by its `__name__`, an outcome a sample.
        weighted: The rewards whose weight is ever other than 0.
        max_tokens: Length at which completions are cut off.
        leaves_out_truncated: Whether completions that are cut off carry no loss.
        golds: What a look at the data's gold answers found.
        perfect: For each reward that looks at the format, its outcomes on completions written to the format, after they
            went through the tokenizer as the policy's own do.
        num_problems: Problems there are to sample from.
    """

    samples: Sequence[PolicySample]
    outcomes: Mapping[str, Sequence[Outcome]]
    group_size: int
    weighted: frozenset[str]
    max_tokens: int
    leaves_out_truncated: bool = False
    max_unscored_share: float = 0.5
    golds: GoldLook = GoldLook()
    perfect: Mapping[str, Sequence[Outcome]] = field(default_factory=dict)
    num_problems: int = MIN_PROMPTS

    def joined(self, samples: Sequence[PolicySample], outcomes: Mapping[str, Sequence[Outcome]]) -> Flight:
        """This flight with more samples behind its own."""
        both = {name: [*found, *outcomes[name]] for name, found in self.outcomes.items()}
        return replace(self, samples=[*self.samples, *samples], outcomes=both)

    @property
    def num_prompts(self) -> int:
        return len(self.samples) // self.group_size

    @property
    def is_evidence(self) -> bool:
        """Whether the sample is large enough to refuse training for what it shows."""
        return self.num_prompts >= min(MIN_PROMPTS, self.num_problems) and len(self.samples) >= MIN_COMPLETIONS

    @cached_property
    def truncated_share(self) -> float:
        return sum(sample.is_truncated for sample in self.samples) / len(self.samples)

    @cached_property
    def judges(self) -> list[str]:
        """The weighted rewards that tell right from wrong."""
        return [name for name in self.outcomes if name in self.weighted & (ANSWER_REWARDS | PROGRAM_REWARDS)]

    @cached_property
    def is_right(self) -> list[bool]:
        """For each sample whether a judge found its answer right, or its program passing a test."""
        return [any(_is_right(name, self.outcomes[name][index]) for name in self.judges) for index in self.places]

    @cached_property
    def no_answer_share(self) -> float | None:
        """Share of the samples in which no answer was found or could be read; None where no reward looks for one."""
        name = next((name for name in self.outcomes if name in ANSWER_REWARDS), None)
        if name is None:
            return None
        reasons = [outcome.reason for outcome in self.outcomes[name]]
        return sum(reason in ("no_answer", "unparsable_answer") for reason in reasons) / len(reasons)

    @cached_property
    def zero_variance_share(self) -> float | None:
        """Share of the groups in which every sample has the same weighted rewards; None where none can be compared."""
        return self.zero_variance_of([name for name in self.outcomes if name in self.weighted])

    def zero_variance_of(self, names: Sequence[str]) -> float | None:
        """Share of the groups in which these rewards don't tell any two samples apart."""
        samples = [tuple(self.outcomes[name][index] for name in names) for index in self.places]
        kept = [
            None if any(has_failed(outcome) for outcome in sample) else tuple(outcome.value for outcome in sample)
            for sample in samples
        ]
        groups = [kept[start : start + self.group_size] for start in range(0, len(kept), self.group_size)]
        scored = [[values for values in group if values is not None] for group in groups]
        comparable = [values for values in scored if len(values) > 1]
        return sum(len(set(values)) == 1 for values in comparable) / len(comparable) if comparable else None

    @cached_property
    def keeps_format(self) -> list[bool]:
        """For each sample whether it keeps the format, by the first reward that looks at it; empty without one."""
        name = next((name for name in self.outcomes if name in FORMAT_REWARDS), None)
        return [] if name is None else [outcome.reason == WELL_FORMED for outcome in self.outcomes[name]]

    @cached_property
    def right_without_format_share(self) -> float | None:
        """Share of the right answers that miss the format; None without a format reward or a right answer."""
        if not self.keeps_format or not any(self.is_right):
            return None
        missed = [not kept for kept, is_right in zip(self.keeps_format, self.is_right, strict=True) if is_right]
        return sum(missed) / len(missed)

    @property
    def places(self) -> range:
        return range(len(self.samples))


def _is_right(name: str, outcome: Outcome) -> bool:
    if name in PROGRAM_REWARDS:
        return outcome.value is not None and outcome.value > 0
    return outcome.reason == "correct"


def has_failed(outcome: Outcome) -> bool:
    return outcome.value is None and outcome.reason != NOT_APPLICABLE
