"""Words and n-grams of a text, in languages with and without spaces between words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from open_r1.errors import ConfigError, nearest

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


def check_language(language: str) -> None:
    """ConfigError when words can't be split in `language`, or when the library that does it isn't installed."""
    if language not in LANGUAGES:
        raise ConfigError(
            f"language '{language}' can't be split into words{nearest(language, LANGUAGES)} "
            f"Choose one of: {', '.join(LANGUAGES)}."
        )
    if language == "zh":
        _import_jieba()


def split_words(text: str, language: str = "en") -> list[str]:
    """The words of `text` in lower case: split at white space for `en`, segmented by jieba for `zh`."""
    lowered = text.lower()
    if language == "en":
        return lowered.split()
    check_language(language)
    return [word for word in _import_jieba().lcut(lowered) if not word.isspace()]


def ngrams(words: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """Every run of `n` successive words; none when there are fewer than `n`."""
    return zip(*(words[offset:] for offset in range(n)), strict=False)


def _import_jieba():
    try:
        import jieba
    except ImportError as error:
        raise ConfigError(
            "language 'zh' needs the package jieba, which is not installed; install it with `pip install jieba`."
        ) from error
    jieba.setLogLevel("WARNING")
    return jieba
