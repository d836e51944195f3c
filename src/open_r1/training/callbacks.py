"""What happens beside the training loop: records, progress, the user's own callbacks."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState

from open_r1.rundir import RunDir, append_line

Report = Callable[[str], None]


class MetricsCallback(TrainerCallback):
    """Appends every log of the trainer to metrics.jsonl; a value that is not a finite number becomes null."""

    def __init__(self, run: RunDir) -> None:
        self.run = run

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any) -> None:
        """Append a row of metrics with its step; NaN and infinity are written as null."""
        if state.is_world_process_zero and logs:
            is_finite = {key: not isinstance(value, float) or math.isfinite(value) for key, value in logs.items()}
            row = {key: value if is_finite[key] else None for key, value in logs.items()}
            append_line(self.run.metrics, {"step": state.global_step, **row})


class ProgressCallback(TrainerCallback):
    """A line every few seconds: the step, the numbers that matter, the time left.

    Args:
        judges: The rewards that tell right from wrong, whose means are among those numbers.
    """

    SECONDS_BETWEEN = 5.0

    def __init__(self, report: Report, judges: Sequence[str] = ()) -> None:
        self.report = report
        of_judges = [f"rewards/{name}/mean" for name in judges]
        self.shown = ("loss", "mean_token_accuracy", "reward", *of_judges, "completions/mean_length")
        self.first_step = 0
        self.started = self.last_shown = 0.0

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Remember the first step and the time, from which the rest is estimated."""
        self.first_step, self.started = state.global_step, time.monotonic()

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any) -> None:
        """Report the step, the figures and the seconds left, once in `SECONDS_BETWEEN` and at the last step."""
        now = time.monotonic()
        found = {key: value for key in self.shown if isinstance(value := (logs or {}).get(key), int | float)}
        numbers = [f"{key.removesuffix('/mean').rpartition('/')[2]} {value:.3g}" for key, value in found.items()]
        is_due = now - self.last_shown >= self.SECONDS_BETWEEN or state.global_step >= state.max_steps
        if not (state.is_world_process_zero and numbers and is_due):
            return
        self.last_shown = now
        done = state.global_step - self.first_step
        left = (now - self.started) / done * (state.max_steps - state.global_step) if done else math.nan
        self.report(f"step {state.global_step}/{state.max_steps}  {'  '.join(numbers)}  {left:.0f} s left")


class StopCallback(TrainerCallback):
    """Ends training with a checkpoint after a step at which a generation ends, once a signal asks for it.

    A second interrupt stops at once; SIGTERM, which a scheduler and a launcher may both send, counts once. The processes
    of a launch agree on the step, and on whether SIGTERM asked.
    """

    def __init__(self, accelerator: Any, period: int, report: Report) -> None:
        self.accelerator, self.period, self.report = accelerator, period, report
        self.is_asked = self.is_terminated = self.has_stopped = False

    def ask(self, number: int = signal.SIGINT, *_: Any) -> None:
        """Handle a signal. KeyboardInterrupt for an interrupt after another signal."""
        self.is_terminated |= number == signal.SIGTERM
        if self.is_asked:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.is_asked = True
        self.report("stopping with a checkpoint after this step; interrupt again to stop at once")

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save and stop at the next whole period once any process was asked to stop."""
        is_asked = self.is_asked
        if self.accelerator.num_processes > 1:
            asked = torch.tensor([is_asked, self.is_terminated], dtype=torch.float, device=self.accelerator.device)
            is_asked, self.is_terminated = map(bool, self.accelerator.reduce(asked, "sum").tolist())
        if is_asked and state.global_step % self.period == 0 and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = self.has_stopped = True


class EarlyStopCallback(TrainerCallback):
    """Ends training when the metric of the best model has not improved for `patience` evaluations.

    It counts in the trainer's log, which checkpoints contain: a resumed run stops where an unbroken one does.
    """

    def __init__(self, patience: int, report: Report) -> None:
        self.patience, self.report = patience, report

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Stop after an evaluation that is the last of `patience` without improvement."""
        name = f"eval_{args.metric_for_best_model.removeprefix('eval_')}"
        values = [row[name] for row in state.log_history if row.get(name) is not None]
        sign = 1 if args.greater_is_better else -1
        best = max(range(len(values)), key=lambda place: sign * values[place], default=0)
        if len(values) - 1 - best >= self.patience and not control.should_training_stop:
            control.should_training_stop = True
            if state.is_world_process_zero:
                bound = "exceeded" if sign > 0 else "fallen below"
                self.report(
                    f"step {state.global_step}: stopping early, {name} has not {bound} {values[best]:.4g} for "
                    f"{self.patience} evaluations"
                )
