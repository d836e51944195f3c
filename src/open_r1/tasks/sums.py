"""Left-to-right sums: "Compute 7+5-3". Difficulty is the number of operations.

The numbers of a problem are distinct digits and no total leaves 0..20. A small model can then find the next number to
add by what it is, not by counting positions, and learns the procedure in a minute (docs/lab-notes.md).
"""

from __future__ import annotations

import random
import re

from open_r1.records import Problem
from open_r1.tasks.base import Family, Step, Worked

LARGEST_TOTAL = 20


def sample(rng: random.Random, difficulty: int) -> Problem:
    """A sum and difference of digits with as many signs as the difficulty; no total on the way is negative."""
    first, *rest = rng.sample(range(1, 10), difficulty + 1)
    total, expression = first, str(first)
    for number in rest:
        signs = "+" * (total + number <= LARGEST_TOTAL) + "-" * (number <= total)
        sign = rng.choice(signs)
        total = total + number if sign == "+" else total - number
        expression += f"{sign}{number}"
    return Problem(f"Compute {expression}", str(total), "sums", difficulty)


def work(problem: Problem) -> Worked:
    """The solution: from left to right, with the total after each term."""
    first, *rest = re.findall(r"[+-]?\d+", problem.prompt)
    total = int(first)
    steps = []
    for term in rest:
        before, total = total, total + int(term)
        detail = (f"The total is {before}.", f"Next comes {term}.")
        steps.append(Step(f"{before}{term}={total}", detail, slip=f"{before}{term}={total + 1}"))
    plus = sum(int(term) for term in rest if term.startswith("+"))
    minus = -sum(int(term) for term in rest if term.startswith("-"))
    return Worked(
        analysis=f"There are {len(rest)} operations on {first}.",
        plan="Go from left to right and keep the total.",
        steps=tuple(steps),
        check=f"{first} and {plus} less {minus} is {total}",
        shortcut=f"The total is {total}",
        answer=str(total),
    )


FAMILY = Family("sums", (1, 8), sample, work)
