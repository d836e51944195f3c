"""language_consistency: the share of the thinking that is in the problem's language, so that it stays readable.

Formulas, numbers and code don't count (`text/natural.py`). Where nothing can be said, because there is no thinking, no
word in it, or no word in the problem, the sample has no value, and the other rewards alone decide.
"""

from __future__ import annotations

from open_r1.errors import ConfigError, DataError, nearest
from open_r1.records import Outcome
from open_r1.rewards.answer_reward import problems_of
from open_r1.rewards.base import NOT_APPLICABLE, Columns, RewardFunction, optional_column
from open_r1.rewards.spec import Example, RewardSetting, RewardSpec
from open_r1.text.natural import NAMES, SCRIPTS, find_language, language_share, read_language
from open_r1.text.thinking import split_thinking

__all__ = ["get_language_consistency_reward", "language_consistency_reward"]


def get_language_consistency_reward(language: str = "") -> RewardFunction:
    """The share of the thinking's words that are in `language` (`en`, `Chinese`), by default in each problem's own.

    A column `language` overrides both, where it names a natural language (in sets of programs it names another kind).
    ConfigError for a language that isn't known.
    """
    wanted = read_language(language) if language else None
    if language and wanted is None:
        raise ConfigError(
            f"consistency_language '{language}' is not known{nearest(language, [*SCRIPTS, *NAMES])} "
            f"Give a code, such as en or zh, or leave it empty for each problem's own language."
        )

    def score(texts: list[str], columns: Columns) -> list[Outcome]:
        languages = _languages(columns, len(texts), wanted)
        return [_outcome(text, language) for text, language in zip(texts, languages, strict=True)]

    return RewardFunction("language_consistency_reward", score)


def _languages(columns: Columns, count: int, wanted: str | None) -> list[str | None]:
    """The language that each completion should think in; None where it is not known."""
    named = [read_language(str(name)) or wanted for name in optional_column(columns, "language", count, "")]
    if all(named):
        return named
    problems = problems_of(columns)
    if problems is None:
        raise DataError(
            "language_consistency_reward needs the problems, to know their languages, but the data have "
            f"{', '.join(sorted(columns)) or 'no columns'}; give a column prompts, problem or language, or set "
            "consistency_language."
        )
    return [name or find_language(problem or "") for name, problem in zip(named, problems, strict=True)]


def _outcome(text: str, language: str | None) -> Outcome:
    share = language_share(split_thinking(text).thinking, language) if language else None
    return Outcome(None, NOT_APPLICABLE) if share is None else Outcome(share, "counted", {"language": language})


language_consistency_reward = get_language_consistency_reward()


def _think(thinking: str) -> Example:
    return Example(f"<think>\n{thinking}\n</think>\n4", {"prompts": "What is the sum of the two numbers?"})


REWARD = RewardSpec(
    name="language_consistency",
    build=lambda settings: get_language_consistency_reward(settings.consistency_language),
    kind="shape",
    summary="the share of the thinking's words that are in the problem's language",
    formula="r = words of the thinking in the problem's language / words of the thinking",
    source="DeepSeek-R1 (arXiv:2501.12948), section 2.3.2",
    settings=(
        RewardSetting(
            "consistency_language", "", "language of all thinking, as en or zh; by default each problem's own"
        ),
    ),
    example=_think("First we add the two numbers."),
    cases={
        thinking: _think(thinking)
        for thinking in (
            "We add the two: $2 + 2 = 4$.",
            "We add the two. 然后我们得到四。",
            "我们把两个数相加，得到四。",
            "Wir addieren die beiden Zahlen.",
        )
    },
)
