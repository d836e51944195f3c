"""What metrics.jsonl has of each reward beside the mean and std that TRL logs.

    rewards/NAME/zero_variance     share of the groups in which this reward gave every scored sample the same
    rewards/NAME/reason/REASON     share of the samples for which this was the reason

Reasons that only say that a value was given ("counted", "scored") are left out. A reason that did not occur has no
entry. `rewards/NAME/unscored` and `rewards/NAME/weight` come from `grpo`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, MutableMapping
from typing import Any

from open_r1.records import Outcome
from open_r1.rewards.combination import summarise

UNTELLING = frozenset({"counted", "scored"})
MAX_REASONS = 12
"""A user's reward may give a reason of its own to every sample; beyond the commonest they are counted together."""


def reward_metrics(logs: Mapping[str, Any], group_size: int) -> dict[str, float]:
    """The metrics of one generation batch from TRL's `_logs`, whose samples stand group by group."""
    metrics: dict[str, float] = {}
    for name, values in logs["rewards"].items():
        reasons = logs["extra"].get(f"{name}_reason", ())
        reasons = reasons if len(reasons) == len(values) else [None] * len(values)
        outcomes = [
            Outcome(None if math.isnan(value) else value, reason or "scored")
            for value, reason in zip(values, reasons, strict=True)
        ]
        summary = summarise(outcomes, group_size)
        share = summary.zero_variance_share
        metrics[f"rewards/{name}/zero_variance"] = math.nan if share is None else share
        for reason, count in count_reasons(summary.reasons).items():
            metrics[f"rewards/{name}/reason/{reason}"] = count / len(outcomes)
    return metrics


def count_reasons(reasons: Mapping[str, int]) -> dict[str, int]:
    """The commonest reasons that say more than that a value was given, and the rest together as "other"."""
    telling = Counter({reason: count for reason, count in reasons.items() if reason not in UNTELLING})
    counts = dict(telling.most_common(MAX_REASONS))
    if rest := telling.total() - sum(counts.values()):
        counts["other"] = counts.get("other", 0) + rest
    return counts


def add_metrics(held: MutableMapping[str, list[float]], new: Mapping[str, float], generations: int) -> None:
    """Add one generation's metrics to those held since the last log, whose mean will be logged.

    `generations` counts those held, the new one among them; a reason that one of them lacks is 0 there.
    """
    for key in dict.fromkeys([*new, *(key for key in held if "/reason/" in key)]):
        missing = 0.0 if "/reason/" in key else math.nan
        values = held[key]
        values.extend([missing] * (generations - 1 - len(values)))
        values.append(new.get(key, missing))
