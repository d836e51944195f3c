"""Held-out accuracy while GRPO trains, with its interval: what best checkpoint, early stop and guards go by.

TRL evaluates by `eval_strategy`: it samples `num_generations_eval` completions of each problem of the evaluation split,
as in training, and scores them by the training's rewards. Added here: `eval_accuracy` with `eval_accuracy_low` and
`eval_accuracy_high`, its 95 % interval clustered by problem, from the rewards that judge answers; where none does,
from the gold. Every evaluation uses the same random numbers, and training's go on as if there had been none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from trl import GRPOTrainer

from open_r1.answers.check import check_answers
from open_r1.errors import ConfigError
from open_r1.estimates import estimate_share, mean
from open_r1.rewards.base import text_of
from open_r1.rewards.spec import RewardSpec


class HeldOutTrainer(GRPOTrainer):
    """TRL's GRPOTrainer whose evaluations report accuracy. Leans on `_calculate_rewards` and `_metrics`."""

    specs: Sequence[RewardSpec] = ()
    problem_means: Sequence[float] = ()
    """Of the last evaluation, in the order of its problems: each problem's mean accuracy over its samples."""
    _judged: Sequence[float] = ()

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's, with random numbers of its own, and the accuracy among what is logged."""
        self._judged = ()
        device = self.accelerator.device
        indices = [] if device.type == "cpu" else [device.index or 0]
        with torch.random.fork_rng(indices, device_type="cuda" if device.type == "cpu" else device.type):
            torch.manual_seed(self.args.seed + self.accelerator.process_index)
            output = super().evaluation_loop(*args, **kwargs)
        held_out: Any = self.eval_dataset
        if self._judged and held_out is not None:
            self.problem_means = means_of_groups(self._judged, len(held_out), int(self.num_generations_eval or 1))
            accuracy = estimate_share([value for value in self.problem_means if not math.isnan(value)])
            metrics = self._metrics["eval"]
            for name, value in (("", accuracy.value), ("_low", accuracy.low), ("_high", accuracy.high)):
                metrics[f"accuracy{name}"] = [value]
        return output

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, *rest: Any, **more: Any) -> torch.Tensor:
        rewards: Any = super()._calculate_rewards(inputs, prompts, completions, *rest, **more)
        if self.model is not None and not self.model.training:
            self._judged = [*self._judged, *self._judge(rewards, inputs, completions)]
        return rewards

    def _judge(self, rewards: torch.Tensor, inputs: Any, completions: Any) -> list[float]:
        """Each sample's accuracy, of the samples of all processes; NaN where it could not be judged."""
        judges = [place for place, spec in enumerate(self.specs) if spec.is_judge]
        if judges:
            return rewards[:, judges].nanmean(1).tolist()
        if "solution" not in inputs[0]:
            return []
        verdicts = check_answers([row["solution"] for row in inputs], list(map(text_of, completions)))
        values = [math.nan if verdict.outcome.value is None else verdict.outcome.value for verdict in verdicts]
        gathered: Any = self.accelerator.gather(torch.tensor(values, device=rewards.device))
        return gathered.tolist()


def means_of_groups(values: Sequence[float], num_problems: int, group: int) -> list[float]:
    """Each problem's mean over its `group` samples that have a value; NaN where none has.

    What follows the last problem fills up the last batch of several processes, and is left out.
    """
    groups = [values[start : start + group] for start in range(0, min(len(values), num_problems * group), group)]
    return [mean([value for value in one if not math.isnan(value)]) for one in groups]


def check_held_out(training: Any, specs: Sequence[RewardSpec], columns: Sequence[str]) -> None:
    """ConfigError where the best model goes by an accuracy that nothing can judge."""
    by_accuracy = (training.metric_for_best_model or "").removeprefix("eval_").startswith("accuracy")
    if by_accuracy and "solution" not in columns and not any(spec.is_judge for spec in specs):
        raise ConfigError(
            "metric_for_best_model is accuracy, but no reward judges answers and the data have no column 'solution'; "
            "set metric_for_best_model reward, or name the column by dataset_solution_column."
        )
