"""Which problems GRPO samples next, where dynamic sampling or the problems' pass rates decide how many are needed.

The problems of an epoch come in the order of TRL's sampler; a generation takes as many as it needs, and the next one goes on
behind them. Pools are prime-rl's (`orchestrator/buffer.py`), no positive resampling is ScaleRL's (arXiv:2510.13786).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

SOLVED = 0.9
"""The pass rate from which no positive resampling leaves a problem out of later epochs (ScaleRL)."""

Pool = Literal["easy", "normal", "hard", "retired"]


@dataclass
class DifficultyPools:
    """The problems by the pass rate that was last measured of each; None is unknown, and counts as normal.

    Args:
        pass_rates: One for each problem, within 0 and 1.
        easy: Problems from this pass rate on are easy; None where there are no pools.
        hard: Problems up to this pass rate are hard.
        pool_fraction: The share of epochs in which an easy or hard problem is sampled.
        retires: Whether a problem that was solved (`SOLVED`) in training is left out of later epochs.
    """

    pass_rates: list[float | None]
    easy: float | None = None
    hard: float | None = None
    pool_fraction: float = 0.0
    retires: bool = False
    solved_in: dict[int, int] = field(default_factory=dict)
    """The epoch in which each solved problem was."""

    def observe(self, problem: int, pass_rate: float | None, epoch: int) -> None:
        """Note a problem's pass rate in its last group; None, where no sample was scored, changes nothing."""
        if pass_rate is None:
            return
        self.pass_rates[problem] = pass_rate
        if self.retires and pass_rate >= SOLVED:
            self.solved_in.setdefault(problem, epoch)

    def pool_of(self, problem: int, epoch: int) -> Pool:
        """The pool that a problem is in at its turn in an epoch."""
        if self.solved_in.get(problem, epoch) < epoch:
            return "retired"
        rate = self.pass_rates[problem]
        if rate is not None and self.easy is not None and rate >= self.easy:
            return "easy"
        return "hard" if rate is not None and self.hard is not None and rate <= self.hard else "normal"

    def samples(self, problem: int, epoch: int, seed: int) -> bool:
        """Whether a problem is sampled at its turn in an epoch; which of the easy and hard ones are is random."""
        pool = self.pool_of(problem, epoch)
        if pool in ("normal", "retired"):
            return pool == "normal"
        return random.Random(f"{seed} {epoch} {problem}").random() < self.pool_fraction

    def shares(self, epoch: int) -> dict[Pool, float]:
        """The share of the problems in each pool."""
        pools = [self.pool_of(problem, epoch) for problem in range(len(self.pass_rates))]
        names: tuple[Pool, ...] = ("easy", "normal", "hard", "retired")
        return {name: pools.count(name) / len(pools) for name in names}


class PromptStream:
    """The problems in the order in which they are sampled, one epoch after another.

    Its state is an epoch, a place in the epoch's order, and the pools' pass rates.
    """

    def __init__(self, num_problems: int, seed: int, shuffles: bool, pools: DifficultyPools | None = None) -> None:
        self.num_problems, self.seed, self.shuffles, self.pools = num_problems, seed, shuffles, pools
        self.epoch = self.position = 0
        self.is_used_up = False
        """Whether an epoch had no problem left that the pools would sample."""
        self._order: Sequence[int] = ()
        self._order_of: int | None = None

    def take(self, count: int) -> list[int]:
        """The next problems, as rows of the data.

        Where a whole epoch has none that the pools would sample, they are sampled in order.
        """
        taken: list[int] = []
        passed = 0
        while len(taken) < count:
            problem, epoch = self._next()
            passed += 1
            if passed > self.num_problems:
                self.is_used_up = True
            if self.pools is None or passed > self.num_problems or self.pools.samples(problem, epoch, self.seed):
                taken.append(problem)
                passed = 0
        return taken

    def _next(self) -> tuple[int, int]:
        if self.position == self.num_problems:
            self.epoch, self.position = self.epoch + 1, 0
        if self._order_of != self.epoch:
            self._order, self._order_of = self._order_in(self.epoch), self.epoch
        self.position += 1
        return self._order[self.position - 1], self.epoch

    def _order_in(self, epoch: int) -> Sequence[int]:
        if not self.shuffles:
            return range(self.num_problems)
        generator = torch.Generator().manual_seed(self.seed + epoch)  # as TRL's sampler with our epochs
        return torch.randperm(self.num_problems, generator=generator).tolist()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, in JSON's terms."""
        pools = self.pools
        kept = {} if pools is None else {"pass_rates": pools.pass_rates, "solved_in": list(pools.solved_in.items())}
        return {"epoch": self.epoch, "position": self.position, **kept}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.epoch, self.position = state["epoch"], state["position"]
        if self.pools is not None:
            self.pools.pass_rates = list(state["pass_rates"])
            self.pools.solved_in = dict(state["solved_in"])


def make_stream(rows: Any, training: Any) -> PromptStream | None:
    """The prompt stream of a training on these rows; None where no setting needs one.

    Pass rates begin with the column `pass_rate`, which `open-r1 data pass-rate` writes, where the data have it.
    """
    has_pools = training.difficulty_pools or training.no_positive_resampling
    if not (training.dynamic_sampling or has_pools):
        return None
    pools = None
    if has_pools:
        measured = rows["pass_rate"] if "pass_rate" in rows.column_names else [None] * len(rows)
        limits = (training.easy_threshold, training.hard_threshold) if training.difficulty_pools else (None, None)
        pools = DifficultyPools(
            list(measured), *limits, training.pool_fraction, retires=training.no_positive_resampling
        )
    return PromptStream(len(rows), training.seed, training.shuffle_dataset is not False, pools)


def pass_rate_of(judges: Sequence[str], rewards: Mapping[str, float]) -> float | None:
    """A sample's pass rate: the mean of the rewards that judge answers, within 0 and 1; None without any."""
    values = [min(1.0, max(0.0, rewards[name])) for name in judges if not math.isnan(rewards[name])]
    return sum(values) / len(values) if values else None
