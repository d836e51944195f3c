"""Sums of two numbers: "Compute 37 + 8". Difficulty 1 to 10: both numbers are at most ten times as large.

A pretrained model of a hundred million weights gets some of them right, the fewer the larger the numbers.
"""

from __future__ import annotations

import random
import re

from open_r1.records import Problem
from open_r1.tasks.base import Family, Step, Worked


def sample(rng: random.Random, difficulty: int) -> Problem:
    """A sum of two numbers from 1 to ten times the difficulty."""
    first, second = (rng.randint(1, 10 * difficulty) for _ in range(2))
    return Problem(f"Compute {first} + {second}", str(first + second), "addition", difficulty)


def work(problem: Problem) -> Worked:
    """The solution: the tens of the second number first, then its ones."""
    first, second = map(int, re.findall(r"\d+", problem.prompt))
    tens, ones = second - second % 10, second % 10
    between, total = first + tens, first + second
    steps = (
        Step(
            f"{first} + {tens} = {between}", (f"{second} is {tens} and {ones}.",), f"{first} + {tens} = {between + 10}"
        ),
        Step(f"{between} + {ones} = {total}", ("The ones come last.",), f"{between} + {ones} = {total + 1}"),
    )
    return Worked(
        analysis="There are two numbers to add.",
        plan="Add the tens of the second number, then its ones.",
        steps=steps,
        check=f"{total} - {second} = {first}",
        shortcut=f"{first} + {second} = {total}",
        answer=str(total),
    )


FAMILY = Family("addition", (1, 10), sample, work)
