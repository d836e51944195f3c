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


def move(number: int) -> str:
    """How a term reads on the other side of the equation: 3 -> "- 3", -3 -> "+ 3"."""
    return f"- {number}" if number >= 0 else f"+ {-number}"


def work(problem: Problem) -> Worked:
    a, b, c, d = parse(problem.prompt)
    steps = []
    if c:
        steps.append(
            Step(
                line=f"{a - c}x {'+' if b >= 0 else '-'} {abs(b)} = {d}",
                detail=(f"Both sides lose {c}x.", f"{a} - {c} = {a - c}"),
                slip=f"{a + c}x {'+' if b >= 0 else '-'} {abs(b)} = {d}",
            )
        )
        a -= c
    x = (d - b) // a
    steps.append(
        Step(
            line=f"{a}x = {d} {move(b)} = {d - b}",
            detail=(f"The constant {abs(b)} goes to the right with its sign changed.",),
            slip=f"{a}x = {d} {move(-b)} = {d + b}",
        )
    )
    steps.append(
        Step(
            line=f"x = {d - b} / {a} = {x}",
            detail=(f"Divide both sides by {a}.",),
            slip=f"x = {d - b} / {a} = {x + 1}",
        )
    )
    a, b, c, d = parse(problem.prompt)
    check = f"{a} * {x} {'+' if b >= 0 else '-'} {abs(b)} = {a * x + b}"
    return Worked(
        analysis="The unknown is x." if not c else "The unknown x is on both sides.",
        plan="Move the constant, then divide." if not c else "Gather x on the left, move the constant, then divide.",
        steps=tuple(steps),
        check=check if not c else f"{check} and {c} * {x} {'+' if d >= 0 else '-'} {abs(d)} = {c * x + d}",
        shortcut=f"x = {x}",
        answer=str(x),
    )


FAMILY = Family("linear_equations", (1, 4), sample, work)
