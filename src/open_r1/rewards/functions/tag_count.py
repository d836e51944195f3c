"""tag_count: a quarter for each of the format's four tags that occurs in its place exactly once."""

from __future__ import annotations

from open_r1.records import Outcome
from open_r1.rewards.base import text_reward
from open_r1.rewards.functions.format import CASES, KEPT
from open_r1.rewards.spec import RewardSpec
from open_r1.text.tags import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN

__all__ = ["tag_count_reward"]

MARKS = (f"{THINK_OPEN}\n", f"\n{THINK_CLOSE}\n", f"\n{ANSWER_OPEN}\n", f"\n{ANSWER_CLOSE}")
"""The tags with the line ends that belong to them."""


def count_tags(text: str) -> float:
    """0.25 for each mark that occurs exactly once."""
    text = text.replace("\r\n", "\n")
    return sum(text.count(mark) == 1 for mark in MARKS) / len(MARKS)


tag_count_reward = text_reward("tag_count_reward", lambda text: Outcome(count_tags(text), "counted"))

REWARD = RewardSpec(
    name="tag_count",
    build=lambda settings: tag_count_reward,
    kind="tags",
    summary="0.25 for each of the four tags that occurs exactly once on a line of its own",
    formula="r = ¼ · (marks that occur exactly once)",
    source="Open-R1, after W. Brown's grpo_demo.py",
    example=KEPT,
    cases=CASES,
    is_default=True,
)
