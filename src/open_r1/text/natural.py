r"""Which natural languages a text is written in, word by word: by script, and in Latin script by the commonest words.

A language is a code (`en`, `zh`), or the name of a script (`latin`, `cyrillic`) where no more is known. A sentence in Latin
script has the language whose function words it has most of; one without them, or with as many of two, is `latin`. Han
characters are Chinese, beside kana Japanese, and in a run of a few words either (`han`). Other languages that share a
script are not distinguished.

Not counted: numbers, single letters of an alphabet (variables), and in code, formulas, identifiers, addresses and tags
whatever is in Latin or Greek letters.

    >>> language_share("First we add them. 然后我们将其相加。", "en")
    0.5
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import groupby

SCRIPTS: dict[str, str] = {
    **dict.fromkeys(("en", "de", "fr", "es", "it", "pt", "nl", "pl", "cs", "sv", "tr", "vi", "id", "ro", "hu"), "latin"),
    **dict.fromkeys(("ru", "uk", "bg", "sr"), "cyrillic"),
    **dict.fromkeys(("ar", "fa", "ur"), "arabic"),
    **dict.fromkeys(("hi", "mr", "ne"), "devanagari"),
    "zh": "han", "ja": "han", "ko": "hangul", "el": "greek", "he": "hebrew", "th": "thai", "bn": "bengali",
    "ta": "tamil", "te": "telugu", "ka": "georgian", "hy": "armenian",
}  # fmt: skip
"""Code of a language -> its script."""

NAMES = {
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it", "portuguese": "pt", "dutch": "nl",
    "polish": "pl", "czech": "cs", "swedish": "sv", "turkish": "tr", "vietnamese": "vi", "indonesian": "id",
    "romanian": "ro", "hungarian": "hu", "russian": "ru", "ukrainian": "uk", "bulgarian": "bg", "serbian": "sr",
    "arabic": "ar", "persian": "fa", "urdu": "ur", "hindi": "hi", "marathi": "mr", "nepali": "ne", "chinese": "zh",
    "mandarin": "zh", "japanese": "ja", "korean": "ko", "greek": "el", "hebrew": "he", "thai": "th", "bengali": "bn",
    "tamil": "ta", "telugu": "te", "georgian": "ka", "armenian": "hy",
}  # fmt: skip

FUNCTION_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and is are was to we so then that this it if for with by from be have has let now not which what how "
        "many find since because there each first next therefore an as at on can all but",
        "de": "der die das und ist sind wir nicht ein eine einen dann also wenn mit von zu für den dem des auf aus wie "
        "viele es wird im als auch aber zuerst nun dass kann jetzt",
        "fr": "le la les des et est sont nous ne pas un une du dans pour avec que qui donc alors si sur par on il elle au "
        "aux ce cette combien puis mais comme",
        "es": "el la los las de y es son que en un una por para con no se lo del entonces si como más cuántos primero ahora "
        "pero al su hay",
        "it": "il lo la gli le di e è sono che in un una per con non si del della quindi se come più quanti allora prima "
        "ora ma nel al",
        "pt": "o a os as de e é são que em um uma por para com não se do da dos das então como mais quantos primeiro agora "
        "mas no na ao",
        "nl": "de het een en is zijn dat van te we niet met voor op dan dus als hoeveel er wordt bij maar "
        "ook nu eerst om aan",
    }.items()
}

CHARACTERS_A_WORD = {"han": 2, "kana": 2, "thai": 4, "lao": 4, "khmer": 4, "myanmar": 4}
"""Scripts without spaces between words, with the usual length of one."""

LEAST_WORDS = 20
"""In a shorter text the share of a foreign script says nothing."""

SYMBOLIC = frozenset({"latin", "greek"})
"""Scripts whose letters are not words in code and formulas."""

_IGNORED = {
    "mathematical",
    "double-struck",
    "script",
    "black-letter",
    "superscript",
    "subscript",
    "modifier",
    "fullwidth",
}
_OF_NAME = {"cjk": "han", "ideographic": "han", "hiragana": "kana", "katakana": "kana", "katakana-hiragana": "kana"}
_HAN_OF_NO_LANGUAGE = 3.0  # words; Chinese terms are Japanese too
_MATHEMATICS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lim max min sup inf mod gcd lcm det dim ker deg "
    "arg cm mm km kg mg ml ms".split()
)
_APART = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]+`"
    # Of formulas between brackets none begins within another, so that a text of opening ones alone takes linear time.
    r"|\$\$.+?\$\$|\$[^$\n]+\$|(?<!\\)\\\((?:(?!(?<!\\)\\\().)+?\\\)|(?<!\\)\\\[(?:(?!(?<!\\)\\\[).)+?\\\]"
    r"|\\[A-Za-z]+(?:\s*\{[^{}]*\})?"
    r"|https?://\S+|</?[A-Za-z][^<>]{0,40}>"
    r"|(?<![A-Za-z0-9_.])[A-Za-z_][A-Za-z0-9_.]*\("
    r"|(?<![A-Za-z])[A-Za-z]*[0-9_][A-Za-z0-9_]*|(?<![A-Za-z])[A-Za-z]+\.[a-z]+",
    re.DOTALL,
)
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0dff\u0e00-\u0eff\u3005\u30fc"
)
_RUN = re.compile(rf"(?:[^\W\d_]|[{_MARKS}])+")
_SENTENCE_END = re.compile(r"[.!?;。！？；।؟\n]+")


def read_language(name: str) -> str | None:
    """The code of a language by its code or English name (`zh-CN`, `en_US`, `Chinese`); None for another word."""
    word = re.split(r"[-_]", name.strip().lower())[0]
    return word if word in SCRIPTS else NAMES.get(word)


def find_language(text: str) -> str | None:
    """The language of most of a text's words, or its script where that is all that can be said; None without words."""
    counts = count_words(text)
    if not counts:
        return None
    by_script: dict[str, float] = defaultdict(float)
    for language, count in counts.items():
        by_script[script_of(language)] += count
    script = max(by_script, key=lambda one: by_script[one])
    languages = [language for language in counts if script_of(language) == script and language != script]
    return max(languages, key=lambda one: counts[one], default=script)


def language_share(text: str, language: str) -> float | None:
    """The share of a text's words that are of a language, or may be; None without words."""
    counts = count_words(text)
    total = sum(counts.values())
    if not total:
        return None
    alike = {language, script_of(language)}
    own = [count for found, count in counts.items() if found in alike or script_of(found) == language]
    return sum(own) / total


def count_scripts(text: str) -> dict[str, float]:
    """Words of prose, by script."""
    counts: dict[str, float] = defaultdict(float)
    for script, word in _words(_APART.sub(" ", text)):
        if count := _count_run(script, word):
            counts["cjk" if script in ("han", "kana", "hangul") else script] += count
    return counts


def main_script(text: str) -> str | None:
    """The script of most words of a text, None where it has none."""
    counts = count_scripts(text)
    return max(counts, key=lambda script: counts[script], default=None)


def foreign_share(text: str, script: str) -> float:
    """The share of a text's words that are in another script; 0 in a text of fewer than `LEAST_WORDS`."""
    counts = count_scripts(text)
    total = sum(counts.values())
    return 0.0 if total < LEAST_WORDS else 1.0 - counts.get(script, 0.0) / total


def script_of(language: str) -> str:
    """The script of a language; a script is its own."""
    return SCRIPTS.get(language, language)


def count_words(text: str) -> dict[str, float]:
    """Words of prose, by language or script; where words have no spaces between them, by their usual length."""
    foreign = [(apart, SYMBOLIC) for apart in _APART.findall(text) if not apart.isascii()]
    prose = [(sentence, frozenset[str]()) for sentence in _SENTENCE_END.split(_APART.sub(" ", text))]
    counts: dict[str, float] = defaultdict(float)
    for part, left_out in foreign + prose:
        for language, count in _count_sentence(part, left_out).items():
            counts[language] += count
    return counts


def _count_sentence(sentence: str, left_out: frozenset[str]) -> dict[str, float]:
    """The words of one sentence, by language or script, but for those of the scripts `left_out`."""
    counts: dict[str, float] = defaultdict(float)
    latin: list[str] = []
    for script, word in _words(sentence):
        if script in left_out:
            continue
        if script == "latin":
            latin.append(word)
        elif count := _count_run(script, word):
            counts[script] += count
    if latin := [word for word in latin if not _is_symbol(word)]:
        counts[_latin_language(latin)] += len(latin)
    han, kana = counts.pop("han", 0), counts.pop("kana", 0)
    if kana:
        counts["ja"] += kana
    if han:
        counts["ja" if kana >= 0.1 * han else "zh" if han > _HAN_OF_NO_LANGUAGE else "han"] += han
    return counts


def _words(sentence: str) -> Iterator[tuple[str, str]]:
    for run in _RUN.findall(sentence):
        if run.isascii():
            yield "latin", run
            continue
        for script, letters in groupby(run, _script_of_letter):
            if script not in _IGNORED:
                yield script, "".join(letters)


def _count_run(script: str, word: str) -> float:
    """How many words a run of letters counts for; a single letter of an alphabet is a variable, and none."""
    if script in CHARACTERS_A_WORD:
        return len(word) / CHARACTERS_A_WORD[script]
    return float(len(word) > 1 or script == "hangul")


@cache
def _script_of_letter(letter: str) -> str:
    if unicodedata.combining(letter) and letter < "\u0370":
        return "latin"
    name = unicodedata.name(letter, "unknown").split(" ")[0].lower()
    return _OF_NAME.get(name, name)


def _is_symbol(word: str) -> bool:
    """A variable, a point's or triangle's name, a function's name or a unit."""
    if len(word) < 2 or word in _MATHEMATICS:
        return True
    return word.isupper() and len(word) <= 4 and not any(word.lower() in words for words in FUNCTION_WORDS.values())


def _latin_language(words: list[str]) -> str:
    lowered = [word.lower() for word in words]
    hits = {language: sum(word in known for word in lowered) for language, known in FUNCTION_WORDS.items()}
    best = max(hits.values())
    leading = [language for language, count in hits.items() if count == best]
    is_clear = len(leading) == 1 and best and (best > 1 or best * 4 >= len(words))
    return leading[0] if is_clear else "latin"
