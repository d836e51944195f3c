"""Linear equations in the guide's own form: "Solve: 2x + 3 = 11". Difficulty 1 to 4 widens the numbers.

1: small positive numbers; 2: larger ones; 3: negative solutions too; 4: the unknown on both sides.
"""

from __future__ import annotations

import random
import re

from open_r1.records import Problem
from open_r1.tasks.base import Family, Step, Worked

RANGES = {1: (5, 9, 9), 2: (9, 12, 30), 3: (9, 12, 30), 4: (9, 12, 30)}
"""Difficulty -> largest coefficient, largest solution, largest constant."""

EQUATION = re.compile(r"Solve: (\d+)x ([+-]) (\d+) = (?:(\d+)x ([+-]) (\d+)|(-?\d+))$")


def sample(rng: random.Random, difficulty: int) -> Problem:
    """An equation whose solution is a whole number; its forms and numbers grow with the difficulty."""
    max_a, max_x, max_b = RANGES[difficulty]
    a, x, b = rng.randint(2, max_a), rng.randint(1, max_x), rng.randint(1, max_b)
    if difficulty >= 3 and rng.random() < 0.5:
        x = -x
    left = a * x + b if (sign := rng.choice("+-")) == "+" else a * x - b
    right = str(left)
    if difficulty == 4:
        c = rng.randint(1, a - 1)
        constant = left - c * x
        right = f"{c}x {'+' if constant >= 0 else '-'} {abs(constant)}"
    return Problem(f"Solve: {a}x {sign} {b} = {right}", str(x), "linear_equations", difficulty)


def parse(prompt: str) -> tuple[int, int, int, int]:
    """The numbers (a, b, c, d) of `a·x + b = c·x + d`."""
    match = EQUATION.match(prompt)
    if match is None:
        raise ValueError(f"not a linear equation of this family: {prompt!r}")
    a, sign, b, c, right_sign, d, constant = match.groups()
    if constant is not None:
        return int(a), int(sign + b), 0, int(constant)
    return int(a), int(sign + b), int(c), int(right_sign + d)


def signed(number: int) -> str:
    """The number with its sign and a blank before it, as in "+ 3"."""
    return f"{'+' if number >= 0 else '-'} {abs(number)}"


def moved(number: int) -> str:
    """How a term reads on the other side of the equation: 3 -> "- 3", -3 -> "+ 3"."""
    return f"- {number}" if number >= 0 else f"+ {-number}"


def work(problem: Problem) -> Worked:
    """The solution: gather x, move the constant, divide."""
    a, b, c, d = parse(problem.prompt)
    rest = a - c
    x = (d - b) // rest
    steps = (
        Step(
            line=f"{rest}x = {d} {moved(b)} = {d - b}",
            detail=(f"The constant {abs(b)} goes to the right with its sign changed.",),
            slip=f"{rest}x = {d} {moved(-b)} = {d + b}",
        ),
        Step(f"x = {d - b} / {rest} = {x}", (f"Divide both sides by {rest}.",), f"x = {d - b} / {rest} = {x + 1}"),
    )
    analysis, plan = "The unknown is x.", "Move the constant, then divide."
    check = f"{a} * {x} {signed(b)} = {a * x + b}"
    if c:
        gather = Step(
            line=f"{rest}x {signed(b)} = {d}",
            detail=(f"Both sides lose {c}x.", f"{a} - {c} = {rest}"),
            slip=f"{a + c}x {signed(b)} = {d}",
        )
        steps = (gather, *steps)
        analysis, plan = "The unknown x is on both sides.", "Gather x on the left, move the constant, then divide."
        check = f"{check} and {c} * {x} {signed(d)} = {c * x + d}"
    return Worked(analysis, plan, steps, check, f"x = {x}", str(x))


FAMILY = Family("linear_equations", (1, 4), sample, work)
