"""How often a model solves each problem: its completions scored, a rate per problem, the problems within a window.

problems.jsonl has every problem with `OWN_COLUMNS`, in the source's order; kept.jsonl those with min < pass_rate < max.
Generating and scoring both continue after any kill. What can't be scored is never taken for wrong.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from open_r1.configs.fields import setting
from open_r1.data.generation import TRACES, TraceSettings, describe_missing, generate_traces
from open_r1.data.problems import ProblemSet, ProblemSource, TraceProblem, as_problems
from open_r1.data.progress import CountProgress, Progress, no_progress
from open_r1.data.provenance import Step, record_step, resume_file
from open_r1.data.rows import batch_rows
from open_r1.data.trace_rewards import RewardChoice, TraceReward, to_columns
from open_r1.data.traces import locate_traces
from open_r1.data.values import load
from open_r1.errors import ConfigError, RunError
from open_r1.records import Outcome
from open_r1.rewards.base import NOT_APPLICABLE
from open_r1.rewards.combination import RewardWeights, combine
from open_r1.rundir import RunDir, atomic_file, write_json

if TYPE_CHECKING:
    from open_r1.generation import Completer

SAMPLING = TraceSettings(num_samples=8, temperature=1.0, top_p=1.0)
Weights = list[float] | dict[str, float] | None

Sample = tuple[TraceProblem, str]  # A problem and one of its completions
PROBLEMS, KEPT, SUMMARY = "problems.jsonl", "kept.jsonl", "summary.json"

OWN_COLUMNS = (
    "pass_rate",  # mean over the scored samples of Σ w·r / Σ w over the rewards; null where none could be scored
    "pass_rate_samples",  # how many samples that mean is of
    "pass_rate_unscored",  # how many were left out of it, because a reward with a weight failed on them
    "pass_rate_rewards",  # each reward's own mean
    "difficulty",  # 1 - pass_rate, within 0 and 1: a column for a curriculum
)

BATCH_SAMPLES = 512
BATCH_CHARACTERS = 16 << 20
BINS = 10


@dataclass(frozen=True)
class PassRateSettings(RewardChoice):
    """By which rewards samples are scored, and which problems are kept: those whose rate is between the bounds."""

    reward_weights: Weights = None  # as recipes have them: a number each, or a mapping by name; None for equal ones
    min: float = setting(0.1, "kept are rates above it")
    max: float = setting(0.9, "kept are rates below it")
    allow_missing: bool = setting(False, "score although samples could not be generated")

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min) and math.isfinite(self.max) and self.min < self.max):
            raise ConfigError(f"the window from --min {self.min} to --max {self.max} is empty; give min < max.")

    def keeps(self, rate: float | None) -> bool:
        """Whether a rate is within the bounds."""
        return rate is not None and self.min < rate < self.max

    def scorer(self, problems: ProblemSet) -> tuple[Scorer, dict[str, Any]]:
        """What scores, and what two runs must have in common. ConfigError, DataError for what can't be computed."""
        where = problems.source.name
        names = list(self.rewards or self.names(problems.found, where)[:1])
        rewards, given = self.build(names, problems.found, where)
        weights = constant_weights(self.reward_weights, names)
        used = {"rewards": names, "weights": weights, "solution_column": self.solution_column, **given}
        return Scorer(rewards, weights, self.solution_column), used


@dataclass(frozen=True)
class Scorer:
    """Scores samples by weighted rewards."""

    rewards: Sequence[TraceReward]
    weights: Sequence[float]
    solution_column: str | None = None

    def score(self, samples: Sequence[Sample]) -> list[list[Outcome]]:
        """The outcomes of each sample, in the order of the rewards."""
        problems, texts = zip(*samples, strict=True)
        rows, prompts = [problem.columns for problem in problems], [problem.messages for problem in problems]
        columns = to_columns(rows, texts, prompts, self.solution_column)
        columns["problem_id"] = [problem.id for problem in problems]
        by_reward = [self.outcomes_of(reward, columns) for reward in self.rewards]
        return [list(outcomes) for outcomes in zip(*by_reward, strict=True)]

    def outcomes_of(self, reward: TraceReward, columns: Mapping[str, Any]) -> list[Outcome]:
        """A reward that needs a gold doesn't apply to a row without one; as the only reward, it leaves the row unscored."""
        outcomes = reward.function.score(**columns)
        if "solution" not in reward.function.needs_columns:
            return outcomes
        missing = Outcome(None, NOT_APPLICABLE if len(self.rewards) > 1 else "no_gold")
        golds = columns["solution"]
        return [missing if gold is None else outcome for gold, outcome in zip(golds, outcomes, strict=True)]

    def rate(self, outcomes: Sequence[Outcome]) -> Outcome:
        """A sample's weighted mean, or unscored with the reason of the reward that failed."""
        together = combine([[outcome] for outcome in outcomes], self.weights)[0]
        if together.value is None:
            return together
        scored = zip(outcomes, self.weights, strict=True)
        weight = math.fsum(weight for outcome, weight in scored if outcome.value is not None)
        return Outcome(together.value / weight, "scored") if weight else Outcome(None, NOT_APPLICABLE)


def constant_weights(weights: Any, names: Sequence[str]) -> list[float]:
    """The weights of rewards, as recipes write them. ConfigError for schedules, and for what no mean can be taken by."""
    read = RewardWeights.read(weights, names)
    if not read.are_constant:
        raise ConfigError("a weight with a schedule has no value here, where nothing is trained; give numbers.")
    values = read.at(0.0)
    if min(values) < 0 or not sum(values):
        raise ConfigError(
            f"reward_weights are {values}, by which no mean can be taken; give them above 0 (0 only logs)."
        )
    return values


def measure_pass_rate(
    problems: ProblemSet | ProblemSource | str,
    output_dir: Path,
    completer: Completer,
    sampling: TraceSettings = SAMPLING,
    settings: PassRateSettings = PassRateSettings(),
    *,
    identity: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    rescore: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
    scored: CountProgress = no_progress,
    command: str = "",
) -> dict[str, Any]:
    """Generate what is missing, score it, and keep the problems whose pass rate is within the window; returns the summary.

    `rescore` scores all samples again; `scored` gets the number of problems scored; for the rest see `generate_traces`.

    Raises:
        RunError: Samples are missing and `allow_missing` isn't set; the message says how to go on.
    """
    problems = as_problems(problems)
    scorer, used = settings.scorer(problems)
    folder = output_dir / "traces"
    with RunDir(output_dir).locked():
        generated = generate_traces(
            problems, folder, completer, sampling, identity=identity, overwrite=overwrite, progress=progress,
            command=command,
        )  # fmt: skip
        if generated["samples_missing"] and not settings.allow_missing:
            raise RunError(
                f"{describe_missing(generated, folder)}; the same command tries them again, --allow_missing goes on "
                f"without them: {command}"
            )
        rescore = rescore or overwrite
        return score_problems(output_dir, problems, sampling.num_samples, scorer, settings, used, rescore, scored)


def score_problems(
    folder: Path,
    problems: ProblemSet,
    num_samples: int,
    scorer: Scorer,
    settings: PassRateSettings,
    used: Mapping[str, Any],
    rescore: bool,
    progress: CountProgress,
) -> dict[str, Any]:
    """Score the samples in the folder, problem by problem, and keep those in the window; returns the summary.

    `used` is what two runs of scoring must have in common.
    """
    run_dir, path, traces = RunDir(folder), folder / PROBLEMS, folder / "traces" / TRACES
    unscored: Counter[str] = Counter()
    run_dir.done.unlink(missing_ok=True)
    places = find_samples(traces, problems, num_samples)
    num_found = int((places >= 0).sum())
    if num_found < places.size and not settings.allow_missing:
        raise RunError(
            f"{places.size - num_found:,} of {places.size:,} samples are missing in '{traces.parent}'; run the same "
            "command again to generate them, or score without them by --allow_missing."
        )
    step = Step("pass-rate", problems.source.name, {**used, "num_samples": num_samples, "samples": num_found})
    with resume_file(path, step, rescore, "--rescore") as lines, traces.open("rb") as file:
        done = 0
        new = lines.new_rows((problem, own_row(problem)) for problem in problems)
        for batch in batches(new, places, num_samples, file):
            lines.add((own_row(problem), added) for problem, added in rate_problems(batch, scorer, unscored))
            done += len(batch)
            progress(done, problems.survey.num_problems)
    summary: dict[str, Any] = {
        "problems_left_out": problems.survey.unusable,
        **keep_window(path, folder / KEPT, settings),
        "min": settings.min,
        "max": settings.max,
        "unscored_now": dict(unscored.most_common()),
    }
    for written in (path, folder / KEPT):
        record_step(written, dataclasses.replace(step, counts=summary))
    write_json(folder / SUMMARY, summary)
    write_json(run_dir.done, {"problems": summary["problems"], "kept": summary["kept"]})
    return summary


def find_samples(path: Path, problems: ProblemSet, count: int) -> np.ndarray:
    """Where each wanted sample's line begins, by problem and sample; -1 where it isn't there."""
    places = np.full((problems.survey.num_problems, count), -1, dtype=np.int64)
    if not path.exists():
        return places
    flat = places.reshape(-1)
    for start, _, place in locate_traces(path, problems.locate(), count):
        if place >= 0 and flat[place] < 0:
            flat[place] = start
    return places


def own_row(problem: TraceProblem) -> dict[str, Any]:
    """A problem's columns, those of an earlier pass rate left out; a difficulty of another kind keeps its value aside."""
    row = {name: value for name, value in problem.columns.items() if name not in OWN_COLUMNS}
    if "difficulty" in problem.columns and "pass_rate" not in problem.columns:
        row["source_difficulty"] = problem.columns["difficulty"]
    return row


def batches(
    problems: Iterator[TraceProblem], places: np.ndarray, count: int, traces: Any
) -> Iterator[list[tuple[TraceProblem, list[Sample]]]]:
    """Problems with all their samples, so many as are scored together."""
    groups = (
        (problem, [(problem, read_text(traces, int(at))) for at in places[problem.ordinal] if at >= 0])
        for problem in problems
    )
    problems_at_once = max(1, BATCH_SAMPLES // count)
    return batch_rows(groups, lambda group: sum(len(text) for _, text in group[1]), problems_at_once, BATCH_CHARACTERS)


def read_text(traces: Any, start: int) -> str:
    """The completion of the trace whose line begins at byte `start`."""
    traces.seek(start)
    return str(load(traces.readline())["completion"])


def rate_problems(
    batch: Sequence[tuple[TraceProblem, list[Sample]]], scorer: Scorer, unscored: Counter[str]
) -> Iterator[tuple[TraceProblem, dict[str, Any]]]:
    """Each problem with what is added to it; the reasons of unscored samples are counted."""
    samples = [sample for _, group in batch for sample in group]
    outcomes = iter(scorer.score(samples) if samples else ())
    for problem, group in batch:
        found = [next(outcomes) for _ in group]
        rates = [scorer.rate(sample) for sample in found]
        unscored.update(rate.reason for rate in rates if rate.value is None)
        rate, num_scored = mean_of(rates)
        by_reward = {reward.name: mean_of([one[i] for one in found])[0] for i, reward in enumerate(scorer.rewards)}
        difficulty = None if rate is None else min(1.0, max(0.0, 1.0 - rate))
        values = (rate, num_scored, len(rates) - num_scored, by_reward, difficulty)
        yield problem, dict(zip(OWN_COLUMNS, values, strict=True))


def mean_of(outcomes: Sequence[Outcome]) -> tuple[float | None, int]:
    """The mean of the values, None where nothing was scored, and how many there are."""
    values = [outcome.value for outcome in outcomes if outcome.value is not None]
    return (math.fsum(values) / len(values) if values else None), len(values)


def keep_window(path: Path, kept: Path, window: PassRateSettings) -> dict[str, Any]:
    """Copy the problems whose rate lies in the window; returns counts and the distribution of rates."""
    found: Counter[str] = Counter()
    bins = [0] * BINS
    total, rated = 0.0, 0
    with path.open("rb") as source, atomic_file(kept) as file:
        for line in source:
            row = load(line)
            rate = row["pass_rate"]
            found["problems"] += 1
            found["samples"] += row["pass_rate_samples"]
            found["samples_unscored"] += row["pass_rate_unscored"]
            if rate is None:
                found["problems_unscored"] += 1
                continue
            total, rated = total + rate, rated + 1
            bins[min(BINS - 1, max(0, int(rate * BINS)))] += 1
            found["never_solved"] += rate <= 0
            found["always_solved"] += rate >= 1
            found["below"] += rate <= window.min
            found["above"] += rate >= window.max
            if window.keeps(rate):
                found["kept"] += 1
                file.write(line)
    names = ("problems", "kept", "below", "above", "problems_unscored", "never_solved", "always_solved", "samples",
             "samples_unscored")  # fmt: skip
    return {**{name: found[name] for name in names}, "mean": total / rated if rated else None, "tenths": bins}
