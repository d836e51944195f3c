"""What makes an answer right in an evaluation: the same checker as in training."""

from __future__ import annotations

from collections.abc import Sequence

from open_r1.records import Outcome, Problem
from open_r1.rewards import accuracy_reward


def score_answers(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    """Each completion's answer against its problem's gold; a list counts in any order unless the problem says `ordered`."""
    return accuracy_reward.score(
        list(completions),
        solution=[problem.gold for problem in problems],
        ordered=[bool(problem.metadata.get("ordered")) for problem in problems],
    )
