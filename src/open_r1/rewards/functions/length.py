"""length: among the completions of one prompt, the shorter are worth more; never so when they are wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence, Sized

from open_r1.answers.check import Verdict
from open_r1.records import Outcome
from open_r1.rewards.base import Columns, RewardFunction, RewardSpec
from open_r1.rewards.functions.accuracy import verdicts_of


def group_keys(columns: Columns) -> list[Hashable]:
    """What tells one prompt's completions from another's: the prompt, or the solution when no prompts are given."""
    prompts = next((columns[name] for name in ("prompts", "prompt") if _is_filled(columns.get(name))), None)
    return [repr(key) for key in (columns["solution"] if prompts is None else prompts)]


def _is_filled(column: Sized | None) -> bool:
    """Whether there is something in a column, which may be an array, whose own truth value is that of its items."""
    return column is not None and len(column) > 0


def scale_lengths(lengths: Sequence[int], keys: Sequence[Hashable]) -> list[float]:
    """λ = ½ - (len - min) / (max - min) within each group; 0 where a group's lengths are all equal."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for key, length in zip(keys, lengths, strict=True):
        groups[key].append(length)
    ends = {key: (min(group), max(group)) for key, group in groups.items()}
    return [_scale(length, *ends[key]) for key, length in zip(keys, lengths, strict=True)]


def _scale(length: int, shortest: int, longest: int) -> float:
    return 0.5 - (length - shortest) / (longest - shortest) if longest > shortest else 0.0


def _score(texts: list[str], columns: Columns) -> list[Outcome]:
    scaled = scale_lengths([len(text) for text in texts], group_keys(columns))
    return [_outcome(verdict, value) for verdict, value in zip(verdicts_of(texts, columns), scaled, strict=True)]


def _outcome(verdict: Verdict, scaled: float) -> Outcome:
    """A wrong answer gains nothing by being short; where the gold can't be read, length alone counts."""
    is_free = verdict.is_correct or verdict.reason == "unparsable_gold"
    if not is_free and not verdict.outcome.is_scored:
        return verdict.outcome
    return Outcome(scaled if is_free else min(0.0, scaled), verdict.reason)


len_reward = RewardFunction("len_reward", _score, needs_columns=("solution",))

REWARD = RewardSpec(
    name="length",
    function_name="len_reward",
    build=lambda settings: len_reward,
    summary="shorter completions of the same prompt are worth more, and wrong ones never more than 0",
    formula="λ = ½ - (len - min) / (max - min) over one prompt's group; r = λ if correct, min(0, λ) if wrong",
    source="Kimi k1.5 (arXiv:2501.12599), section 2.3.3",
    needs_columns=("solution",),
)
