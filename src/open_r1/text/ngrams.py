r"""Words of many texts at once, normalised, as numbers: what decontamination and deduplication compare.

Does: fold case, unicode forms, punctuation, white space and LaTeX's ways of writing the same thing away, split into
words, and hash the words and their n-grams, with numpy over a batch of texts joined into one buffer: a few nanoseconds a
character, where a loop over words in Python takes fifty. Does not: decide what two texts that share n-grams are to each
other, nor trust a hash: `Words.of` gives the words themselves, for whoever has to be sure.

    >>> MATHEMATICAL.split("Find $\\dfrac12 + 1{,}000\\,\\text{cm}$, please!")
    [b'find', b'1', b'2', b'1000', b'cm', b'please']

What is folded: case and unicode compatibility forms (NFKD, accents off, digits of any script); LaTeX commands that only
set or order things (`SYNTAX`) go, those that name something (`\sin`, `\pi`, `\sqrt`) are words, as are the symbols that mean
them; everything but letters and digits separates words; letters and digits part; thousands separators go, and where wanted
`[asy]` drawings; every ideograph is a word of its own. Operators are not words (`operators` counts them, for where they
matter).
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

RECORD = "\x1e"
"""Separates the texts of a batch, and words everywhere."""

_PADDING = RECORD * 8
"""After the last text: `hash_words` reads eight bytes at a time."""

SYNTAX = """
frac dfrac tfrac cfrac binom dbinom tbinom choose over left right middle big bigl bigr bigm bigg biggl biggr
text textbf textit textrm textsf texttt textnormal textup mbox hbox fbox boxed mathrm mathbf mathit mathsf mathtt mathcal
mathbb mathfrak boldsymbol bm operatorname emph underline ensuremath rm bf it displaystyle textstyle scriptstyle limits
nolimits quad qquad hspace vspace phantom hphantom vphantom hfill noindent newline par cdot times ast div le leq leqslant
ge geq geqslant lt gt ne neq approx equiv sim pm mp in to rightarrow rightarrow implies iff mid vert lvert rvert lbrace
rbrace lbrack rbrack langle rangle circ degree cdots ldots dots dotsc dotsb vdots ddots begin end item hline label tag
""".split()
"""LaTeX commands that are not words: they set, group or order what is around them, or are operators."""

ENVIRONMENTS = """
align aligned alignat array bmatrix cases center enumerate equation gather gathered itemize matrix multline pmatrix
split tabular vmatrix
""".split()

SYMBOLS = {
    **dict.fromkeys("−–—‒⁻", "-"),
    "÷": "/",
    "∕": "/",
    "⁄": "/",
    "≤": "<",
    "≥": ">",
    "√": " sqrt ",
    "∞": " infty ",
    "∑": " sum ",
    "∏": " prod ",
    "∫": " int ",
    "∠": " angle ",
    "△": " triangle ",
    "∪": " cup ",
    "∩": " cap ",
    "⊥": " perp ",
    "∥": " parallel ",
    **{
        letter: f" {name} "
        for letter, name in zip(
            "αβγδεζηθικλμνξπρστυφχψω",
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
            "omega".split(),
            strict=True,
        )
    },
}
"""Characters other than ASCII that mean what an ASCII character or a LaTeX command does."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
_STIR = np.uint64(0xD6E8FEB86659FD93)
_HASHED_BYTES = 32
"""A longer word is hashed by its first bytes: rare, and whoever compares words sees it."""

_FIRST_BYTES = np.array([(1 << (8 * count)) - 1 for count in range(9)], np.uint64)
_LOWER = bytes(range(256)).lower()  # of ASCII; other letters have been folded
_SEPARATOR, _LETTER, _DIGIT = 0, 1, 2
_BACKSLASH, _BRACE = ord("\\"), ord("{")

_THIN_SPACE = re.compile(rb"\\[,!]")
_THOUSANDS = re.compile(rb",(?<=[0-9],),?(?=[0-9]{3}(?![0-9]))")  # begins with a literal, which is searched for fast
_GLUED_FRACTION = re.compile(rb"frac ?([0-9])(?=[0-9])")
_OPERATOR = re.compile(rb"[+/^]|(?<!\\)\(|[<>]=?|!?=|-(?![a-z])|(?<![a-z0-9])-|\\([a-z]+)")
_OPERATOR_COMMANDS = {
    **dict.fromkeys((b"frac", b"dfrac", b"tfrac", b"cfrac", b"div"), b"/"),
    **dict.fromkeys((b"le", b"leq", b"leqslant", b"lt"), b"<"),
    **dict.fromkeys((b"ge", b"geq", b"geqslant", b"gt"), b">"),
    **dict.fromkeys((b"ne", b"neq"), b"!="),
}


class _Folding(dict[int, str]):
    """For `str.translate`: a character other than ASCII -> what it is compared as; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        folded = fold_character(chr(code))
        self[code] = folded
        return folded


def fold_character(character: str) -> str:
    """What a character other than ASCII is compared as, in every place."""
    if character in SYMBOLS:
        return SYMBOLS[character]
    is_raised = unicodedata.decomposition(character).startswith("<super>")
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    folded = "".join(map(_fold_part, plain))
    return f"^{folded}" if is_raised else folded


def _fold_part(character: str) -> str:
    category = unicodedata.category(character)
    if character in SYMBOLS:
        return SYMBOLS[character]
    if character.isascii():
        return character
    if category == "Cf" or "\u0300" <= character <= "\u036f":  # invisible; accents
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category[0] not in "LNM":
        return " "
    return f" {character} " if is_ideograph(character) else character


def is_ideograph(character: str) -> bool:
    """Whether a character is written without spaces between words: Han and kana."""
    return "\u3040" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff" or character >= "\U00020000"


_FOLDED = _Folding()


@dataclass(frozen=True)
class Words:
    """The words of a batch of texts: where they stand in the folded text, their hashes, and whose they are."""

    data: bytes
    starts: Places
    ends: Places
    hashes: Hashes
    bounds: Places
    """Text `i` has the words from `bounds[i]` up to `bounds[i + 1]`."""

    def count_empty(self) -> int:
        """Texts without a word."""
        return int(np.count_nonzero(self.bounds[1:] == self.bounds[:-1]))

    def of(self, text: int) -> list[bytes]:
        """The words of one text."""
        return self.slice(int(self.bounds[text]), int(self.bounds[text + 1]))

    def slice(self, first: int, end: int) -> list[bytes]:
        """The words from `first` up to `end`, which is left out, of the batch."""
        spans = zip(self.starts[first:end].tolist(), self.ends[first:end].tolist(), strict=True)
        return [self.data[start:stop] for start, stop in spans]

    def between(self, first: int, last: int) -> bytes:
        """The folded text from word `first` to word `last`, both in it."""
        return self.data[self.starts[first] : self.ends[last]]

    def around(self, first: int, last: int) -> tuple[bytes, bytes]:
        """What is between words `first` to `last` and the words before and after, with the `RECORD`s."""
        before = self.ends[first - 1] if first else 0
        after = self.starts[last + 1] if last + 1 < len(self.starts) else len(self.data)
        return self.data[before : self.starts[first]], self.data[self.ends[last] : after]

    def texts_of(self, words: Places) -> Places:
        """For each word's index, whose word it is."""
        return np.searchsorted(self.bounds, words, side="right") - 1


@dataclass(frozen=True)
class Normalisation:
    """One way to see a text as words: fold it, then part it by what its bytes are."""

    name: str
    fold: Callable[[str], bytes]
    """Of texts joined by `RECORD`, which it leaves."""
    classes: bytes
    """256 bytes: the class of each byte; 0 separates, and a word is a run of one class."""
    drops_syntax: bool

    def words(self, texts: Sequence[str]) -> Words:
        """All words of `texts`, hashed."""
        data, records = self._fold_and_find(texts)
        starts, ends = find_runs(data, self.classes)
        hashes = hash_words(data, starts, ends)
        if self.drops_syntax:
            kept = np.flatnonzero(~find_syntax(data, starts, ends, hashes))
            if len(kept) < len(starts):
                starts, ends, hashes = starts.take(kept), ends.take(kept), hashes.take(kept)
        bounds = np.concatenate(([0], np.searchsorted(starts, records)))
        return Words(data, starts, ends, hashes, bounds)

    def _fold_and_find(self, texts: Sequence[str]) -> tuple[bytes, Places]:
        """The folded texts, each with a `RECORD` after it and more of them at the end, and where each of them ends."""
        data = self.fold(RECORD.join([*texts, _PADDING]))
        records = np.flatnonzero(np.frombuffer(data, np.uint8) == ord(RECORD))
        if len(records) > len(texts) + len(_PADDING):
            return self._fold_and_find([text.replace(RECORD, " ") for text in texts])
        return data, records[: len(texts)]

    def split(self, text: str) -> list[bytes]:
        """The words of one text."""
        return self.words([text]).of(0)


def find_runs(data: bytes, classes: bytes) -> tuple[Places, Places]:
    """Where the words of `data` (which ends in separators) start and end."""
    kinds = np.frombuffer(data.translate(classes), np.uint8)
    edges = np.flatnonzero(kinds[1:] != kinds[:-1]) + 1
    if kinds[0]:
        edges = np.concatenate(([0], edges))
    words = np.flatnonzero(kinds.take(edges))  # a separator is 0
    return edges.take(words), edges.take(words + 1)


def hash_words(data: bytes, starts: Places, ends: Places) -> Hashes:
    """64 bits a word, from eight of its bytes at a time. `data` ends in eight bytes that are of no word."""
    lengths = ends - starts
    eight = np.ndarray((len(data) - 7,), "<u8", buffer=data, strides=(1,))
    hashes = _stir((eight[starts] & _FIRST_BYTES.take(np.minimum(lengths, 8))) * _MIX)
    longer = np.flatnonzero(lengths > 8)
    for offset in range(8, _HASHED_BYTES, 8):
        more = eight[starts[longer] + offset] & _FIRST_BYTES[np.minimum(lengths[longer] - offset, 8)]
        hashes[longer] = _stir(hashes[longer] * _MIX + more)
        longer = longer[lengths[longer] > offset + 8]
    return hashes


def _stir(values: Hashes) -> Hashes:
    """High and low bits of values made to depend on each other."""
    values ^= values >> np.uint64(32)
    values *= _STIR
    return values


def find_syntax(data: bytes, starts: Places, ends: Places, hashes: Hashes) -> npt.NDArray[np.bool_]:
    """Which words are LaTeX's own: a command of `SYNTAX`, or the name of an environment."""
    buffer = np.frombuffer(data, np.uint8)
    is_syntax = np.zeros(len(starts), bool)
    commands = np.flatnonzero(buffer.take(starts - 1) == _BACKSLASH)
    commands = commands[is_among(hashes[commands], _SYNTAX_HASHES)]
    is_syntax[commands] = True
    arguments = commands[commands + 1 < len(starts)] + 1
    is_next = (starts[arguments] == ends[arguments - 1] + 1) & (buffer[starts[arguments] - 1] == _BRACE)
    arguments = arguments[is_next]
    is_syntax[arguments[is_among(hashes[arguments], _ENVIRONMENT_HASHES)]] = True
    return is_syntax


def is_among(values: Hashes, known: Hashes) -> npt.NDArray[np.bool_]:
    """Which of `values` are in `known`, which is sorted and not empty."""
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return known[places] == values


def ngram_hashes(hashes: Hashes, n: int) -> Hashes:
    """The hash of every run of `n` successive words of a batch; runs across two texts too, for the caller to leave out.

    Built from runs of half the length: log2(n) steps instead of n.
    """
    if len(hashes) < n:
        return hashes[:0]
    if n == 1:
        return hashes
    half = n // 2
    parts = ngram_hashes(hashes, half)
    joined = parts[: len(parts) - half] * _power(half) + parts[half:]
    if n % 2:
        joined = joined[:-1] * _power(1) + hashes[n - 1 :]
    return joined


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(int(_MIX), exponent, 1 << 64))


def operators(region: bytes) -> Counter[bytes]:
    """How often each operator and bracket occurs in a piece of folded text; not products, which can be left unwritten."""
    found: Counter[bytes] = Counter()
    for match in _OPERATOR.finditer(region):
        if not match[1]:
            found[match[0][:1] if match[0][:1] in b"<>" else match[0]] += 1
        elif match[1] in _OPERATOR_COMMANDS:
            found[_OPERATOR_COMMANDS[match[1]]] += 1
    return found


def fold_mathematical(joined: str) -> bytes:
    """The texts in lower case, in ASCII where that can be, with numbers and fractions in one spelling."""
    data = joined.encode("ascii", _FOLD).translate(_LOWER)
    data = _THIN_SPACE.sub(b",", data).replace(b"{,}", b",")
    return _THOUSANDS.sub(b"", _GLUED_FRACTION.sub(rb"frac \1 ", data))


def fold_undrawn(joined: str) -> bytes:
    """The same without drawings."""
    if "[asy]" in joined:
        joined = RECORD.join([drop_drawings(text) if "[asy]" in text else text for text in joined.split(RECORD)])
    return fold_mathematical(joined)


def _fold_run(error: UnicodeError) -> tuple[bytes, int]:
    """For `str.encode`, which finds what is not ASCII faster than a regular expression: a run of it, folded."""
    assert isinstance(error, UnicodeEncodeError)
    return error.object[error.start : error.end].translate(_FOLDED).encode(), error.end


_FOLD = "open_r1.fold"
codecs.register_error(_FOLD, _fold_run)


def fold_plain(joined: str) -> bytes:
    """The texts in lower case; what Python's `split` splits at is made ASCII white space."""
    if not joined.isascii():
        joined = RECORD.join([" ".join(text.lower().split()) for text in joined.split(RECORD)])
    return joined.encode("utf-8", "surrogatepass").translate(_LOWER)


def drop_drawings(text: str) -> str:
    """`text` without `[asy]…[/asy]`; a drawing that isn't closed is left."""
    first, *rest = text.split("[asy]")
    return first + "".join(_after_drawing(part) for part in rest)


def _after_drawing(part: str) -> str:
    drawing, closing, after = part.partition("[/asy]")
    return f" {after}" if closing else f"[asy]{drawing}"


def _class_table(word_class: Callable[[str], int]) -> bytes:
    return bytes(word_class(chr(byte)) if byte < 128 else _LETTER for byte in range(256))


_MATHEMATICAL_CLASSES = _class_table(lambda c: _LETTER if c.isalpha() else _DIGIT if c.isdigit() else _SEPARATOR)

MATHEMATICAL = Normalisation("mathematical", fold_undrawn, _MATHEMATICAL_CLASSES, drops_syntax=True)
"""Case, unicode, punctuation, white space and LaTeX folded away, and drawings left out: the same problem, however set."""

WITH_DRAWINGS = Normalisation("with_drawings", fold_mathematical, _MATHEMATICAL_CLASSES, drops_syntax=True)
"""The same with drawings: "find x in the diagram" is another problem in another diagram."""

PLAIN = Normalisation(
    "plain", fold_plain, _class_table(lambda c: _SEPARATOR if c.isspace() else _LETTER), drops_syntax=False
)
"""Lower case and split at white space, as Open-R1's script does."""


def _hash_names(names: Sequence[str]) -> Hashes:
    data = " ".join(names).encode() + b" " * 8
    return np.unique(hash_words(data, *find_runs(data, MATHEMATICAL.classes)))


_SYNTAX_HASHES = _hash_names(SYNTAX)
_ENVIRONMENT_HASHES = _hash_names(ENVIRONMENTS)
