"""Verdicts on traces: each row of a source again, with whether its trace is right and why (`Finding`).

A row is judged by the first reward that applies to it; a judge model is asked about what rules can't decide. Verdicts are
appended in the order of the source: a killed run continues after its last line. What can't be judged is null, never false.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from open_r1.configs.fields import setting
from open_r1.data.columns import completion_of, gold_of, problem_of, require_columns, text_of
from open_r1.data.progress import CountProgress, no_progress
from open_r1.data.provenance import Step, record_step, resume_file
from open_r1.data.row_file import check_free
from open_r1.data.rows import Rows, batch_rows
from open_r1.data.sources import as_rows
from open_r1.data.trace_rewards import RewardChoice, TraceReward, to_columns
from open_r1.errors import ConfigError, RunError
from open_r1.generation import EndpointsGone
from open_r1.generation.judge_model import SCOPES, JudgeModel, Question, same_answer_question
from open_r1.records import Outcome
from open_r1.rewards.answer_reward import AnswerReward
from open_r1.rewards.base import NOT_APPLICABLE
from open_r1.text.thinking import visible_part

BATCH_ROWS = 512
BATCH_CHARACTERS = 16 << 20  # of completions that are judged together, or one row that is longer
NO_COMPLETION = "no_completion"
NO_GOLD = "no_gold"


@dataclass(frozen=True)
class Finding:
    """What is added to a row."""

    verified: bool | None  # None where it could not be decided
    verify_score: float | None  # the reward's value
    verify_reason: str  # in a word: correct, wrong, no_answer, unparsable_gold, a test's result, …
    extracted_answer: str | None = None  # the answer that was compared, where answers are
    verified_by: str | None = None  # the reward that decided, or the judge's model name after `judge:`


OWN_COLUMNS = tuple(one.name for one in dataclasses.fields(Finding))


@dataclass(frozen=True)
class VerifySettings(RewardChoice):
    """By which rewards a trace is judged, and from which score on it is right."""

    completion_column: str = setting("completion", "column with the trace")
    threshold: float = setting(1.0, "score from which on a trace is right")

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ConfigError(f"threshold must be a number, but is {self.threshold}.")


@dataclass
class Counts:
    """What came out so far, earlier runs included."""

    rows: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)

    def add(self, added: Mapping[str, Any]) -> None:
        """Count what was added to a row."""
        self.rows += 1
        self.verdicts[{True: "verified", False: "refuted", None: "undecided"}[added["verified"]]] += 1
        self.reasons[str(added["verify_reason"])] += 1
        self.by[str(added["verified_by"] or "nothing")] += 1

    def record(self) -> dict[str, Any]:
        """The counts, as files and `--json` have them."""
        return {
            "traces": self.rows,
            **{name: self.verdicts[name] for name in ("verified", "refuted", "undecided")},
            "reasons": dict(self.reasons.most_common()),
            "verified_by": dict(self.by.most_common()),
        }


@dataclass(frozen=True)
class TraceVerifier:
    """Judges batches of rows."""

    rewards: Sequence[TraceReward]
    settings: VerifySettings
    judge: JudgeModel | None = None

    def verify(self, rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
        """A finding a row."""
        texts = [completion_of(row, self.settings.completion_column) for row in rows]
        found = {index: Finding(None, None, NO_COMPLETION) for index, text in enumerate(texts) if text is None}
        for reward in self.rewards:
            if asked := [index for index in range(len(rows)) if index not in found]:
                applied = self.apply(reward, [rows[index] for index in asked], [texts[index] or "" for index in asked])
                found |= {index: one for index, one in zip(asked, applied, strict=True) if one is not None}
        findings = [found.get(index, Finding(None, None, NOT_APPLICABLE)) for index in range(len(rows))]
        return self.ask_judge(self.judge, rows, texts, findings) if self.judge else findings

    def apply(
        self, reward: TraceReward, rows: Sequence[Mapping[str, Any]], texts: Sequence[str]
    ) -> list[Finding | None]:
        """What a reward says of each row, None where it has nothing to say."""
        columns = to_columns(rows, texts, [text_of(problem_of(row)) for row in rows], self.settings.solution_column)
        if not isinstance(reward.function, AnswerReward):
            return [self.finding(outcome, reward.name) for outcome in reward.function.score(**columns)]
        judged = zip(reward.function.judge(**columns), columns["solution"], strict=True)
        return [
            Finding(None, None, NO_GOLD, verdict.answer)
            if gold is None
            else self.finding(outcome, reward.name, verdict.answer)
            for (outcome, verdict), gold in judged
        ]

    def finding(self, outcome: Outcome, name: str, answer: str | None = None) -> Finding | None:
        """The finding of an outcome; None where the reward doesn't apply."""
        if outcome.reason == NOT_APPLICABLE:
            return None
        if outcome.value is None:
            return Finding(None, None, outcome.reason, answer)
        return Finding(outcome.value >= self.settings.threshold, outcome.value, outcome.reason, answer, name)

    def ask_judge(
        self,
        judge: JudgeModel,
        rows: Sequence[Mapping[str, Any]],
        texts: Sequence[str | None],
        findings: list[Finding],
    ) -> list[Finding]:
        """The findings with the judge's verdicts in place of those that it was to be asked about."""
        asked: dict[int, Question] = {}
        by_answer = (None, *(reward.name for reward in self.rewards if reward.spec.kind == "answer"))
        for index, (row, text, finding) in enumerate(zip(rows, texts, findings, strict=True)):
            gold, visible = gold_of(row, self.settings.solution_column), visible_part(text or "").strip()
            is_asked = finding.verified_by in by_answer and finding.verify_reason in SCOPES[judge.scope]
            if is_asked and gold is not None and visible:
                asked[index] = same_answer_question(text_of(problem_of(row)), str(gold), visible)
        for index, verdict in zip(asked, judge.judge(list(asked.values())), strict=True):
            if verdict is not None:
                reason, by = ("judged_correct" if verdict else "judged_wrong"), f"judge:{judge.name}"
                findings[index] = Finding(verdict, float(verdict), reason, findings[index].extracted_answer, by)
        return findings


def verify(
    source: Rows | str,
    output: Path,
    settings: VerifySettings = VerifySettings(),
    *,
    judge: JudgeModel | None = None,
    overwrite: bool = False,
    progress: CountProgress = no_progress,
) -> dict[str, Any]:
    """Judge every trace of a source into a JSON lines file, from where an earlier run of the same settings stopped.

    Returns the counts of `Counts.record`, and `earlier`, those of earlier runs.

    Raises:
        DataError: A column is missing, or the source's rows are not those of the earlier run.
        RunFolderError: The output is in use, or was made with other settings.
        RunError: The judge model can't be asked any more; the message says how to go on.
    """
    rows, verifier, used = prepare(source, output, settings, judge)
    counts, num_new = Counts(), 0
    step = Step("verify", rows.name, used)
    with resume_file(output, step, overwrite) as lines:
        new = lines.new_rows(without_verdict(rows), counts.add)
        for batch in batch_rows(new, partial(size_of, settings.completion_column), BATCH_ROWS, BATCH_CHARACTERS):
            try:
                findings = verifier.verify(batch)
            except (EndpointsGone, ConfigError) as error:
                raise RunError(
                    f"{str(error).rstrip('.')}; {counts.rows:,} traces are verified in '{output}'. To go on with the rest, "
                    "fix that and run the same command again."
                ) from error
            added = [dataclasses.asdict(finding) for finding in findings]
            lines.add(zip(batch, added, strict=True))
            for one in added:
                counts.add(one)
            num_new += len(batch)
            progress(counts.rows, None)
        record = counts.record()
        if judge is not None and +judge.failures:
            record["judge_failures"] = dict((+judge.failures).most_common())
        record_step(output, dataclasses.replace(step, counts=record))
    return {**record, "earlier": counts.rows - num_new}


def prepare(
    source: Rows | str, output: Path, settings: VerifySettings, judge: JudgeModel | None
) -> tuple[Rows, TraceVerifier, dict[str, Any]]:
    """The rows, what judges them, and what two runs into one file must have in common; refuses what can't be done."""
    rows = as_rows(source)
    check_free(output, rows.name, overwrite=True)
    require_columns(rows.columns, [settings.completion_column], rows.name, "--completion_column")
    names = settings.names(rows.columns, rows.name)
    rewards, given = settings.build(names, rows.columns, rows.name)
    used: dict[str, Any] = {
        "rewards": names,
        **given,
        "completion_column": settings.completion_column,
        "solution_column": settings.solution_column,
        "threshold": settings.threshold,
        "judge": judge and judge.name,
        "judge_for": judge and judge.scope,
    }
    return rows, TraceVerifier(rewards, settings, judge), used


def size_of(column: str, row: Mapping[str, Any]) -> int:
    """Characters of the row's completion."""
    return len(completion_of(row, column) or "")


def without_verdict(rows: Rows) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows without the columns of another verification."""
    for whole in rows.read():
        row = {name: value for name, value in whole.items() if name not in OWN_COLUMNS}
        yield row, row
