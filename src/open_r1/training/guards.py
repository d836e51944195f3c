"""Alarms while training: what the logged numbers say of a run that goes wrong, in words, each kind once.

A rule reads the rows that the trainer has logged so far, the same as in metrics.jsonl. An alarm is a row of alarms.jsonl:
step, alarm (its kind), text and is_grave. `guards` is warn, stop or off: stop ends the run at an alarm that means ruin,
with a checkpoint, and with the best model where `load_best_model_at_end` is set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean, median, stdev
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from open_r1.estimates import estimate_difference
from open_r1.rundir import RunDir, append_line, read_jsonl
from open_r1.training.callbacks import Report

Row = Mapping[str, Any]

FIRST, RECENT = 3, 5
"""Logged rows that stand for the beginning, and for now."""


@dataclass(frozen=True)
class Alarm:
    """What went wrong, and whether the run is ruined if it goes on."""

    kind: str
    text: str
    is_grave: bool = False


@dataclass
class History:
    """The rows logged so far: of training, of evaluations, and each evaluation's accuracy by problem."""

    rows: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    by_problem: list[Sequence[float]] = field(default_factory=list)
    """As long as `evaluations`, or shorter after a resume, which knows the means alone."""

    def values(self, key: str) -> list[float]:
        """A metric's values in the rows of training that have a finite one."""
        found = (row.get(key) for row in self.rows)
        return [value for value in found if isinstance(value, int | float) and math.isfinite(value)]


Rule = Callable[[History], Alarm | None]


def find_nan(history: History) -> Alarm | None:
    """A loss or gradient that is not a finite number; metrics.jsonl has null for it."""
    for key in ("loss", "grad_norm"):
        value = history.rows[-1].get(key, 0.0)
        if value is None or not math.isfinite(value):
            return Alarm("nan", f"{key} is not a finite number; lower learning_rate, or set max_grad_norm.", True)
    return None


def find_loss_spike(history: History) -> Alarm | None:
    """SFT's loss far above where it was: GRPO's loss says nothing of that kind."""
    losses = history.values("loss")
    if "reward" in history.rows[-1] or len(losses) < 2:
        return None
    before, now = losses[-20:-1], losses[-1]
    if now > max(2 * min(before), min(before) + 1.0):
        return Alarm(
            "loss_spike", f"loss is {now:.3g}, after {min(before):.3g}; lower learning_rate or max_grad_norm.", True
        )
    return None


def find_reward_fall(history: History) -> Alarm | None:
    """A reward that fell well below where it was: training ruins the model."""
    rewards = history.values("reward")
    if len(rewards) < FIRST + 2:
        return None
    best = max(mean(rewards[start : start + FIRST]) for start in range(len(rewards) - FIRST - 1))
    now, noise = mean(rewards[-2:]), spread(rewards[:-2])
    if best - now > max(4 * noise, 0.5 * abs(best), 0.02):
        return Alarm("reward_fall", f"reward fell from {best:.3g} to {now:.3g}; lower learning_rate.", True)
    return None


def spread(values: Sequence[float]) -> float:
    """By how much a metric varies from one logged row to the next, whatever its trend."""
    steps = [abs(after - before) for before, after in pairwise(values)]
    return median(steps) if steps else 0.0


def find_entropy(history: History) -> Alarm | None:
    """Entropy that has collapsed, so that nothing new is tried, or that has exploded."""
    values = history.values("entropy") if "reward" in history.rows[-1] else []
    if len(values) < FIRST + 2:
        return None
    first, now = mean(values[:FIRST]), mean(values[-2:])
    if now < 0.1 * first:
        return Alarm(
            "entropy",
            f"entropy fell from {first:.3g} to {now:.3g}: completions of a problem become the same. Lower learning_rate, or "
            "raise epsilon_high or temperature.",
        )
    if now > max(3 * first, 1.0):
        return Alarm("entropy", f"entropy rose from {first:.3g} to {now:.3g}; lower learning_rate.", True)
    return None


def find_kl(history: History) -> Alarm | None:
    """A policy that has left the reference model; only where `beta` is above 0."""
    values = history.values("kl")
    if len(values) >= 2 and min(values[-2:]) > 1.0:
        return Alarm(
            "kl", f"KL to the reference model is {values[-1]:.3g} a token; lower learning_rate or raise beta.", True
        )
    return None


def find_length(history: History) -> Alarm | None:
    """Completions that have become several times as long or as short."""
    values = history.values("completions/mean_length")
    if len(values) < FIRST + 2:
        return None
    first, now = mean(values[:FIRST]), mean(values[-2:])
    if first and not first / 3 <= now <= first * 3:
        word = "longer" if now > first else "shorter"
        return Alarm("length", f"completions are much {word}: {now:.3g} tokens on average, {first:.3g} at first.")
    return None


def find_truncation(history: History) -> Alarm | None:
    """Most completions cut off before their end, for several rows: from the first, or since the policy changed."""
    values = history.values("completions/clipped_ratio")
    if len(values) < FIRST or min(values[-FIRST:]) < 0.5:
        return None
    now = f"{values[-1]:.0%} of the completions are cut off"
    if values[0] < 0.25:
        remedy = "lower learning_rate if the reward fell too; otherwise raise max_completion_length."
        return Alarm("truncation", f"{now}, {values[0]:.0%} at first; {remedy}")
    return Alarm("truncation", f"{now}; raise max_completion_length or shorten the task.")


def find_no_variance(history: History) -> Alarm | None:
    """Groups that all get the same: there is nothing left to learn from."""
    values = history.values("frac_reward_zero_std")[-RECENT:]
    if len(values) == RECENT and min(values) >= 0.9:
        return Alarm(
            "no_variance",
            f"{values[-1]:.0%} of the groups have the same reward for each completion, so nothing is learned; choose "
            "problems that the model solves sometimes.",
        )
    return None


def find_hacking(history: History) -> Alarm | None:
    """Reward that rises while held-out accuracy does not: what is learned is not the task."""
    if len(history.evaluations) < 2:
        return None
    first, last = history.evaluations[0], history.evaluations[-1]
    if "eval_accuracy" not in first or "eval_accuracy" not in last:
        return None
    gain, low = gain_of(history)
    for before, now in (*rise_of_evaluations(first, last), *rise_of_training(history, first["step"])):
        if low <= 0 and gain < 0.25 * (now - before):
            return Alarm(
                "hacking",
                f"reward rose from {before:.3g} to {now:.3g} while held-out accuracy did not: {percent(first)} at step "
                f"{first['step']}, {percent(last)} now. A reward pays for something other than the answer; read rollouts "
                "with a high reward.",
                True,
            )
    return None


LEAST_RISE = 0.05
"""A smaller rise of the reward counts as none."""


def rise_of_evaluations(first: Row, last: Row) -> Iterator[tuple[float, float]]:
    """The held-out reward before and now, where it rose by more than accuracy is known to."""
    before, now = first.get("eval_reward"), last.get("eval_reward")
    if before is None or now is None:
        return
    noise = (last["eval_accuracy_high"] - last["eval_accuracy_low"]) / 2
    if now - before > max(noise, LEAST_RISE):
        yield before, now


def rise_of_training(history: History, step: int) -> Iterator[tuple[float, float]]:
    """The mean reward of some rows up to `step`, or the first ones, and of the last ones, where it rose beyond the noise."""
    rewards = history.values("reward")
    if len(rewards) < 2 * FIRST:
        return
    until = [row["reward"] for row in history.rows if row.get("reward") is not None and row["step"] <= step]
    before, recent = mean(until[-FIRST:] or rewards[:FIRST]), rewards[-FIRST:]
    noise = stdev(recent) / math.sqrt(len(recent)) + spread(rewards)
    if mean(recent) - before > max(2 * noise, LEAST_RISE):
        yield before, mean(recent)


def gain_of(history: History) -> tuple[float, float]:
    """By how much held-out accuracy rose since the first evaluation, and the lower end of its 95 % interval."""
    first, last = history.evaluations[0], history.evaluations[-1]
    if len(history.by_problem) == len(history.evaluations):
        pairs = zip(history.by_problem[0], history.by_problem[-1], strict=True)
        both = [pair for pair in pairs if not any(map(math.isnan, pair))]
        if both:
            gain = estimate_difference(*zip(*both, strict=True))
            return gain.value, gain.low
    gain = last["eval_accuracy"] - first["eval_accuracy"]
    return gain, last["eval_accuracy_low"] - first["eval_accuracy_high"]


def percent(row: Row) -> str:
    """An evaluation's accuracy with its interval, in percent."""
    value, low, high = (100 * row[f"eval_accuracy{end}"] for end in ("", "_low", "_high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


LARGEST_MOVE = 0.1
"""Share of a weight's typical size that one step may change it by. In the recipes it is 0.03 at most."""


def find_large_steps(model: Any, settings: Any) -> Alarm | None:
    """A learning rate by which Adam, whose steps are about as large as the rate, rewrites the weights in a few of them.

    A warm-up hides this from the first rows. Adapters are left out: they begin at zero.
    """
    rate = settings.learning_rate
    if "adam" not in settings.optim or hasattr(model, "peft_config"):
        return None
    # With DTensors and ZeRO-3, the part that this process has.
    local = (getattr(value, "to_local", lambda value=value: value)() for value in model.parameters() if value.ndim > 1)
    sizes = [value.detach().float().square().mean().sqrt().item() for value in local if value.numel()]
    typical = median(sizes) if sizes else 0.0
    if rate <= LARGEST_MOVE * typical or not typical:
        return None
    return Alarm(
        "large_steps",
        f"a step of learning_rate = {rate:g} changes each weight by about {rate / typical:.0%} of its typical size, "
        f"{typical:.2g}: a few steps replace all that the model knows; lower learning_rate.",
    )


RULES: tuple[Rule, ...] = (
    find_nan,
    find_loss_spike,
    find_reward_fall,
    find_entropy,
    find_kl,
    find_length,
    find_truncation,
    find_no_variance,
)
RULES_OF_EVALUATION: tuple[Rule, ...] = (find_hacking,)


class Watch:
    """The alarms of a run: each kind at most once."""

    def __init__(self) -> None:
        self.history = History()
        self.raised: set[str] = set()

    def observe(self, row: Row, by_problem: Sequence[float] = ()) -> list[Alarm]:
        """The alarms that a row of metrics, with its "step", raises."""
        if any(key.startswith("eval_") for key in row):
            self.history.evaluations.append(row)
            if by_problem:
                self.history.by_problem.append(list(by_problem))
            rules = RULES_OF_EVALUATION
        elif "loss" in row:
            of_all = row.get("dynamic_sampling/reward")  # `reward` is then of the groups that were kept
            self.history.rows.append(row if of_all is None else {**row, "reward": of_all})
            rules = (*RULES, *RULES_OF_EVALUATION)
        else:
            return []
        found = [alarm for rule in rules if (alarm := rule(self.history)) and alarm.kind not in self.raised]
        self.raised.update(alarm.kind for alarm in found)
        return found


class GuardCallback(TrainerCallback):
    """Reports and records the alarms of what is logged, and ends the run at a grave one where it should."""

    def __init__(self, trainer: Any, run: RunDir, stops: bool, report: Report) -> None:
        self.trainer, self.run, self.stops, self.report = trainer, run, stops, report
        self.watch = Watch()

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Know what a run that goes on has logged before, alarms included."""
        self.watch = Watch()
        files = (self.run.metrics, self.run.alarms)
        metrics, alarms = (list(read_jsonl(file)) if state.global_step and file.exists() else [] for file in files)
        for row in metrics:
            self.watch.observe(row)
        self.watch.raised = {row["alarm"] for row in alarms}
        if not state.global_step and (alarm := find_large_steps(kwargs["model"], args)):
            self.raise_alarm(alarm, state)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any) -> None:
        """Report each new alarm with its step."""
        row = {"step": state.global_step, **(logs or {})}
        is_evaluation = any(key.startswith("eval_") for key in row)
        by_problem = getattr(self.trainer, "problem_means", ()) if is_evaluation else ()
        for alarm in self.watch.observe(row, by_problem):
            self.raise_alarm(alarm, state)
            if alarm.is_grave and self.stops:
                self.end(state, control)

    def raise_alarm(self, alarm: Alarm, state: TrainerState) -> None:
        """Report and record an alarm with its step."""
        if state.is_world_process_zero:
            record = {"alarm": alarm.kind, "text": alarm.text, "is_grave": alarm.is_grave}
            append_line(self.run.alarms, {"step": state.global_step, **record})
            self.report(f"alarm at step {state.global_step}: {alarm.text}")

    def end(self, state: TrainerState, control: TrainerControl) -> None:
        """End the run."""
        control.should_training_stop = True
        if state.is_world_process_zero:
            self.report(f"step {state.global_step}: guards is stop, so training ends here")
