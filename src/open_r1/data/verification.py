"""Verdicts on traces: each line of a file of traces again, with whether it is right and why.

    verified          true, false, or null where it could not be decided
    verify_score      the reward's value; null where there is none
    verify_reason     why, in a word: correct, wrong, no_answer, unparsable_gold, a test's result, …
    extracted_answer  the answer that was compared, where answers are
    verified_by       the reward that decided, or the judge's model name after `judge:`

Does: judge by the first reward that has something to say about a row (programs by tests, reasoning-gym's by its scorer,
answers by the answer layer), ask a judge model about what rules can't decide where there is one, and append in the order of
the source: a killed run goes on behind its last line, and more traces at the source's end add to it. Memory is a batch's.
Does not: leave a trace out (`selection`). A trace that can't be judged is null, never false.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from open_r1.answers.check import Verdict
from open_r1.data.columns import batch_rows, completion_of, gold_of, problem_of, text_of
from open_r1.data.judge_model import SCOPES, Case, JudgeModel
from open_r1.data.provenance import Step, steps_behind, write_file_steps
from open_r1.data.resumable_file import LineByLine, hold
from open_r1.data.rows import Rows
from open_r1.data.trace_rewards import TraceReward, score, to_columns
from open_r1.errors import ConfigError, RunError
from open_r1.generation import EndpointsGone
from open_r1.records import Outcome
from open_r1.rewards.answer_reward import AnswerReward
from open_r1.rewards.base import NOT_APPLICABLE
from open_r1.text.thinking import visible_part

OWN_COLUMNS = ("verified", "verify_score", "verify_reason", "extracted_answer", "verified_by")

BATCH_ROWS = 512
BATCH_CHARACTERS = 16 << 20
"""Of completions that are judged together, or one row that is longer."""

NO_COMPLETION = "no_completion"
NO_GOLD = "no_gold"


@dataclass(frozen=True)
class Finding:
    """What is added to a row."""

    verified: bool | None
    verify_score: float | None
    verify_reason: str
    extracted_answer: str | None = None
    verified_by: str | None = None


@dataclass(frozen=True)
class VerifySettings:
    """How to judge. `threshold`: the score from which on a trace is right."""

    completion_column: str = "completion"
    solution_column: str | None = None
    threshold: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ConfigError(f"threshold must be a number, but is {self.threshold}.")


@dataclass
class Counts:
    """What came out so far; `earlier` were there when this run began."""

    rows: int = 0
    earlier: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)

    def add(self, added: Mapping[str, Any]) -> None:
        self.rows += 1
        self.verdicts[{True: "verified", False: "refuted", None: "undecided"}[added["verified"]]] += 1
        self.reasons[str(added["verify_reason"])] += 1
        self.by[str(added["verified_by"] or "nothing")] += 1

    def record(self) -> dict[str, Any]:
        return {
            "traces": self.rows,
            **{name: self.verdicts[name] for name in ("verified", "refuted", "undecided")},
            "reasons": dict(self.reasons.most_common()),
            "verified_by": dict(self.by.most_common()),
        }


class TraceVerifier:
    """Judges batches of rows."""

    def __init__(
        self, rewards: Sequence[TraceReward], settings: VerifySettings, judge: JudgeModel | None = None
    ) -> None:
        self.rewards, self.settings, self.judge = rewards, settings, judge

    def verify(self, rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
        """A finding a row."""
        texts = [completion_of(row, self.settings.completion_column) for row in rows]
        found: dict[int, Finding] = {
            index: Finding(None, None, NO_COMPLETION) for index, text in enumerate(texts) if text is None
        }
        for reward in self.rewards:
            open_rows = [index for index in range(len(rows)) if index not in found]
            if open_rows:
                asked = [(rows[index], texts[index] or "") for index in open_rows]
                findings = self.apply(reward, [row for row, _ in asked], [text for _, text in asked])
                found |= {i: one for i, one in zip(open_rows, findings, strict=True) if one is not None}
        nothing = Finding(None, None, NOT_APPLICABLE)
        findings = [found.get(index, nothing) for index in range(len(rows))]
        return self.ask_judge(rows, [text or "" for text in texts], findings) if self.judge else findings

    def apply(
        self, reward: TraceReward, rows: Sequence[Mapping[str, Any]], texts: Sequence[str]
    ) -> list[Finding | None]:
        """What a reward says of each row, None where it has nothing to say."""
        columns = to_columns(rows, texts, [text_of(problem_of(row)) for row in rows], self.settings.solution_column)
        if isinstance(reward.function, AnswerReward):
            judged = zip(reward.function.judge(**columns), columns["solution"], strict=True)
            return [self.by_answer(reward.name, *pair, gold) for pair, gold in judged]
        return [self.by_outcome(outcome, reward.name) for outcome in score(reward, columns)]

    def by_answer(self, name: str, outcome: Outcome, verdict: Verdict, gold: Any) -> Finding:
        if gold is None:
            return Finding(None, None, NO_GOLD, verdict.answer)
        found = self.by_outcome(outcome, name)
        assert found is not None, "an answer always has a verdict"
        return dataclasses.replace(found, extracted_answer=verdict.answer)

    def by_outcome(self, outcome: Outcome, name: str) -> Finding | None:
        if outcome.reason == NOT_APPLICABLE:
            return None
        if outcome.value is None:
            return Finding(None, None, outcome.reason)
        return Finding(outcome.value >= self.settings.threshold, outcome.value, outcome.reason, verified_by=name)

    def ask_judge(
        self, rows: Sequence[Mapping[str, Any]], texts: Sequence[str], findings: list[Finding]
    ) -> list[Finding]:
        """The findings with the judge's verdicts in place of those that it was to be asked about."""
        assert self.judge is not None
        asked: dict[int, Case] = {}
        answer_rewards = [reward.name for reward in self.rewards if reward.spec.kind == "answer"]
        for index, (row, text, finding) in enumerate(zip(rows, texts, findings, strict=True)):
            gold, visible = gold_of(row, self.settings.solution_column), visible_part(text).strip()
            is_answer = finding.verified_by in (None, *answer_rewards)
            if is_answer and finding.verify_reason in SCOPES[self.judge.scope] and gold is not None and visible:
                asked[index] = Case(text_of(problem_of(row)), str(gold), visible)
        verdicts = dict(zip(asked, self.judge.judge(list(asked.values())), strict=True))
        return [self.by_judge(finding, verdicts.get(index)) for index, finding in enumerate(findings)]

    def by_judge(self, finding: Finding, verdict: bool | None) -> Finding:
        if verdict is None:
            return finding
        assert self.judge is not None
        return Finding(
            verdict,
            float(verdict),
            "judged_correct" if verdict else "judged_wrong",
            finding.extracted_answer,
            f"judge:{self.judge.name}",
        )


def verify_traces(
    rows: Rows,
    output: Path,
    verifier: TraceVerifier,
    settings: Mapping[str, Any],
    overwrite: bool = False,
    show: Callable[[Counts], None] = lambda counts: None,
) -> dict[str, Any]:
    """Judge every trace of a source into `output`; returns the counts. `settings` is what two runs must have in common.

    RunError, which says how to go on, when the judge model can't be asked any more.
    """
    counts = Counts()
    earlier_steps, step = steps_behind(rows.name), Step("verify", rows.name, settings)
    with hold(output, [*earlier_steps, step], overwrite) as lines:
        column = verifier.settings.completion_column
        for batch in batch_rows(
            new_rows(rows, lines, counts),
            lambda row: len(completion_of(row, column) or ""),
            BATCH_ROWS,
            BATCH_CHARACTERS,
        ):
            try:
                findings = verifier.verify(batch)
            except (EndpointsGone, ConfigError) as error:
                raise RunError(
                    f"{str(error).rstrip('.')}; {counts.rows:,} traces are verified in '{output}'. To go on with the rest, "
                    "mend that and run the same command again."
                ) from error
            added = [dataclasses.asdict(finding) for finding in findings]
            lines.add(zip(batch, added, strict=True))
            for one in added:
                counts.add(one)
            show(counts)
        record = counts.record()
        if verifier.judge is not None and +verifier.judge.failures:
            record["judge_failures"] = dict((+verifier.judge.failures).most_common())
        write_file_steps(output, [*earlier_steps, dataclasses.replace(step, counts=record)])
    return {**record, "earlier": counts.earlier}


def new_rows(rows: Rows, lines: LineByLine, counts: Counts) -> Iterator[dict[str, Any]]:
    """The rows that no earlier run has judged, our own columns of an earlier verification left out; counts the others."""
    number = 0
    for chunk in rows.chunks(rows.columns):
        for whole in chunk.rows():
            number += 1
            row = {name: value for name, value in whole.items() if name not in OWN_COLUMNS}
            added = lines.next_there(row, number)
            if added is None:
                yield row
            else:
                counts.earlier += 1
                counts.add(added)
    lines.end_there(number)
