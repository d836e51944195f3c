from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.answers.latex import canonical
from open_r1.answers.numbers import MAX_DIGITS, Number, are_equal, read_number
from open_r1.answers.values import compare_values, value_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        (".5", Fraction(1, 2)),
        ("2.", 2),
        ("-0", 0),
        (r"-\frac{1}{2}", Fraction(-1, 2)),
        (r"\frac{-1}{2}", Fraction(-1, 2)),
        ("1/2", Fraction(1, 2)),
        ("1.5/2", Fraction(3, 4)),
        (r"6\frac{1}{6}", Fraction(37, 6)),
        (r"-6\frac{1}{6}", Fraction(-37, 6)),
        ("1e3", 1000),
        (r"1.5\cdot10^{-3}", Fraction(3, 2000)),
        ("10^{3}", 1000),
    ],
)
def test_plain_numbers_are_read_exactly(text, value):
    number = read_number(text)
    assert number is not None
    assert number.value == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        "x",
        "1/0",
        r"\frac{1}{0}",
        "1,2",
        "3 7",
        "7+5",
        "2^{10}",
        "1e",
        "10^{9999}",
        "1" * (MAX_DIGITS + 1),
    ],
)
def test_everything_else_is_no_plain_number(text):
    assert read_number(text) is None


@given(st.fractions())
def test_a_fraction_reads_as_itself(fraction):
    number = read_number(canonical(rf"\frac{{{fraction.numerator}}}{{{fraction.denominator}}}"))
    assert number is None or number.value == fraction


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_a_decimal_reads_as_itself(decimal):
    assert read_number(canonical(str(decimal))).value == Fraction(decimal)


@pytest.mark.parametrize(
    ("first", "second", "is_equal"),
    [
        ("50%", "50", True),
        ("50%", "0.5", True),
        ("50%", "5", False),
        ("50%", "51%", False),
        ("1/3", "0.333333", True),
        ("2/3", "0.666667", True),
        ("2/3", "0.666666", True),
        ("2/3", "0.666668", False),
        ("1/3", "0.3333", False),
        ("1/4", "0.250001", False),
    ],
)
def test_percent_is_a_unit_and_only_endless_fractions_are_rounded(first, second, is_equal):
    first_number, second_number = read_number(first), read_number(second)
    assert isinstance(first_number, Number)
    assert isinstance(second_number, Number)
    assert are_equal(first_number, second_number) is is_equal
    assert are_equal(second_number, first_number) is is_equal


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ("2^{10}", "1024", True),
        (r"\frac{3(29)}{3}", "29", True),
        ("2(3)", "5", False),
        (r"11\sqrt{2}", "15", False),
        (r"11\sqrt{2}", r"\sqrt{242}", None),
        ("x+1", "1+x", None),
        ("x+1", "x-1", False),
        ("3R^{2}", "3r^{2}", None),
        (r"2\pi", "6.283185", None),
        (r"2\pi", "6.2", False),
        ("1/2x", "5", None),
        (r"1\frac{4}{5}x", "5", None),
        (r"\sin x", "5", None),
        ("9^{9^{9^{9}}}", "5", None),
        ("2^{5000}", "5", None),
        ("(" * 100 + "1" + ")" * 100, "1", None),
    ],
)
def test_values_prove_difference_and_exact_ones_equality(first, second, verdict):
    assert compare_values(first, second) is verdict
    assert compare_values(second, first) is verdict


@given(st.text(alphabet=r"0123456789+-/^(){}[].xei ", max_size=30) | st.text(max_size=30))
def test_any_text_has_a_value_or_none_and_compares_alike_from_both_sides(text):
    value_of(text)
    assert compare_values(text, "5") is compare_values("5", text)
