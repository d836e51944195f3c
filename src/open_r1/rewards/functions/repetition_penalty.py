"""repetition_penalty: the share of n-grams that repeat earlier ones, times a penalty."""

from __future__ import annotations

from typing import Literal

from open_r1.configs.ranges import COUNT
from open_r1.errors import ConfigError
from open_r1.records import Outcome
from open_r1.rewards.base import Columns, RewardFunction
from open_r1.rewards.spec import Curve, Example, RewardSetting, RewardSpec
from open_r1.text.words import check_language, ngrams, split_words

__all__ = ["get_repetition_penalty_reward"]


def get_repetition_penalty_reward(
    ngram_size: int = 3, max_penalty: float = -1.0, language: str = "en"
) -> RewardFunction:
    """The reward (1 - unique / total) · max_penalty over the n-grams of lower-cased words (arXiv:2502.03373).

    A completion with fewer than `ngram_size` words repeats nothing: 0. ConfigError for a positive penalty, an n-gram
    size below 1, and a language whose words can't be split here (`zh` needs jieba).
    """
    if max_penalty > 0:
        raise ConfigError(f"max_penalty {max_penalty} should not be positive; give -1.0 or another number up to 0.")
    if ngram_size < 1:
        raise ConfigError(f"ngram_size must be 1 or more, got {ngram_size}; 3 is usual.")
    check_language(language)

    def score(texts: list[str], columns: Columns) -> list[Outcome]:
        return [Outcome(repeated_share(text, ngram_size, language) * max_penalty + 0.0, "counted") for text in texts]

    return RewardFunction("repetition_penalty_reward", score)


def repeated_share(text: str, ngram_size: int, language: str = "en") -> float:
    """1 - distinct n-grams / n-grams; 0 where there are none."""
    all_ngrams = list(ngrams(split_words(text, language), ngram_size))
    return 1 - len(set(all_ngrams)) / len(all_ngrams) if all_ngrams else 0.0


def _repeated_words(share: float) -> Example:
    count = round(60 * share)
    return Example(" ".join(["again"] * count + [f"w{place}" for place in range(60 - count)]))


REWARD = RewardSpec(
    name="repetition_penalty",
    build=lambda settings: get_repetition_penalty_reward(
        settings.repetition_n_grams, settings.repetition_max_penalty, settings.repetition_language
    ),
    kind="shape",
    summary="a penalty for n-grams that repeat; words of English at white space, of Chinese by jieba",
    formula="r = (1 - unique / total) · max_penalty",
    source="Demystifying Long Chain-of-Thought Reasoning (arXiv:2502.03373)",
    settings=(
        RewardSetting("repetition_n_grams", 3, "words in an n-gram", COUNT),
        RewardSetting("repetition_max_penalty", -1.0, "value of pure repetition, at most 0"),
        RewardSetting("repetition_language", "en", "language that splits the words", type=Literal["en", "zh"]),
    ),
    example=Example("every word occurs here once"),
    curve=Curve(
        "share of the words that are one word, repeated (repetition_n_grams 3)",
        [count / 60 for count in range(61)],
        {"": _repeated_words},
    ),
)
