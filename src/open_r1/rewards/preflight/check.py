"""A sample of the policy with what the rules find in it: as lines for a terminal, as a record, as a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from open_r1.errors import ConfigError, OpenR1Error, RunError
from open_r1.rewards.base import NOT_APPLICABLE
from open_r1.rewards.combination import RewardSummary, summarise
from open_r1.rewards.preflight.rules import RULES, SHOWN_CHARS, Finding
from open_r1.rewards.preflight.sample import PolicySample
from open_r1.rewards.spec import WELL_FORMED
from open_r1.rewards.tables import histogram_bins, summary_table

EXAMPLE_CHARS = 4000
RECORDED = ("mean_tokens", "truncated_share", "no_answer_share", "right_share", "right_without_format_share",
            "zero_variance_share")  # fmt: skip
FINE = frozenset({"correct", WELL_FORMED, "counted", "scored", NOT_APPLICABLE})
"""Reasons that are not failures."""


@dataclass(frozen=True)
class Preflight:
    """A sample and what was found in it."""

    sample: PolicySample
    findings: tuple[Finding, ...]

    @property
    def refusals(self) -> list[Finding]:
        """The findings for which training is refused."""
        return [found for found in self.findings if found.is_refusal and self._is_sure(found)]

    @property
    def doubts(self) -> list[Finding]:
        """The findings that a larger sample could turn into refusals."""
        return [found for found in self.findings if found.is_refusal and not self._is_sure(found)]

    def _is_sure(self, found: Finding) -> bool:
        return self.sample.is_evidence or not found.needs_evidence

    @cached_property
    def summaries(self) -> dict[str, RewardSummary]:
        """What each reward gave over the whole sample, by its name."""
        return {name: summarise(found, self.sample.group_size) for name, found in self.sample.outcomes.items()}

    def lines(self) -> list[str]:
        """What a terminal shows: the table, the shares, each finding with the end of an example."""
        table = summary_table(self.sample.outcomes, self.summaries)
        return [*(f"  {line}" for line in table), f"  {self.say_shares()}", *self._finding_lines()]

    def say_shares(self) -> str:
        """`34.2 tokens on average; 3% cut off, 1% without an answer, 55% right; 20% of 8 groups without variance.`"""
        sample = self.sample
        shares = {
            "cut off": sample.truncated_share,
            "without an answer": sample.no_answer_share,
            "right": sample.right_share,
            "of those without the format": sample.right_without_format_share,
        }
        said = ", ".join(f"{share:.0%} {what}" for what, share in shares.items() if share is not None)
        variance = sample.zero_variance_share
        end = "" if variance is None else f"; {variance:.0%} of {sample.num_prompts} groups without variance"
        return f"{sample.mean_tokens:.1f} tokens on average; {said}{end}."

    def _finding_lines(self) -> Iterator[str]:
        for found in self.findings:
            yield f"  {'refused' if found in self.refusals else 'warning'}: {found.text}"
            if found.example is not None:
                completion = self.sample.completions[found.example]
                end = completion.text[-SHOWN_CHARS:]
                cut = "…" if len(end) < len(completion.text) else ""
                yield f"    for example: {cut}{end!r} ({completion.num_tokens} tokens)"

    def refuse_hopeless(self) -> None:
        """ConfigError when training can't work as it is set up; RunError when it is for rewards that can't score."""
        if not self.refusals:
            return
        is_for_scores = all(found.kind == "unscored" for found in self.refusals)
        error: type[OpenR1Error] = RunError if is_for_scores else ConfigError
        reasons = " ".join(found.text for found in self.refusals)
        raise error(
            f"the pre-flight check found that training can't work: {reasons} To train all the same, set "
            "preflight_prompts 0."
        )

    def record(self) -> dict[str, Any]:
        """Everything, in JSON's terms."""
        sample = self.sample
        return {
            "prompts": sample.num_prompts,
            "completions": len(sample.completions),
            "max_tokens": sample.max_tokens,
            **{name: getattr(sample, name) for name in RECORDED},
            "unreadable_gold_share": sample.golds.share if sample.golds.num_checked else None,
            "rewards": {name: self._reward_record(name) for name in sample.outcomes},
            "unreadable_golds": [{"row": row, "gold": gold[:EXAMPLE_CHARS]} for row, gold in sample.golds.unreadable],
            "findings": [
                {"kind": found.kind, "text": found.text, "refused": found in self.refusals} for found in self.findings
            ],
            "examples": [
                {
                    "failure": failure,
                    "prompt": sample.completions[place].prompt[:EXAMPLE_CHARS],
                    "completion": sample.completions[place].text[:EXAMPLE_CHARS],
                    "tokens": sample.completions[place].num_tokens,
                    "is_truncated": sample.completions[place].is_truncated,
                }
                for failure, place in examples(sample).items()
            ],
        }

    def _reward_record(self, name: str) -> dict[str, Any]:
        values = [outcome.value for outcome in self.sample.outcomes[name] if outcome.value is not None]
        bins = [{"from": start, "count": count} for start, count in histogram_bins(values)]
        return {**vars(self.summaries[name]), "histogram": bins}


def examine(sample: PolicySample, notes: Sequence[Finding] = ()) -> Preflight:
    """Everything that RULES find in a sample, in their order, behind what is known without one."""
    return Preflight(sample, (*notes, *(found for rule in RULES for found in rule(sample))))


def examples(sample: PolicySample) -> dict[str, int]:
    """For each way in which a completion failed, the place of the first that did: `cut off`, `REWARD: reason`."""
    found: dict[str, int] = {}
    for place, completion in enumerate(sample.completions):
        if completion.is_truncated:
            found.setdefault("cut off", place)
        for name, outcomes in sample.outcomes.items():
            if outcomes[place].reason not in FINE:
                found.setdefault(f"{name}: {outcomes[place].reason}", place)
    return found
