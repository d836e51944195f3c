"""length: among the completions of one prompt, the shorter are worth more; never so when they are wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from open_r1.answers.check import Verdict
from open_r1.records import Outcome
from open_r1.rewards.answer_reward import AnswerReward
from open_r1.rewards.base import Columns
from open_r1.rewards.functions.cosine import answer_of_length
from open_r1.rewards.spec import Curve, RewardSpec, Setup

__all__ = ["len_reward"]


def group_keys(columns: Columns) -> list[Hashable]:
    """The same for completions of the same prompt: the prompt, or the solution when no prompts are given."""
    given = (columns.get(name) for name in ("prompts", "prompt"))
    filled = (column for column in given if column is not None and len(column))  # an array's own truth is its items'
    return [repr(key) for key in next(filled, columns["solution"])]


def scale_lengths(lengths: Sequence[int], keys: Sequence[Hashable]) -> list[float]:
    """λ = ½ - (len - min) / (max - min) within each group; 0 where a group's lengths are all equal."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for key, length in zip(keys, lengths, strict=True):
        groups[key].append(length)
    ends = {key: (min(group), max(group)) for key, group in groups.items()}

    def scale(length: int, shortest: int, longest: int) -> float:
        return 0.5 - (length - shortest) / (longest - shortest) if longest > shortest else 0.0

    return [scale(length, *ends[key]) for key, length in zip(keys, lengths, strict=True)]


def _value(texts: list[str], columns: Columns, verdicts: list[Verdict]) -> list[Outcome]:
    scaled = scale_lengths([len(text) for text in texts], group_keys(columns))
    return [_outcome(verdict, value) for verdict, value in zip(verdicts, scaled, strict=True)]


def _outcome(verdict: Verdict, scaled: float) -> Outcome:
    """A wrong answer gains nothing by being short; where the gold can't be read, length alone counts."""
    is_free = verdict.is_correct or verdict.reason == "unparsable_gold"
    if not is_free and not verdict.outcome.is_scored:
        return verdict.outcome
    return Outcome(scaled if is_free else min(0.0, scaled), verdict.reason)


def _find_split_groups(setup: Setup) -> str | None:
    if not setup.completions_per_process % setup.num_generations:
        return None
    return (
        f"length compares the completions of a prompt, but a process has {setup.completions_per_process} and a prompt "
        f"{setup.num_generations}, so that some prompts are split between processes and compared in part; choose "
        "per_device_train_batch_size so that num_generations divides a process's share."
    )


len_reward = AnswerReward("len_reward", _value)

REWARD = RewardSpec(
    name="length",
    function_name="len_reward",
    build=lambda settings: len_reward,
    kind="answer",
    summary="shorter completions of the same prompt are worth more, and wrong ones never more than 0",
    formula="λ = ½ - (len - min) / (max - min) over one prompt's group; r = λ if correct, min(0, λ) if wrong",
    source="Kimi k1.5 (arXiv:2501.12599), section 2.3.3",
    needs_columns=("solution",),
    example=answer_of_length("5")(0),
    curve=Curve(
        "length in characters (shortest of the group 100, longest 1000)",
        range(100, 1001, 10),
        {"correct": answer_of_length("5"), "wrong": answer_of_length("6")},
    ),
    find_idle=_find_split_groups,
)
