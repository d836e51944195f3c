"""A flight with what the rules find in it: as lines for a terminal, as a record, as a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from open_r1.errors import ConfigError, OpenR1Error, RunError
from open_r1.rewards.base import NOT_APPLICABLE
from open_r1.rewards.combination import RewardSummary, summarise
from open_r1.rewards.functions.format import WELL_FORMED
from open_r1.rewards.preflight.flight import Flight
from open_r1.rewards.preflight.rules import RULES, SHOWN_CHARS, Finding
from open_r1.rewards.tables import histogram_bins, summary_table

EXAMPLE_CHARS = 4000
FINE = frozenset({"correct", WELL_FORMED, "counted", "scored", NOT_APPLICABLE})
"""Reasons that are no failure."""


@dataclass(frozen=True)
class Preflight:
    """A flight and what was found in it."""

    flight: Flight
    findings: tuple[Finding, ...]

    @property
    def refusals(self) -> list[Finding]:
        """The findings for which training is refused."""
        return [found for found in self.findings if found.is_refusal and self._is_sure(found)]

    @property
    def warnings(self) -> list[Finding]:
        return [found for found in self.findings if found not in self.refusals]

    @property
    def wants_more(self) -> bool:
        """Whether a larger sample could turn a warning into a refusal."""
        return any(found.is_refusal and not self._is_sure(found) for found in self.findings)

    def _is_sure(self, found: Finding) -> bool:
        return self.flight.is_evidence or not found.needs_evidence

    @cached_property
    def summaries(self) -> dict[str, RewardSummary]:
        flight = self.flight
        return {name: summarise(outcomes, flight.group_size) for name, outcomes in flight.outcomes.items()}

    def lines(self) -> list[str]:
        """What a terminal shows: the table, the shares, each finding with the end of an example."""
        table = summary_table(self.flight.outcomes, self.summaries)
        return [*(f"  {line}" for line in table), f"  {self.say_shares()}", *self._finding_lines()]

    def say_shares(self) -> str:
        """`34.2 tokens on average; 3% cut off, 1% without an answer, 55% right; 2 of 8 groups without variance.`"""
        flight = self.flight
        tokens = sum(sample.num_tokens for sample in flight.samples) / len(flight.samples)
        parts = [f"{flight.truncated_share:.0%} cut off"]
        if flight.no_answer_share is not None:
            parts.append(f"{flight.no_answer_share:.0%} without an answer")
        if flight.judges:
            parts.append(f"{sum(flight.is_right) / len(flight.samples):.0%} right")
        if flight.right_without_format_share is not None:
            parts.append(f"{flight.right_without_format_share:.0%} of those without the format")
        variance = flight.zero_variance_share
        shown = "" if variance is None else f"; {variance:.0%} of {flight.num_prompts} groups without variance"
        return f"{tokens:.1f} tokens on average; {', '.join(parts)}{shown}."

    def _finding_lines(self) -> Iterator[str]:
        for found in self.findings:
            yield f"  {'refused' if found in self.refusals else 'warning'}: {found.text}"
            if found.example is not None:
                sample = self.flight.samples[found.example]
                end = sample.completion[-SHOWN_CHARS:]
                cut = "…" if len(end) < len(sample.completion) else ""
                yield f"    for example: {cut}{end!r} ({sample.num_tokens} tokens)"

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
        flight = self.flight
        return {
            "prompts": flight.num_prompts,
            "completions": len(flight.samples),
            "max_tokens": flight.max_tokens,
            "mean_tokens": sum(sample.num_tokens for sample in flight.samples) / len(flight.samples),
            "truncated_share": flight.truncated_share,
            "no_answer_share": flight.no_answer_share,
            "right_share": sum(flight.is_right) / len(flight.samples) if flight.judges else None,
            "right_without_format_share": flight.right_without_format_share,
            "zero_variance_share": flight.zero_variance_share,
            "unreadable_gold_share": flight.golds.share if flight.golds.looked_at else None,
            "rewards": {name: self._reward_record(name) for name in flight.outcomes},
            "unreadable_golds": [{"row": row, "gold": gold[:EXAMPLE_CHARS]} for row, gold in flight.golds.unreadable],
            "findings": [
                {"kind": found.kind, "text": found.text, "refused": found in self.refusals} for found in self.findings
            ],
            "examples": [self._example_record(failure, index) for failure, index in examples(flight).items()],
        }

    def _reward_record(self, name: str) -> dict[str, Any]:
        values = [outcome.value for outcome in self.flight.outcomes[name] if outcome.value is not None]
        bins = [{"from": start, "count": count} for start, count in histogram_bins(values)]
        return {**vars(self.summaries[name]), "histogram": bins}

    def _example_record(self, failure: str, index: int) -> dict[str, Any]:
        sample = self.flight.samples[index]
        return {
            "failure": failure,
            "prompt": sample.prompt[:EXAMPLE_CHARS],
            "completion": sample.completion[:EXAMPLE_CHARS],
            "tokens": sample.num_tokens,
            "is_truncated": sample.is_truncated,
        }


def examine(flight: Flight, notes: Sequence[Finding] = ()) -> Preflight:
    """Everything that RULES find in a flight, in their order, behind what is known without one."""
    return Preflight(flight, (*notes, *(found for rule in RULES for found in rule(flight))))


def examples(flight: Flight) -> dict[str, int]:
    """For each way in which a completion failed, the place of the first that did: `cut off`, `REWARD: reason`."""
    found: dict[str, int] = {}
    for index, sample in enumerate(flight.samples):
        if sample.is_truncated:
            found.setdefault("cut off", index)
        for name, outcomes in flight.outcomes.items():
            if outcomes[index].reason not in FINE:
                found.setdefault(f"{name}: {outcomes[index].reason}", index)
    return found
