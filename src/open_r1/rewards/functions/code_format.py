"""code_format: R1's format with a fenced block of code in the answer."""

from __future__ import annotations

from open_r1.records import Outcome
from open_r1.rewards.base import Columns, RewardFunction, optional_column
from open_r1.rewards.functions.format import all_or_nothing, check_format
from open_r1.rewards.spec import WELL_FORMED, Example, RewardSetting, RewardSpec
from open_r1.text.fences import fenced_blocks
from open_r1.text.languages import canonical_language
from open_r1.text.tags import last_answer_block, render_completion

__all__ = ["get_code_format_reward"]

CODE_LANGUAGE = RewardSetting("code_language", "python", "language of the program")


def get_code_format_reward(language: str = "python") -> RewardFunction:
    """1 if the format is kept and the answer has a closed fenced block of `language`; a `language` column overrides it.

    Languages are compared as names (`c++` is `cpp`), never as patterns.
    """

    def score(texts: list[str], columns: Columns) -> list[Outcome]:
        languages = optional_column(columns, "language", len(texts), language)
        return [all_or_nothing(check_code_format(*sample)) for sample in zip(texts, languages, strict=True)]

    return RewardFunction("code_format_reward", score)


def check_code_format(text: str, language: str) -> str:
    """The first condition that fails, or "well_formed"."""
    if (reason := check_format(text)) != WELL_FORMED:
        return reason
    fenced = {fence_language for fence_language, _ in fenced_blocks(last_answer_block(text) or "")}
    return WELL_FORMED if canonical_language(language) in fenced else "no_code_block_of_the_language"


def _answer(block: str) -> Example:
    return Example(render_completion("…", block), {"language": "python"})


REWARD = RewardSpec(
    name="code_format",
    build=lambda settings: get_code_format_reward(settings.code_language),
    kind="format",
    summary="1 if the format is kept and the answer has a fenced block of the language",
    formula="r = 1 if the format is kept with ```language …``` in the answer, else 0",
    source="Open-R1",
    settings=(CODE_LANGUAGE,),
    example=_answer("```python\nprint(1)\n```"),
    cases={
        block.replace("\n", "⏎"): _answer(block)
        for block in ("```python\nx\n```", "```py\nx\n```", "```cpp\nx\n```", "```python\nx", "x")
    },
)
