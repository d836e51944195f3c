r"""The problem's own formula is no answer, where the problem is known; a numeral, a word or a letter always is one."""

from __future__ import annotations

import pytest

from open_r1.answers.check import check_answer

COPIES = [
    # problem, gold, answer
    (r"Evaluate $2^{10}$.", "1024", "2^{10}"),
    (r"Factor $x^2-1$.", "(x+1)(x-1)", "x^2-1"),
    (r"Expand \((x+1)(x-1)\).", "x^2-1", "(x+1)(x-1)"),
    (r"Simplify \[\sqrt{50}+\sqrt{18}.\]", r"8\sqrt2", r"\sqrt{50} + \sqrt{18}"),
    (r"Simplify $\frac{24}{36}$.", r"\frac{2}{3}", r"\dfrac{24}{36}"),
    (r"Let $f(x) = x^2-5x+6$. Factor $f$.", "(x-2)(x-3)", "x^2-5x+6"),
    (r"Write $0.\overline{3}$ as a fraction.", r"\frac13", r"0.\overline{3}"),
    ("Compute 5! for me.", "120", "5!"),
    (r"Compute \begin{align*} 3^4 \end{align*}", "81", "3^4"),
]

NO_COPIES = [
    (r"Is $5$ odd? What is $2+3$?", "5", "5.0"),
    (r"Write $\frac{1}{2}$ as a decimal.", "0.5", r"\frac12"),
    (r"Factor $x^2-1$.", "(x+1)(x-1)", "(x-1)(x+1)"),
    (r"Is $x^2-1$ prime?", "x^2-1", "x^2 - 1"),
    (r"Evaluate $2^{101}$.", "1024", "2^{10}"),
    (r"Evaluate $12^{10}$.", "1024", "2^{10}"),
    ("Who won, Ann or Bob?", "Ann", "ann"),
    ("Which is it, $A$ or $B$?", "A", "(a)"),
]


@pytest.mark.parametrize(("problem", "gold", "answer"), COPIES)
def test_a_formula_of_the_problem_is_no_answer(verifier, problem, gold, answer):
    completion = rf"\boxed{{{answer}}}"
    assert check_answer(gold, completion, verifier).reason == "correct"
    copied = check_answer(gold, completion, verifier, problem=problem)
    assert copied.reason == "copied"
    assert copied.outcome.value == 0.0


@pytest.mark.parametrize(("problem", "gold", "answer"), NO_COPIES)
def test_an_answer_of_ones_own_is_not_a_copy(verifier, problem, gold, answer):
    assert check_answer(gold, rf"\boxed{{{answer}}}", verifier, problem=problem).reason == "correct"


def test_a_wrong_formula_of_the_problem_stays_wrong(verifier):
    assert check_answer("12", r"\boxed{7+6}", verifier, problem="What is $7+6$?").reason == "wrong"
