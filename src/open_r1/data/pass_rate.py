"""How often a model solves each problem: its completions scored, a rate a problem, the problems within a window.

    <output_dir>/
      traces/          num_samples completions a problem, as `data generate` writes them
      problems.jsonl   every problem with pass_rate and what belongs to it, in the source's order
      kept.jsonl       those with min < pass_rate < max, both bounds left out, as in the original
      summary.json     counts
      done.json        written last

    pass_rate           the mean over the scored samples of Σ w·r / Σ w over the rewards: the share correct, where the one
                        reward is 1 or 0; null where no sample could be scored
    pass_rate_samples   how many samples that mean is of
    pass_rate_unscored  how many were left out of it, because a reward with a weight failed on them
    pass_rate_rewards   each reward's own mean
    difficulty          1 - pass_rate, within 0 and 1: a column for a curriculum

Does: draw what is missing, score problem by problem (so that rewards that compare a problem's completions see all of them),
and go on after any kill, in drawing and in scoring alike. Memory: nine bytes a sample and a batch. Does not: take a sample
that could not be scored for a wrong one.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.data.columns import batch_rows
from open_r1.data.generation import TRACES
from open_r1.data.problems import ProblemSet, TraceProblem
from open_r1.data.provenance import Step, steps_behind, write_file_steps
from open_r1.data.resumable_file import hold
from open_r1.data.trace_rewards import TraceReward, score, to_columns
from open_r1.data.traces import locate_traces
from open_r1.data.values import load
from open_r1.errors import ConfigError, RunError
from open_r1.records import Outcome
from open_r1.rewards.base import NOT_APPLICABLE
from open_r1.rewards.combination import RewardWeights, combine
from open_r1.rundir import RunDir, atomic_file, write_json

if TYPE_CHECKING:
    import numpy as np

PROBLEMS, KEPT, SUMMARY = "problems.jsonl", "kept.jsonl", "summary.json"

OWN_COLUMNS = ("pass_rate", "pass_rate_samples", "pass_rate_unscored", "pass_rate_rewards", "difficulty")

BATCH_SAMPLES = 512
BATCH_CHARACTERS = 16 << 20
BINS = 10


@dataclass(frozen=True)
class Window:
    """The pass rates that are kept: those between the bounds, which are left out themselves."""

    low: float = 0.1
    high: float = 0.9

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"the window from --min {self.low} to --max {self.high} is empty; give min < max.")

    def holds(self, rate: float | None) -> bool:
        return rate is not None and self.low < rate < self.high


@dataclass(frozen=True)
class Scorer:
    """Scores samples by weighted rewards."""

    rewards: Sequence[TraceReward]
    weights: Sequence[float]
    solution_column: str | None = None

    def score(self, samples: Sequence[Sample]) -> list[list[Outcome]]:
        """The outcomes of each sample, in the order of the rewards."""
        rows = [sample.problem.columns for sample in samples]
        texts = [sample.text for sample in samples]
        columns = to_columns(rows, texts, [sample.problem.messages for sample in samples], self.solution_column)
        columns["problem_id"] = [sample.problem.id for sample in samples]
        by_reward = [self.outcomes_of(reward, columns) for reward in self.rewards]
        return [list(outcomes) for outcomes in zip(*by_reward, strict=True)]

    def outcomes_of(self, reward: TraceReward, columns: Mapping[str, Any]) -> list[Outcome]:
        """A row without a gold is nothing to a reward that needs one; where that is the only reward, it is unscored."""
        outcomes = score(reward, columns)
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


@dataclass(frozen=True)
class Sample:
    """One completion of a problem."""

    problem: TraceProblem
    text: str


@dataclass
class Counts:
    """What came of the problems."""

    problems: int = 0
    samples: int = 0
    unscored: Counter[str] = field(default_factory=Counter)


def score_problems(
    folder: Path,
    problems: ProblemSet,
    num_samples: int,
    scorer: Scorer,
    window: Window,
    settings: Mapping[str, Any],
    rescore: bool = False,
    allow_missing: bool = False,
    show: Callable[[int, int], None] = lambda done, wanted: None,
) -> dict[str, Any]:
    """Score the samples that lie in the folder, problem by problem, and keep those in the window; returns the summary."""
    run_dir, path = RunDir(folder), folder / PROBLEMS
    with run_dir.locked():
        run_dir.done.unlink(missing_ok=True)
        places = find_samples(folder / "traces" / TRACES, problems, num_samples)
        there = int((places >= 0).sum())
        if there < places.size and not allow_missing:
            raise RunError(
                f"{places.size - there:,} of {places.size:,} samples are missing in '{folder / 'traces'}'; run the same "
                "command again to draw them, or score without them by --allow_missing."
            )
        source = problems.source.name
        step = Step("pass-rate", source, {**settings, "num_samples": num_samples, "samples": there})
        unscored: Counter[str] = Counter()
        with hold(path, [*steps_behind(source), step], rescore, "--rescore") as lines:
            traces = (folder / "traces" / TRACES).open("rb")
            with traces:
                done = 0
                for batch in batches(unscored_problems(problems, lines), places, num_samples, traces):
                    lines.add((own_row(problem), added) for problem, added in rate_problems(batch, scorer, unscored))
                    done += len(batch)
                    show(done, problems.survey.num_problems)
        counts = keep_window(path, folder / KEPT, window)
        summary: dict[str, Any] = {
            "problems_left_out": problems.survey.unusable,
            **counts,
            "min": window.low,
            "max": window.high,
            "unscored_now": dict(unscored.most_common()),
        }
        steps = [*steps_behind(source), dataclasses.replace(step, counts=summary)]
        for file in (path, folder / KEPT):
            write_file_steps(file, steps)
        write_json(folder / SUMMARY, summary)
        write_json(run_dir.done, {"problems": counts["problems"], "kept": counts["kept"]})
    return summary


def find_samples(path: Path, problems: ProblemSet, count: int) -> np.ndarray:
    """Where each wanted sample's line begins, by problem and sample; -1 where it isn't there."""
    import numpy as np

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
    has_rate = "pass_rate" in problem.columns
    row = {name: value for name, value in problem.columns.items() if name not in OWN_COLUMNS}
    if "difficulty" in problem.columns and not has_rate:
        row["source_difficulty"] = problem.columns["difficulty"]
    return row


def unscored_problems(problems: ProblemSet, lines: Any) -> Iterator[TraceProblem]:
    """The problems that no earlier run has scored."""
    number = 0
    for number, problem in enumerate(problems, start=1):
        if lines.next_there(own_row(problem), number) is None:
            yield problem
    lines.end_there(number)


def batches(
    problems: Iterator[TraceProblem], places: np.ndarray, count: int, traces: Any
) -> Iterator[list[tuple[TraceProblem, list[Sample]]]]:
    """Problems with all their samples, so many as are scored together."""
    groups = (
        (problem, [Sample(problem, read_text(traces, int(at))) for at in places[problem.ordinal] if at >= 0])
        for problem in problems
    )
    problems_at_once = max(1, BATCH_SAMPLES // count)
    return batch_rows(
        groups, lambda group: sum(len(sample.text) for sample in group[1]), problems_at_once, BATCH_CHARACTERS
    )


def read_text(traces: Any, start: int) -> str:
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
        values = [rate.value for rate in rates if rate.value is not None]
        rate = math.fsum(values) / len(values) if values else None
        yield (
            problem,
            {
                "pass_rate": rate,
                "pass_rate_samples": len(values),
                "pass_rate_unscored": len(rates) - len(values),
                "pass_rate_rewards": {
                    reward.name: mean_of([sample[position] for sample in found])
                    for position, reward in enumerate(scorer.rewards)
                },
                "difficulty": None if rate is None else min(1.0, max(0.0, 1.0 - rate)),
            },
        )


def mean_of(outcomes: Sequence[Outcome]) -> float | None:
    values = [outcome.value for outcome in outcomes if outcome.value is not None]
    return math.fsum(values) / len(values) if values else None


def keep_window(path: Path, kept: Path, window: Window) -> dict[str, Any]:
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
            found["below"] += rate <= window.low
            found["above"] += rate >= window.high
            if window.holds(rate):
                found["kept"] += 1
                file.write(line)
    names = ("problems", "kept", "below", "above", "problems_unscored", "never_solved", "always_solved", "samples",
             "samples_unscored")  # fmt: skip
    return {**{name: found[name] for name in names}, "mean": total / rated if rated else None, "tenths": bins}
