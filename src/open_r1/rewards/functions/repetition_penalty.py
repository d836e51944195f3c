"""repetition_penalty: the share of n-grams that repeat earlier ones, times a penalty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from open_r1.configs.ranges import COUNT
from open_r1.errors import ConfigError, nearest
from open_r1.records import Outcome
from open_r1.rewards.base import RewardFunction, text_reward
from open_r1.rewards.spec import Curve, Example, RewardSetting, RewardSpec

__all__ = ["get_repetition_penalty_reward"]

LANGUAGES = ("en", "zh")


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
    split_words = word_splitter(language)

    def outcome_of(text: str) -> Outcome:
        found = list(ngrams(split_words(text), ngram_size))
        repeated_share = 1 - len(set(found)) / len(found) if found else 0.0
        return Outcome(repeated_share * max_penalty + 0.0, "counted")

    return text_reward("repetition_penalty_reward", outcome_of)


def word_splitter(language: str) -> Callable[[str], list[str]]:
    """Text -> its words in lower case: split at white space for `en`, by jieba for `zh`.

    ConfigError for another language, and where jieba isn't installed.
    """
    if language == "en":
        return lambda text: text.lower().split()
    if language not in LANGUAGES:
        raise ConfigError(
            f"language '{language}' can't be split into words{nearest(language, LANGUAGES)} "
            f"Choose one of: {', '.join(LANGUAGES)}."
        )
    try:
        import jieba
    except ImportError as error:
        raise ConfigError(
            "language 'zh' needs the package jieba, which is not installed; install it with `pip install jieba`."
        ) from error
    jieba.setLogLevel("WARNING")
    return lambda text: [word for word in jieba.lcut(text.lower()) if not word.isspace()]


def ngrams(words: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """Every run of `n` successive words; none when there are fewer than `n`."""
    return zip(*(words[offset:] for offset in range(n)), strict=False)


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
