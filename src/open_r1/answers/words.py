"""Numbers in words and other scripts: `twenty-one`, `one half`, `third`, `XIV`, `一百二十`; and words that are no units."""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL = {word: value for value, word in enumerate(_UNITS)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_ORDINALS = {
    **{"first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12},
    **{f"{word}th": value for word, value in _SMALL.items() if word not in {"one", "two", "three", "five", "nine"}},
    **{f"{word[:-1]}ieth": value for word, value in _SMALL.items() if word.endswith("y")},
}
SCALES = {
    **{"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12},
    **{"lakh": 10**5, "crore": 10**7, "score": 20, "万": 10**4, "亿": 10**8, "打": 12, "百万": 10**6, "千万": 10**7},
    **{"千": 1000, "百": 100, "十万": 10**5},
}
_PARTS = {
    **{"half": 2, "halve": 2, "quarter": 4, "hundredth": 100, "thousandth": 1000, "millionth": 10**6, "tenth": 10},
    **{word: value for word, value in _ORDINALS.items() if value > 2},
}
_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_WITH_PART = re.compile(r"(?P<whole>[a-z -]+) and (?P<part>(?:an?|one|two|three) (?:half|halves|thirds?|quarters?))")
_HAN_DIGITS = {han: value for value, han in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_HAN_SCALES = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
_HAN = re.compile(r"负?[零〇一二两三四五六七八九十百千万亿]+")
_HAN_PART = re.compile(r"([零〇一二两三四五六七八九十百千万]+)分之([零〇一二两三四五六七八九十百千万]+)")

_OPERATIONS = """
plus minus times divided multiplied over under squared squares cube cubed cubic root roots power powers raised
factorial choose mod modulo remainder percent percentage base negative positive below above less more than
least most between from to through thru until versus vs and or not if when unless else otherwise but rather
except then either neither about approximately around nearly almost double triple half twice thrice halves
infinity infinite pi theta alpha beta gamma delta lambda omega sigma phi sin cos tan cot sec csc log ln exp
sqrt is are was were equals equal no none wrong incorrect false maybe perhaps probably only lakhs crores tuple
gcd lcm max min floor ceiling reciprocal inverse bar repeating recurring point decimal given where all every
with without by as the points
"""

NOT_UNITS = frozenset(
    word
    for name in (*_SMALL, *_ORDINALS, *SCALES, *_PARTS, *_OPERATIONS.split())
    for word in ((name, f"{name}s") if name in {**SCALES, **_PARTS} else (name,))
)
"""Words that name a number, an operation, a multiple or a condition: after a numeral they change what it says."""


def read_number_words(text: str) -> Fraction | None:
    """The number that `text` says in words, in Roman or in Chinese numerals; None when it says none."""
    if len(text) > 80:
        return None
    if _HAN.fullmatch(text):
        return _read_han(text)
    if match := _HAN_PART.fullmatch(text):
        bottom, top = _read_han(match[1]), _read_han(match[2])
        return top / bottom if top is not None and bottom else None
    if len(text) > 1 and (roman := read_roman(text)):
        return Fraction(roman)
    if match := _WITH_PART.fullmatch(text.strip().lower()):
        whole, part = read_number_words(match["whole"]), read_number_words(match["part"])
        return whole + part if whole is not None and part is not None and whole >= 0 and 0 < part < 1 else None
    words = re.findall(r"[a-z]+", text.lower())
    if not words or re.sub(r"[a-z\s-]", "", text.lower()):
        return None
    sign = -1 if words[0] in {"minus", "negative"} else 1
    words = words[1:] if sign < 0 else words
    value = _read_english([word for word in words if word != "and"])
    return None if value is None else sign * value


def read_roman(text: str) -> int | None:
    """The value of a Roman numeral in capital letters."""
    if not text or not _ROMAN.fullmatch(text):
        return None
    digits = [_ROMAN_DIGITS[letter] for letter in text]
    return sum(
        -digit if digit < following else digit for digit, following in zip(digits, [*digits[1:], 0], strict=True)
    )


def _read_english(words: list[str]) -> Fraction | None:
    if not words:
        return None
    part = _PARTS.get(words[-1]) or _PARTS.get(words[-1].removesuffix("s"))
    if part and len(words) > 1 and words[-1] not in {"second"}:
        count = 1 if words[:-1] in (["a"], ["an"]) else _read_cardinal(words[:-1])
        is_ordinal = words[-1] in _ORDINALS and len(words) == 2 and words[0] in _TENS
        if count is not None and not is_ordinal:
            return Fraction(count, part)
    if words in (["half"], ["quarter"]):
        return Fraction(1, _PARTS[words[0]])
    if words[-1] in _ORDINALS:
        head = _read_cardinal(words[:-1]) if len(words) > 1 else 0
        return None if head is None or (head % 10 and head < 100) else Fraction(head + _ORDINALS[words[-1]])
    value = _read_cardinal(words)
    return None if value is None else Fraction(value)


def _read_cardinal(words: list[str]) -> int | None:
    """`two hundred one thousand five` as 201005; None where the words are not in the order of a number."""
    total, group, last = 0, 0, 1000
    for word in words:
        if word in {"a", "an"} and len(words) > 1:
            group, last = 1, 1
        elif word in _SMALL:
            value = _SMALL[word]
            if value >= last or (last < 100 and (last < 20 or value > 9 or value == 0)):
                return None
            group, last = group + value, value
        elif word in {"hundred", "dozen"}:
            group, last = max(group, 1) * SCALES[word], 100
        elif word.isascii() and word in SCALES:
            total, group, last = total + max(group, 1) * SCALES[word], 0, 1000
        else:
            return None
    return total + group


def _read_han(text: str) -> Fraction | None:
    sign, text = (-1, text[1:]) if text.startswith("负") else (1, text)
    if all(character in _HAN_DIGITS for character in text):
        return sign * Fraction("".join(str(_HAN_DIGITS[character]) for character in text))
    total = section = digit = 0
    for character in text:
        if character in _HAN_DIGITS:
            digit = _HAN_DIGITS[character]
            continue
        scale = _HAN_SCALES[character]
        if scale >= 10**4:
            total = (total + section + digit) * scale if scale == 10**8 else total + (section + digit) * scale
            section = 0
        else:
            section += (digit or 1) * scale
        digit = 0
    return Fraction(sign * (total + section + digit))
