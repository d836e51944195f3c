r"""Which letter of a multiple-choice question an answer names: `B`, `(B) Paris`, `\textbf{(B)}\ 5`, `选B`.

>>> read_choice("(B) Paris"), read_choice("A, B"), read_choice("A car")
('B', None, None)
"""

from __future__ import annotations

import re
import unicodedata

LETTERS = "ABCDEFGHIJ"

MAX_CHARS = 4000
"""Longer texts are no answers."""

MAX_WRAPPED = 4
"""Commands around commands, as in `\\boxed{\\textbf{B}}`, are opened so many deep."""

_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up)?|math(?:rm|bf|it|sf|tt|cal|bb)|emph|boxed|fbox|mbox|bf|underline)\s*\{([^{}]*)\}"
)
_SPACING = re.compile(r"\\(?:left|right)(?=[()\[\]\s])|\\q?quad(?![a-zA-Z])|\\[ ,;:!]|[~\s]+")
_DELIMITERS = re.compile(r"\\[()\[\]]|[$*{}`]")

_NOUN = r"(?:option|choice|answer)"
_SAYS = r"(?:(?:is|would be|must be|should be)\s*:?|:|[-–—](?=\s))"
_ANCHOR = rf"(?:(?:the\s+)?(?:(?:final|correct|right|best)\s+){{0,2}}{_NOUN}\s*(?:choice\s+)?{_SAYS})"
_NAMED = r"(?:therefore|thus|hence|so)"
_CHINESE = r"(?:(?:故|应|因此|所以|我)*(?:本题)?(?:正确)?(?:答案|选项|选择|选)(?:为|是)?\s*:?)"
_REASON = r"(?:because|since|as|for|due|given)\b"

_MARKED = r"\(\s?([A-Ja-j])\s?\)|\[\s?([A-Ja-j])\s?\]"
_ALONE = re.compile(rf"(?:([A-Ja-j])|{_MARKED})\s?[.:,;。、)]*")
_WITH_TEXT = re.compile(rf"(?:([A-J])(?:\.(?=\s)|\s?[:)。、]|\s\((?=\w{{2}}))|([a-j])\)|{_MARKED}).*")
_WITH_REASON = re.compile(rf"([A-J])\s?,?\s(?:{_REASON}).*", re.IGNORECASE)
_LEAD = re.compile(
    rf"(?:(?:{_NAMED},?\s+)?(?P<anchor>{_ANCHOR})\s*(?:{_NOUN}\s+)?|(?:the\s+)?{_NOUN}\s*|{_CHINESE}\s*)(?=[(\[A-J])",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"(?<!\w)\(([A-J])\)|(?<![\w(])([A-J])(?=\s?[:)])"
    r"|(?:^|[\s,;])\s*([B-J])\.(?=\s)"
    r"|(?:[,;、/&+]|\b(?:AND|OR|and|or)\b|和|或)\s*([A-J])(?=\s*[.,;、。]?\s*$|\s*[,;、])"
)
_LOOSE = re.compile(r"([A-J])\s?(?:[-–—]\s(?=\S)|,\s(?=[a-z])|(?<!I),\s(?=[A-Z][a-z]))(?P<rest>.*)")
_LOOSE_OTHER = re.compile(
    r"(?<![\w'])[B-J](?![\w'])|(?<![\w'])A(?!\s[a-z])|\b(?:not?|wrong|or|and|rather|then|maybe|but|none|both)\b"
)
_SMALL_LETTERS = re.compile(r"(?<!\w)[b-j][.)](?:\s[^.)]{0,80})?(?<!\w)[b-j][.)](?:\s|$)")
_TURNED = re.compile(r"\b(?:is|be|rather|but|choose|pick|not)\s+\(?([A-J])\)?[.\s]*$")
_LETTERS_ALONE = re.compile(r"(?:\W+[A-J])+\W*")
_LETTER = r"(?-i:[A-J]|\([A-Ja-j]\))"
_SENTENCES = [
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        rf"\b{_ANCHOR}\s*(?P<said>[^\n]*)",
        r"^[#*\s]*(?:the\s+)?(?:(?:final|correct)\s+)?(?:answer|choice)[*:]*[ \t]*\n\s*(?P<said>[^\n]+)",
        r"\b(?:I(?:'d|'ll|\s+would|\s+will)?\s+(?:choose|pick|select|go\s+with)|my\s+(?:choice|pick)\s+is)\s+"
        rf"(?:{_NOUN}\s+)?(?P<said>[^\n]*)",
        rf"(?<![\w\\(])(?<!\bor )(?<!\bnor )(?<!\band )(?<!\bif )(?<!\bwhether )\**(?P<said>{_LETTER})\**\s+is\s+"
        rf"(?:(?:the\s+)?(?:only\s+)?(?:correct|right|best)(?:\s+{_NOUN})?|the\s+answer)(?=\**\s*(?:[.,;:!]|$|because\b|since\b|as\b))",
        r"(?:(?:答案|选项)(?:为|是)?\s*:?|(?<![不未可])选择?)\s*(?P<said>[(A-J][^\n]*)",
    )
]
_NAMED_LETTER = re.compile(r"(?<![A-Za-z\\])[A-J](?![A-Za-z])")


def read_choice(text: str) -> str | None:
    """The one letter, A to J in upper case, that an answer names; None for several letters or none.

    A letter alone counts in either case; one that is followed by more text must be marked as a choice: `B. 5`, `b) 5`,
    `(b) Paris`. `A car` and `B because` are texts, but `The answer is B because` names a letter.
    """
    if len(text) > MAX_CHARS:
        return None
    plain = plain_text(text)
    lead = _LEAD.match(plain)
    rest = plain[lead.end() :] if lead else plain
    match = _ALONE.fullmatch(rest) or _WITH_TEXT.fullmatch(rest)
    if match is None and (loose := _LOOSE.fullmatch(rest)) and not _LOOSE_OTHER.search(loose["rest"]):
        return loose[1]
    if match is None and lead is not None and lead["anchor"] and rest[:1].isupper():
        match = _WITH_REASON.fullmatch(rest)
    if match is None:
        return None
    place = match.lastindex or 0
    letter, after = match[place], rest[match.end(place) :]
    if letter.islower():
        letter, after = letter.upper(), after.upper()
    return letter if _letters_in(after) <= {letter} else None


def find_choice(text: str) -> str | None:
    """The letter named by the last sentence like `The correct option is B.` or `I choose B`; None where there is none."""
    plain = unicodedata.normalize("NFKC", text)
    sentences = [match for pattern in _SENTENCES for match in pattern.finditer(plain)]
    last = max(sentences, key=lambda match: match.start("said"), default=None)
    return read_choice(f"answer: {last['said'][: MAX_CHARS // 2]}") if last else None


def names_letters(text: str) -> bool:
    """Whether a text names letters at all, one or several."""
    return _NAMED_LETTER.search(plain_text(text[:MAX_CHARS])) is not None


def plain_text(text: str) -> str:
    """`text` on one line, in ASCII letters and brackets, without commands that only style or space."""
    plain = unicodedata.normalize("NFKC", text)
    for _ in range(MAX_WRAPPED):
        opened = _WRAPPER.sub(r"\1", plain)
        if opened == plain:
            break
        plain = opened
    plain = _DELIMITERS.sub("", _SPACING.sub(" ", plain))
    return " ".join(plain.split())


def _letters_in(text: str) -> set[str]:
    if _LETTERS_ALONE.fullmatch(text):
        return {letter for letter in text if letter.isalpha()}
    if _SMALL_LETTERS.search(text):
        return set(LETTERS)
    turned = _TURNED.search(text)
    named = {letter for match in _OTHER.finditer(text) for letter in match.groups() if letter}
    return named | ({turned[1]} if turned else set())
