"""What a pre-flight check looks at: completions of the policy, what the rewards gave them, and the shares that matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from open_r1.records import Outcome
from open_r1.rewards.combination import has_failed, zero_variance_share
from open_r1.rewards.spec import WELL_FORMED, Kind, RewardSpec

MIN_PROMPTS, MIN_COMPLETIONS = 32, 256
"""A sample must have so many before training is refused for what it shows: what none of 256 independent completions does,
fewer than 1.2 % do, with a confidence of 95 %."""

NO_ANSWER = frozenset({"no_answer", "unparsable_answer"})


@dataclass(frozen=True)
class PolicyCompletion:
    """One completion of the policy; `prompt` is what the model saw, `special_tokens` are those that do not end it."""

    prompt: str
    text: str
    num_tokens: int
    is_truncated: bool
    special_tokens: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoldCheck:
    """How many gold answers were checked, and those that can't be read, as (row, text)."""

    num_checked: int = 0
    unreadable: tuple[tuple[int, str], ...] = ()

    @property
    def share(self) -> float:
        """Share of the checked gold answers that can't be read; 0 where none was checked."""
        return len(self.unreadable) / self.num_checked if self.num_checked else 0.0


@dataclass(frozen=True)
class PolicySample:
    """What the policy wrote and what the rewards gave it; completions and outcomes stand group by group.

    Args:
        outcomes, specs: For each reward, by its `__name__`, an outcome a completion, and what it declares.
        weighted: The rewards whose weight is ever other than 0.
        max_tokens: Length at which completions are cut off.
        leaves_out_truncated: Whether completions that are cut off carry no loss.
        golds: What a check of the data's gold answers found.
        best: For each reward with an example that satisfies it, the outcome of that example.
        decoded: For each reward that looks at tags, the same after the example went through the tokenizer.
        num_problems: Problems there are to sample from.
    """

    completions: Sequence[PolicyCompletion]
    outcomes: Mapping[str, Sequence[Outcome]]
    specs: Mapping[str, RewardSpec]
    group_size: int
    weighted: frozenset[str]
    max_tokens: int
    leaves_out_truncated: bool = False
    max_unscored_share: float = 0.5
    golds: GoldCheck = GoldCheck()
    best: Mapping[str, Outcome] = field(default_factory=dict)
    decoded: Mapping[str, Outcome] = field(default_factory=dict)
    num_problems: int = MIN_PROMPTS

    def joined(
        self, completions: Sequence[PolicyCompletion], outcomes: Mapping[str, Sequence[Outcome]]
    ) -> PolicySample:
        """This sample with more completions behind its own."""
        both = {name: [*found, *outcomes[name]] for name, found in self.outcomes.items()}
        return replace(self, completions=[*self.completions, *completions], outcomes=both)

    def of_kind(self, *kinds: Kind) -> list[str]:
        """Names of the rewards of these kinds, in their order."""
        return [name for name in self.outcomes if self.specs[name].kind in kinds]

    @property
    def num_prompts(self) -> int:
        """Prompts in the sample, each with `group_size` completions."""
        return len(self.completions) // self.group_size

    @property
    def is_evidence(self) -> bool:
        """Whether the sample is large enough to refuse training for what it shows."""
        return self.num_prompts >= min(MIN_PROMPTS, self.num_problems) and len(self.completions) >= MIN_COMPLETIONS

    @cached_property
    def mean_tokens(self) -> float:
        """Mean length of a completion, in tokens."""
        return sum(completion.num_tokens for completion in self.completions) / len(self.completions)

    @cached_property
    def truncated_share(self) -> float:
        """Share of the completions that are cut off."""
        return sum(completion.is_truncated for completion in self.completions) / len(self.completions)

    @cached_property
    def judges(self) -> list[str]:
        """The weighted rewards that tell right from wrong."""
        return [name for name in self.outcomes if name in self.weighted and self.specs[name].is_judge]

    @cached_property
    def is_right(self) -> list[bool]:
        """For each completion whether a judge found its answer right, or its program passing a test."""
        return [any(self.specs[name].is_right(self.outcomes[name][place]) for name in self.judges)
                for place in range(len(self.completions))]  # fmt: skip

    @cached_property
    def right_share(self) -> float | None:
        """Share of the completions that are right; None without a judge."""
        return sum(self.is_right) / len(self.completions) if self.judges else None

    @cached_property
    def no_answer_share(self) -> float | None:
        """Share of the completions in which no answer was found or could be read; None where no reward looks for one."""
        for name in self.of_kind("answer")[:1]:
            return sum(outcome.reason in NO_ANSWER for outcome in self.outcomes[name]) / len(self.completions)
        return None

    @cached_property
    def zero_variance_share(self) -> float | None:
        """Share of the groups in which every completion has the same weighted rewards; None where none can be compared."""
        return self.zero_variance_of([name for name in self.outcomes if name in self.weighted])

    def zero_variance_of(self, names: Sequence[str]) -> float | None:
        """Share of the groups in which these rewards give every completion the same; failed completions are left out."""
        samples = zip(*(self.outcomes[name] for name in names), strict=True) if names else [()] * len(self.completions)
        values = [
            None if any(map(has_failed, sample)) else tuple(outcome.value for outcome in sample) for sample in samples
        ]
        return zero_variance_share(values, self.group_size)

    @cached_property
    def keeps_format(self) -> list[bool]:
        """For each completion whether it keeps the format, by the first reward that looks at it; empty without one."""
        for name in self.of_kind("format")[:1]:
            return [outcome.reason == WELL_FORMED for outcome in self.outcomes[name]]
        return []

    @cached_property
    def right_without_format_share(self) -> float | None:
        """Share of the right answers that miss the format; None without a format reward or a right answer."""
        if not self.keeps_format or not any(self.is_right):
            return None
        missed = [not kept for kept, is_right in zip(self.keeps_format, self.is_right, strict=True) if is_right]
        return sum(missed) / len(missed)
