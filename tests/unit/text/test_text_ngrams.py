"""What is folded away, what isn't, and that hashing in bulk agrees with splitting one text."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from open_r1.text.ngrams import (
    ENVIRONMENTS,
    MATHEMATICAL,
    PLAIN,
    RECORD,
    SYNTAX,
    WITH_DRAWINGS,
    Normalisation,
    ngram_hashes,
    operators,
)

SAME = [
    ("Find THE sum", "find   the\n\tsum."),
    (r"$\frac{1}{2}$", r"\(\dfrac12\)"),
    (r"$\frac{1}{2}$", "½"),
    (r"\frac12 x", r"\tfrac{1}{2}\,x"),
    ("$10{,}000$", "10,000"),
    (r"10,\!000 cm", r"10\,000\,\text{cm}"),
    ("1,234,567", "1234567"),
    (r"\left( x^{2} \right)", "(x²)"),
    (r"\sqrt{2}\le\pi", "√2 ≤ π"),
    (r"3\cdot x \times 5", "3 x * 5"),
    (r"\begin{align*} x &= 1 \end{align*}", "x = 1"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}"),
    ("Café “naïve”", "CAFE 'naive'"),
    ("ｆｕｌｌ ｗｉｄｔｈ １２", "full width 12"),
    ("٣ apples", "3 apples"),
    ("zero\u200bwidth", "zerowidth"),
    ("Straße", "STRASSE"),
    ("nine-foot", "nine foot"),
    ("a \\text{ if } b", "a if b"),
    ("Find x. [asy]draw((0,0)--(1,1));[/asy] Now.", "Find x. Now"),
    ("求方程的解", "求 方 程 的 解"),
]

DIFFERENT = [
    ("1.5", "15"),
    ("12 000", "12000"),
    (r"\sin x", r"\cos x"),
    ("1,23", "123"),
    ("a1", "1a"),
    ("x,1000", "x1,000,1"),
    ("[asy]draw(1);", "draw"),  # not closed: no drawing
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_one_text_in_two_spellings_has_the_same_words(left: str, right: str) -> None:
    assert MATHEMATICAL.split(left) == MATHEMATICAL.split(right) != []


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_what_differs_has_other_words(left: str, right: str) -> None:
    assert MATHEMATICAL.split(left) != MATHEMATICAL.split(right)


def test_drawings_count_where_they_are_wanted() -> None:
    first, second = (f"Find x. [asy]label({number});[/asy]" for number in (1, 2))
    assert MATHEMATICAL.split(first) == MATHEMATICAL.split(second)
    assert WITH_DRAWINGS.split(first) != WITH_DRAWINGS.split(second)


def test_an_unclosed_drawing_swallows_no_other_text() -> None:
    words = MATHEMATICAL.words(["one [asy] two", "three", "four [/asy] five"])
    assert [len(words.of(text)) for text in range(3)] == [3, 1, 3]


def test_operators_are_counted_in_any_spelling() -> None:
    def count(text: str) -> dict[bytes, int]:
        return dict(operators(MATHEMATICAL.fold(text)))

    assert count(r"\frac{1}{2} \le x^2 - 3") == count("1/2 ≤ x² − 3") == {b"/": 1, b"<": 1, b"^": 1, b"-": 1}
    assert count("3+5") != count("3-5")
    assert count("8/(4/2)") != count("8/4/2")
    assert count(r"a\cdot b") == count("a b") == count("a*b") == {}
    assert count("a nine-foot 9-foot pole") == {}


def split_slowly(text: str) -> list[bytes]:
    """The definition of a word, in Python: what `Normalisation.words` does in numpy."""
    data = MATHEMATICAL.fold(text)
    found = []
    is_open = False  # a \begin or \end whose name is still to come
    for match in re.finditer(rb"[a-z\x80-\xff]+|[0-9]+", data):
        before = data[: match.start()]
        is_syntax = before.endswith(b"\\") and match[0].decode("latin-1") in SYNTAX
        is_name = is_open and before.endswith(b"{") and match[0].decode("latin-1") in ENVIRONMENTS
        is_open = is_syntax and data[match.end() : match.end() + 1] == b"{"
        if not (is_syntax or is_name):
            found.append(match[0])
    return found


PIECES = st.sampled_from(
    [
        *"abz019 \n\\{}$,.+-^_é²½求αЖ\x1e\ud800\u0301",
        "\\frac",
        "\\begin{align}",
        "\\sin",
        "[asy]",
        "[/asy]",
        "10,000",
        "\\,",
    ]
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=25).map("".join))


@settings(deadline=None)
@given(TEXTS)
@example("\\frac{align}")
@example("[asy]\x1e[/asy]")
@example("x" * 100 + " " + "9" * 33)
def test_words_in_numpy_are_the_words_of_the_definition(text: str) -> None:
    assert MATHEMATICAL.split(text) == split_slowly(text.replace(RECORD, " "))


@pytest.mark.parametrize("normalisation", [MATHEMATICAL, WITH_DRAWINGS, PLAIN], ids=lambda n: n.name)
@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_a_batch_has_the_words_of_its_texts(normalisation: Normalisation, texts: list[str]) -> None:
    words = normalisation.words(texts)
    assert [words.of(text) for text in range(len(texts))] == [normalisation.split(text) for text in texts]
    assert words.count_empty() == sum(not normalisation.split(text) for text in texts)
    assert words.texts_of(np.arange(len(words.starts))).tolist() == [
        text for text in range(len(texts)) for _ in words.of(text)
    ]


@settings(deadline=None)
@given(TEXTS)
def test_plain_words_are_those_of_open_r1(text: str) -> None:
    expected = text.replace(RECORD, " ").lower().split()
    assert PLAIN.split(text) == [word.encode("utf-8", "surrogatepass") for word in expected]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "longer", "x" * 31, "x" * 31 + "y", "12"]), max_size=20), st.integers(1, 9))
def test_equal_runs_of_words_have_equal_hashes_and_others_have_not(words: list[str], n: int) -> None:
    hashes = ngram_hashes(PLAIN.words([" ".join(words)]).hashes, n)
    runs = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    assert len(hashes) == len(runs)
    assert len(set(hashes.tolist())) == len(set(runs))
    assert len(set(zip(runs, hashes.tolist(), strict=True))) == len(set(runs))


def test_words_that_differ_beyond_what_is_hashed_are_told_apart_by_the_words() -> None:
    first, second = "x" * 40 + "a", "x" * 40 + "b"
    words = PLAIN.words([first, second])
    assert words.hashes[0] == words.hashes[1]
    assert words.of(0) != words.of(1)


def test_nothing_has_no_words() -> None:
    assert MATHEMATICAL.words([]).bounds.tolist() == [0]
    assert MATHEMATICAL.words(["", " ", "…"]).bounds.tolist() == [0, 0, 0, 0]
    assert len(ngram_hashes(MATHEMATICAL.words([""]).hashes, 8)) == 0
