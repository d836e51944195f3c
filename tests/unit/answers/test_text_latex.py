r"""One spelling for an answer: each row's spellings all become its first."""

from __future__ import annotations

import pytest

from open_r1.answers.latex import brace_arguments, canonical, clean_unicode

SPELLINGS = [
    (
        r"\frac{4}{3}",
        r"\dfrac{4}{3}",
        r"\tfrac 43",
        r"$\frac43$",
        r"\( \frac{4}3 \)",
        r"\color{red}\frac43",
    ),
    (r"11\sqrt{2}", r"11\sqrt2", r"11 \sqrt{2}", r"\left. 11\sqrt{2}\right.", "11√2", r"\boldsymbol{11\sqrt2}"),
    (r"2^{10}", "2^10", "2**10", r"2^{10}", "2¹⁰"),
    ("x^{2}+1", "x^2 + 1", "x²+1", r"x^{2}+\,1"),
    ("10000", r"10,\!000", r"10{,}000", "10,000", "10 000"),
    ("10000 dollars", r"10,000\text{ dollars}", r"10,\!000 \mathrm{dollars}"),
    ("$10000", r"\$10,000", r"\textbf{\$10000}"),
    ("50%", r"50\%", r"50 \%", "50 percent", "50％"),
    ("72°", r"72^\circ", r"72^{\circ}", r"72^{\,\circ}", r"72\degree"),
    ("30°15'", r"30^\circ 15'", r"30^{\circ}15^\prime", "30°15′"),
    ("(A)", r"\text{(A)}", r"(\text{A})", r"\textbf{(A)}", r"\textbf{\text{(A)}}"),
    (
        "42",
        r"42\,",
        r"\;42\;",
        r"42\ ",
        "42~",
        r"{\rm 42}",
        r"\bm{42}",
        r"\underline{42}",
        r"\text{``42''}",
        "“42”",
        r"\large 42",
    ),
    ("4", r"\mbox{4}", "{4}", "{{4}}", "**4**", "$$4$$", r"\[4\]"),
    ("6,8,10", "6, 8, 10", "6 ,8,10", "6，8，10", "6、8、10"),
    ("6 and 8", r"6\text{ and }8", "6  and  8"),
    (r"\mathbb{R}", r"\mathbb R", "ℝ", r"\mathbb{ R }"),
    (r"(3,\frac{\pi}{2})", r"\left( 3, \frac{\pi}{2} \right)", r"\big(3,\frac{\pi}{2}\big)", r"(3, \frac{π}{2})"),
    (
        r"\begin{pmatrix}1\\2\end{pmatrix}",
        r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}",
        r"\begin{pmatrix} 1 \\ 2 \\ \end{pmatrix}",
    ),
    ("x\\le5", r"x \leq 5", r"x\leqslant 5", "x <= 5", "x ≤ 5"),
    (r"\pi r^{2}", r"\pi r^2", "pi r^2", "π r²"),
    (r"1\frac{1}{2}", "1 1/2", r"1 \frac{1}{2}"),
    (r"\sqrt[3]{2}", r"\sqrt[3]2"),
]

KEPT = [
    r"\sin5x",
    "3 7 12",
    "(1,234)",
    "8:34pm",
    r"A5_{11}",
    r"\pi r^{2}",
    "a b",
    "5 cm^{2}",
    "July 4",
    "one half",
    "x_{1}",
    "0.5",
]


@pytest.mark.parametrize("spellings", SPELLINGS, ids=lambda row: row[0])
def test_spellings_of_one_answer_become_one(spellings):
    assert {spelling: canonical(spelling) for spelling in spellings} == dict.fromkeys(spellings, spellings[0])


@pytest.mark.parametrize("text", KEPT)
def test_what_is_canonical_stays(text):
    assert canonical(text) == text


def test_arguments_get_their_braces():
    assert brace_arguments(r"\frac43\frac{1}2\frac 59x^-1a_12\sqrt2") == (
        r"\frac{4}{3}\frac{1}{2}\frac{5}{9}x^{-1}a_{12}\sqrt{2}"
    )
    assert brace_arguments(r"\frac{\frac12}3") == r"\frac{\frac{1}{2}}{3}"
    assert brace_arguments("}" * 5 + r"\frac") == "}" * 5 + r"\frac"


def test_invisible_characters_go_and_digits_become_plain():
    assert clean_unicode("\u202e１\u200b٢\x00③\ufeff") == "123"
    assert clean_unicode("1½") == "1 1/2 "
    assert clean_unicode("\ud800x") == "x"
