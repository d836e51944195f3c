"""Pairs made by type: the same value in another writing is right, another value in the same writing is wrong.

The golds and answers are written here from values, so that which verdict is right is known without any checker.
"""

from __future__ import annotations

import os
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from open_r1.answers.check import check_answer

WHOLE = st.integers(-(10**6), 10**6)
SMALL = st.integers(2, 30)
FRACTIONS = st.fractions(min_value=-100, max_value=100, max_denominator=60)
NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve")
UNITS = {"km": 1000, "m": 1, "cm": Fraction(1, 100), "mm": Fraction(1, 1000)}


def frac(value: Fraction) -> str:
    sign = "-" if value < 0 else ""
    return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def writings_of_a_number(value: Fraction, factor: int) -> list[str]:
    """A rational number in forms that need no work to be done."""
    forms = [
        frac(value),
        rf"\frac{{{value.numerator * factor}}}{{{value.denominator * factor}}}",
        f"{value.numerator}/{value.denominator}",
        rf"x = {frac(value)}",
        rf"\dfrac{{{value.numerator}}}{{{value.denominator}}}\,",
        rf"\boldsymbol{{{frac(value)}}}",
        rf"\frac{{{frac(value * factor)}}}{{{factor}}}",
    ]
    return [*forms, str(value.numerator), f"{value.numerator}.0"] if value.denominator == 1 else forms


def writings_of_a_surd(whole: int, root: int, factor: int) -> list[str]:
    return [
        rf"{whole}+\sqrt{{{root}}}",
        rf"\sqrt{{{root}}}+{whole}",
        rf"{whole}+\frac{{\sqrt{{{root * factor**2}}}}}{{{factor}}}",
        rf"{whole}+{root}^{{1/2}}",
        rf"\frac{{{whole * factor}+{factor}\sqrt{{{root}}}}}{{{factor}}}",
    ]


def writings_of_a_polynomial(first: int, second: int, factor: int) -> list[str]:
    """(x-a)(x-b) for the two roots."""
    return [
        f"(x-({first}))(x-({second}))",
        f"(x-({second}))(x-({first}))",
        f"x^2-({first + second})x+({first * second})",
        rf"\frac{{{factor}x^2-({factor * (first + second)})x+({factor * first * second})}}{{{factor}}}",
        f"x(x-({first + second}))+({first * second})",
    ]


def writings_of_a_line(slope: int, shift: int, factor: int) -> list[str]:
    return [
        f"y={slope}x+({shift})",
        f"y-({slope}x)=({shift})",
        f"{factor}y={factor * slope}x+({factor * shift})",
        f"{slope}x-y+({shift})=0",
    ]


def writings_of_a_ratio(first: int, second: int, factor: int) -> list[str]:
    return [f"{first}:{second}", f"{first * factor}:{second * factor}", f"{first} : {second}"]


def writings_of_an_interval(low: int, high: int, factor: int) -> list[str]:
    return [
        f"[{low},{high})",
        rf"{low}\le x<{high}",
        rf"x\in[{low},{high})",
        f"x>={low} and x<{high}",
        rf"[\frac{{{low * factor}}}{{{factor}}},{high})",
    ]


def writings_of_a_pair(first: int, second: int, factor: int) -> list[str]:
    return [
        f"({first},{second})",
        rf"\left( {first}, \frac{{{second * factor}}}{{{factor}}} \right)",
        f"x={first},y={second}",
        f"{first}, {second}",
    ]


def writings_of_a_set(first: int, second: int, factor: int) -> list[str]:
    return [
        rf"\{{{first},{second}\}}",
        rf"\{{{second},{first}\}}",
        f"{second}, {first}",
        rf"{first} \text{{ and }} \frac{{{second * factor}}}{{{factor}}}",
    ]


def writings_of_a_length(value: int, unit: str, factor: int) -> list[str]:
    forms = [f"{value} {unit}", rf"{value}\text{{ {unit}}}"]
    return [*forms, *(f"{frac(value * UNITS[unit] / Fraction(size))} {name}" for name, size in UNITS.items())]


def writings_of_a_complex_number(real: int, imaginary: int, factor: int) -> list[str]:
    return [
        f"{real}+{imaginary}i",
        f"{imaginary}i+{real}",
        rf"{real}+{imaginary}\sqrt{{-1}}",
        rf"\frac{{{real * factor}+{imaginary * factor}i}}{{{factor}}}",
    ]


def writings_of_a_matrix(first: int, second: int, factor: int) -> list[str]:
    cells = rf"{first}&{second}\\1&0"
    scaled = rf"{first * factor}&{second * factor}\\{factor}&0"
    return [
        rf"\begin{{pmatrix}}{cells}\end{{pmatrix}}",
        rf"\begin{{bmatrix}}{cells}\end{{bmatrix}}",
        f"[[{first},{second}],[1,0]]",
        rf"\frac{{1}}{{{factor}}}\begin{{pmatrix}}{scaled}\end{{pmatrix}}",
    ]


def writings_of_a_name(first: int, _second: int, _factor: int) -> list[str]:
    name = NAMES[first % len(NAMES)]
    return [name, name.lower(), rf"\text{{{name}}}", rf"\mathbf{{{name}}}", f'"{name}"']


def writings_of_a_based_numeral(value: int, base: int, _factor: int) -> list[str]:
    digits, rest = "", abs(value)
    while rest or not digits:
        digits, rest = str(rest % base) + digits, rest // base
    return [f"{digits}_{base}" if base < 10 else f"{digits}_{{{base}}}", f"({digits})_{{{base}}}", digits]


KINDS = {
    "number": (st.tuples(FRACTIONS), lambda value, k: writings_of_a_number(*value, k)),
    "surd": (st.tuples(WHOLE, st.sampled_from([2, 3, 5, 6, 7])), lambda value, k: writings_of_a_surd(*value, k)),
    "polynomial": (
        st.tuples(st.integers(-50, 50), st.integers(-50, 50)).map(lambda roots: tuple(sorted(roots))),
        lambda value, k: writings_of_a_polynomial(*value, k),
    ),
    "line": (st.tuples(st.integers(1, 60), WHOLE), lambda value, k: writings_of_a_line(*value, k)),
    "ratio": (
        st.fractions(min_value=Fraction(1, 9), max_value=90, max_denominator=9).map(
            lambda f: (f.numerator, f.denominator)
        ),
        lambda value, k: writings_of_a_ratio(*value, k),
    ),
    "interval": (
        st.tuples(st.integers(-99, 0), st.integers(1, 99)),
        lambda value, k: writings_of_an_interval(*value, k),
    ),
    "pair": (st.tuples(WHOLE, st.integers(1000, 10**6)), lambda value, k: writings_of_a_pair(*value, k)),
    "set": (
        st.tuples(st.integers(-999, 0), st.integers(1, 999)),
        lambda value, k: writings_of_a_set(*value, k),
    ),
    "complex": (st.tuples(SMALL, SMALL), lambda value, k: writings_of_a_complex_number(*value, k)),
    "matrix": (st.tuples(WHOLE, WHOLE), lambda value, k: writings_of_a_matrix(*value, k)),
    "name": (st.tuples(st.integers(0, len(NAMES) - 1), st.just(0)), lambda value, k: writings_of_a_name(*value, k)),
    "based": (st.tuples(st.integers(0, 10**6), st.just(7)), lambda value, k: writings_of_a_based_numeral(*value, k)),
}


@st.composite
def same_value(draw) -> tuple[str, str]:
    values, write = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    forms = write(draw(values), draw(SMALL))
    return forms[0], draw(st.sampled_from(forms))


@st.composite
def other_value(draw) -> tuple[str, str]:
    values, write = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    first, second = draw(st.tuples(values, values).filter(lambda both: both[0] != both[1]))
    gold = write(first, 2)[0]
    return gold, draw(st.sampled_from(write(second, draw(SMALL))))


@settings(max_examples=300, deadline=None)
@given(same_value())
def test_the_same_value_in_another_writing_is_right(pair):
    gold, answer = pair
    assert check_answer(gold, rf"\boxed{{{answer}}}").reason == "correct"


@settings(max_examples=300, deadline=None)
@given(other_value())
def test_another_value_in_the_same_writings_is_wrong(pair):
    gold, answer = pair
    assert check_answer(gold, rf"\boxed{{{answer}}}").outcome.value == 0.0


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 10**6), st.sampled_from(sorted(UNITS)), st.integers(1, 10**6), st.sampled_from(sorted(UNITS)), SMALL
)
def test_lengths_convert_and_are_compared_as_lengths(first, unit, second, other, factor):
    gold = f"{first} {unit}"
    for answer in writings_of_a_length(first, unit, factor):
        assert check_answer(gold, rf"\boxed{{{answer}}}").reason == "correct"
    is_equal = first * UNITS[unit] == second * UNITS[other]
    assert check_answer(gold, rf"\boxed{{{second} {other}}}").is_correct is is_equal


PAIRS = int(os.environ.get("OPEN_R1_ANSWER_PAIRS", "20000"))
"""How many pairs the slow test makes; 100,000 take a quarter of an hour."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(
    max_examples=100_000,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(other_value())
def test_pairs_of_different_values_have_no_false_accept(pair):
    gold, answer = pair
    assert check_answer(gold, rf"\boxed{{{answer}}}").outcome.value == 0.0


CONICS = [
    (rf"\frac{{x^2}}{{{a}}}+\frac{{y^2}}{{{b}}}=1", rf"{b}x^2+{a}y^2={a * b}") for a in range(2, 10) for b in (11, 13)
]
TURNED = [(gold, answer.replace("x", "z")) for gold, answer in CONICS]


@pytest.mark.slow
def test_slow_pairs_of_one_batch_have_the_values_that_they_have_alone():
    """32 pairs for the algebra system in one batch, beside processes that want every core."""
    import os
    import subprocess
    import sys

    from open_r1.answers.check import check_answers
    from open_r1.answers.verifier import Pair, Verifier

    pairs = [Pair(gold, answer) for gold, answer in (*CONICS, *TURNED)]
    alone_verifier, batch_verifier = Verifier(workers=2), Verifier(workers=2)
    rivals = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(len(os.sched_getaffinity(0)))
    ]
    try:
        alone = [alone_verifier.check([pair])[0] for pair in pairs]
        assert batch_verifier.check(pairs) == alone
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
        alone_verifier.close()
        batch_verifier.close()
    golds, answers = zip(*CONICS, strict=True)
    verdicts = check_answers(golds, [rf"\boxed{{{answer}}}" for answer in answers])
    assert all(verdict.is_correct for verdict in verdicts)
