"""Dynamic sampling: groups whose samples all earn the same are replaced by groups of further problems.

DAPO (arXiv:2503.14476), section 3.2: a group without variance has no advantage, so it shrinks the batch that is learned
from. After each round of sampling and scoring, groups with an advantage are kept, and further problems are sampled for the
places of the others, until all places are taken or `dynamic_sampling_max_rounds` is reached; then groups without advantage
take the places that are left. TRL's `_generate_and_score_completions` then goes on with the groups kept as if it had
sampled them. Whoever samples, TRL, `slot_rollouts` or vLLM, does it in TRL 1.16's `_generate`, on which this leans, as on
`_calculate_rewards` and `_pending_extra_logs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from trl import GRPOTrainer

from open_r1.rundir import read_json, write_json
from open_r1.training.callbacks import Report
from open_r1.training.prompt_stream import PromptStream

STATE = "prompt_stream.json"
"""The file of a checkpoint that has the prompt stream's state."""
NUM_LISTS = 5
"""How many of the values that `_generate` returns have an item a sample: from the prompts' ids to log-probabilities."""
ROUNDING = 1e-6
"""Advantages up to this size come from rounding: TRL divides by the std + 1e-4, which makes them 1e-3."""


@dataclass(frozen=True)
class Sample:
    """One completion: its values of TRL's `_generate`, and what the rewards logged of it, by column."""

    generated: tuple[Any, ...]
    logged: Mapping[str, Any]


@dataclass(frozen=True)
class Group:
    """A problem's samples, the rewards of each, whether they move the policy, and the round that sampled them."""

    problem: int
    round: int
    samples: Sequence[Sample]
    rewards: Sequence[Sequence[float]]
    has_advantage: bool

    @property
    def num_tokens(self) -> int:
        """Tokens of its completions."""
        return sum(len(sample.generated[1]) for sample in self.samples)


@dataclass(frozen=True)
class SampledGroups:
    """What TRL goes on with: this process's rows and values of `_generate`, and the rewards of all processes."""

    rows: list[dict[str, Any]]
    generated: tuple[Any, ...]
    rewards: torch.Tensor


class DynamicSamplingTrainer(GRPOTrainer):
    """TRL's GRPOTrainer whose problems come from a prompt stream, with groups without advantage replaced where wanted."""

    stream: PromptStream | None = None
    """None where TRL's own order of problems is followed."""
    max_rounds: int = 1
    rate_of: Callable[[Mapping[str, float]], float | None] = staticmethod(lambda rewards: None)
    """A sample's share of a solution by its rewards, None where it was not scored; for the pools."""
    sampled: SampledGroups | None = None
    """The groups that TRL is to go on with, while it does."""
    report: Report
    rows_sampled: Sequence[Mapping[str, Any]] = ()
    """The rows of the data whose completions are sampled, while they are; of this process."""
    _has_warned = _has_warned_of_pools = False

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self.model is None or not self.model.training:
            return super()._generate_and_score_completions(inputs)
        if self.stream is None:
            self.rows_sampled = inputs
            return self._without_rounding(super()._generate_and_score_completions(inputs))
        self.sampled = self._sample_groups(self.stream, len(inputs))
        try:
            return self._without_rounding(super()._generate_and_score_completions(self.sampled.rows))
        finally:
            self.sampled = None

    def _without_rounding(self, output: dict[str, Any]) -> dict[str, Any]:
        """Sets the advantages of groups that have none to exactly 0, so that they cost no forward and backward."""
        group_size, logged = int(self.num_generations or 1), self._logs["advantages"]  # of all processes
        rewards = list(zip(*self._logs["rewards"].values(), strict=True))
        here = output["advantages"]
        first = self.accelerator.process_index * len(here)
        for start in range(0, len(rewards), group_size):
            group = rewards[start : start + group_size]
            if has_advantage(group, self._weights, [True] * len(group), self.multi_objective_aggregation):
                continue
            for place in range(start, start + len(group)):
                logged[place] = 0.0
                if 0 <= place - first < len(here):
                    here[place - first] = 0.0
        return output

    def _sample_groups(self, stream: PromptStream, share: int) -> SampledGroups:
        """Groups for one generation, `share` samples a process, sampled and scored in as many rounds as it takes."""
        processes, group_size = self.accelerator.num_processes, int(self.num_generations or 1)
        wanted = share * processes // group_size
        kept: list[Group] = []
        rest: list[Group] = []
        for number in range(1, self.max_rounds + 1):
            count = self._round_size(wanted, len(kept), len(kept) + len(rest))
            for group in self._sample_round(stream.take(count), number):
                (kept if group.has_advantage else rest).append(group)
            if len(kept) >= wanted:
                break
        self._log_sampling(wanted, kept, rest)
        self._log_pools(stream)
        return self._on_this_process((kept + rest)[:wanted], share)

    def _round_size(self, wanted: int, kept: int, sampled: int) -> int:
        """How many problems to sample next: as many as fill the places at the rate so far, at most a generation.

        Each process has to sample equally many completions.
        """
        group_size, processes = int(self.num_generations or 1), self.accelerator.num_processes
        unit = processes // math.gcd(processes, group_size)
        expected = math.ceil((wanted - kept) * sampled / kept) if kept else wanted
        return min(wanted, math.ceil(expected / unit) * unit)

    def _sample_round(self, problems: Sequence[int], number: int) -> Iterator[Group]:
        """Sample and score a group for each problem; all processes get all groups."""
        group_size = int(self.num_generations or 1)
        share = len(problems) * group_size // self.accelerator.num_processes
        first = self.accelerator.process_index * share
        every = [problem for problem in problems for _ in range(group_size)]
        rows = [dict(self.train_dataset[problem]) for problem in every[first : first + share]]  # type: ignore[index]
        prompts = [row["prompt"] for row in rows]
        self.rows_sampled = rows
        generated = self._generate(prompts)
        rewards = self._calculate_rewards(rows, prompts, generated[3], generated[1]).tolist()
        samples = self._everywhere(self._take_samples(generated, len(rows)))
        for place, problem in enumerate(problems):
            members = slice(place * group_size, (place + 1) * group_size)
            counted = [self._counts(sample) for sample in samples[members]]
            group = Group(
                problem, number, samples[members], rewards[members],
                has_advantage(rewards[members], self._weights, counted, self.multi_objective_aggregation),
            )  # fmt: skip
            self._observe(group)
            yield group

    @property
    def _weights(self) -> list[float]:
        return [round(weight, 6) for weight in self.reward_weights.tolist()]

    def _counts(self, sample: Sample) -> bool:
        """Whether a sample is in the loss: not where it is truncated and those are masked."""
        ends = (*self.eos_token_ids, self._tokenizer.pad_token_id)
        return not self.mask_truncated_completions or sample.generated[1][-1] in ends

    def _everywhere(self, samples: list[Sample]) -> list[Sample]:
        return gather_object(samples) if self.accelerator.num_processes > 1 else samples

    def _take_samples(self, generated: Sequence[Any], count: int) -> list[Sample]:
        """This process's samples; what the rewards logged of them is taken from TRL, which would log all of it."""
        lists = [values if values is not None else [None] * count for values in generated[:NUM_LISTS]]
        logged = {name: values for name, values in self._pending_extra_logs.items() if len(values) == count}
        self._pending_extra_logs.clear()
        return [
            Sample(tuple(values[row] for values in lists), {name: values[row] for name, values in logged.items()})
            for row in range(count)
        ]

    def _observe(self, group: Group) -> None:
        if self.stream is None or self.stream.pools is None:
            return
        rates = [self.rate_of(dict(zip(self.reward_func_names, one, strict=True))) for one in group.rewards]
        known = [rate for rate in rates if rate is not None]
        self.stream.pools.observe(group.problem, sum(known) / len(known) if known else None, self.stream.epoch)

    def _on_this_process(self, groups: Sequence[Group], count: int) -> SampledGroups:
        """This process's share of the groups, `count` samples; what was logged of them is given back to TRL."""
        every = [(group, sample) for group in groups for sample in group.samples]
        first = self.accelerator.process_index * count
        mine = every[first : first + count]
        for name in sorted({name for _, sample in every for name in sample.logged}):
            self._pending_extra_logs[name] = [sample.logged.get(name) for _, sample in mine]
        self._pending_extra_logs["sampling_round"] = [group.round for group, _ in mine]
        lists = [list(values) for values in zip(*(sample.generated for _, sample in mine), strict=True)]
        has_none = [values[0] is None for values in lists]
        device = self.accelerator.device
        return SampledGroups(
            rows=[dict(self.train_dataset[group.problem]) for group, _ in mine],  # type: ignore[index]
            generated=(
                *(None if none else values for none, values in zip(has_none, lists, strict=True)),
                {},
                None,
                [],
            ),
            rewards=torch.tensor([rewards for group in groups for rewards in group.rewards], device=device),
        )

    def _log_sampling(self, wanted: int, kept: Sequence[Group], rest: Sequence[Group]) -> None:
        if self.max_rounds == 1:
            return
        missing = max(0, wanted - len(kept))
        discarded = [*kept[wanted:], *rest[missing:]]
        values = {
            "rounds": max(group.round for group in (*kept, *rest)),
            "groups_sampled": len(kept) + len(rest),
            "groups_discarded": len(discarded),
            "tokens_discarded": sum(group.num_tokens for group in discarded),
            "groups_missing": missing,
            "reward": mean_reward([*kept, *rest], self._weights),
        }
        for name, value in values.items():
            self._metrics["train"][f"dynamic_sampling/{name}"].append(float(value))
        if missing and not self._has_warned:
            self._has_warned = True
            self.report(
                f"dynamic sampling: after {self.max_rounds} rounds, {missing} of {wanted} groups still have samples that "
                "all earn the same; they stay in this step's batch and change nothing. It is counted as "
                "dynamic_sampling/groups_missing from here on. Choose problems that are solved sometimes (open-r1 data "
                "pass-rate), or raise dynamic_sampling_max_rounds or num_generations."
            )

    def _log_pools(self, stream: PromptStream) -> None:
        shares = stream.pools.shares(stream.epoch) if stream.pools else {}
        for name, share in shares.items():
            self._metrics["train"][f"difficulty_pools/{name}"].append(share)
        if stream.is_used_up and not self._has_warned_of_pools:
            self._has_warned_of_pools = True
            self.report(
                "an epoch had no problem left to sample: all are easy, hard or solved. They are sampled in order "
                "instead; give more problems."
            )

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        generated = super()._generate(prompts) if self.sampled is None else self.sampled.generated
        self.rows_sampled = ()
        return generated

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return super()._calculate_rewards(*args, **kwargs) if self.sampled is None else self.sampled.rewards

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.stream is not None and self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
            write_json(folder / STATE, self.stream.state())

    def _init_training_state(
        self, max_steps: int, steps_an_epoch: int, num_epochs: int, resume_from_checkpoint: Any, trial: Any
    ) -> Any:
        counts = super()._init_training_state(max_steps, steps_an_epoch, num_epochs, resume_from_checkpoint, trial)
        if self.stream is not None and resume_from_checkpoint:
            self.stream.restore(read_json(Path(resume_from_checkpoint) / STATE))
        return counts


def has_advantage(
    rewards: Sequence[Sequence[float]], weights: Sequence[float], counted: Sequence[bool], aggregation: str
) -> bool:
    """Whether a group's samples that count in the loss have an advantage: rewards unlike the group's mean.

    Args:
        rewards: Shape (samples, rewards); NaN where a reward has no value. A sample without any has no advantage.
        weights: Of each reward.
        counted: Which samples count in the loss.
        aggregation: TRL's `multi_objective_aggregation`: each reward is compared, or their weighted sum.
    """
    scored = [place for place, of_sample in enumerate(rewards) if not all(map(math.isnan, of_sample))]
    weighed = [[weight * value for weight, value in zip(weights, of_sample, strict=True)] for of_sample in rewards]
    if aggregation == "sum_then_normalize":
        weighed = [[math.fsum(value for value in of_sample if not math.isnan(value))] for of_sample in weighed]
    for values in zip(*(weighed[place] for place in scored), strict=True):
        known = [value for value in values if not math.isnan(value)]
        mean = math.fsum(known) / len(known) if known else math.nan
        if any(abs(value - mean) > ROUNDING and counted[place] for place, value in zip(scored, values, strict=True)):
            return True
    return False


def mean_reward(groups: Sequence[Group], weights: Sequence[float]) -> float:
    """The mean weighted reward of all scored samples; NaN where there are none."""
    sums = [
        math.fsum(weight * value for weight, value in zip(weights, one, strict=True) if not math.isnan(value))
        for group in groups
        for one in group.rewards
        if not all(map(math.isnan, one))
    ]
    return math.fsum(sums) / len(sums) if sums else math.nan
