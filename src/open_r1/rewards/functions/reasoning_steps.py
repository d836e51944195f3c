r"""reasoning_steps: up to 1 for steps that can be seen as steps, in English and Chinese."""

from __future__ import annotations

import re

from open_r1.records import Outcome
from open_r1.rewards.base import text_reward
from open_r1.rewards.spec import Example, RewardSpec

__all__ = ["reasoning_steps_reward"]

STEPS_FOR_FULL_REWARD = 3

ENGLISH = r"Step \d+:|^\d+\.(?!\d)|\n-|\n\*|First,|Second,|Next,|Finally,"
CHINESE = (
    r"第[一二三四五六七八九十\d]+步|步骤\s*[一二三四五六七八九十\d]+\s*[:：]|^\d+、|^[一二三四五六七八九十]+、"
    r"|(?:首先|其次|然后|接着|接下来|最后|第[一二三])[,，]"
)
_STEP = re.compile(f"{ENGLISH}|{CHINESE}", re.MULTILINE)


def count_steps(text: str) -> int:
    """How many marks of a step `text` has."""
    return sum(1 for _ in _STEP.finditer(text))


reasoning_steps_reward = text_reward(
    "reasoning_steps_reward", lambda text: Outcome(min(1.0, count_steps(text) / STEPS_FOR_FULL_REWARD), "counted")
)

REWARD = RewardSpec(
    name="reasoning_steps",
    build=lambda settings: reasoning_steps_reward,
    kind="shape",
    summary="a third for each visible step (Step 1:, 1., -, First, 第一步, 首先，…), 1 at most",
    formula="r = min(1, n / 3)",
    source="Open-R1",
    example=Example("Step 1: …\nStep 2: …\nStep 3: …"),
    cases={f"{count} steps": Example("\n".join(["1. …"] * count)) for count in range(5)},
)
