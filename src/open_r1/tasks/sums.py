"""Left-to-right sums: "Compute 7+5-3". Difficulty is the number of operations; no total leaves 0..99."""

from __future__ import annotations

import random
import re

from open_r1.records import Problem
from open_r1.tasks.base import Family, Step, Worked


def sample(rng: random.Random, difficulty: int) -> Problem:
    total = rng.randint(1, 9)
    expression = str(total)
    for _ in range(difficulty):
        number = rng.randint(1, 9)
        sign = "+" if number > total else rng.choice("+-")
        total = total + number if sign == "+" else total - number
        expression += f"{sign}{number}"
    return Problem(f"Compute {expression}", str(total), "sums", difficulty)


def work(problem: Problem) -> Worked:
    first, *rest = re.findall(r"[+-]?\d+", problem.prompt)
    total = int(first)
    steps = []
    for term in rest:
        new_total = total + int(term)
        steps.append(
            Step(
                line=f"{total}{term}={new_total}",
                detail=(f"The total is {total}.", f"Next comes {term}."),
                slip=f"{total}{term}={new_total + 1}",
            )
        )
        total = new_total
    plus = sum(int(term) for term in rest if term.startswith("+"))
    minus = -sum(int(term) for term in rest if term.startswith("-"))
    expression = problem.prompt.removeprefix("Compute ")
    return Worked(
        analysis=f"There are {len(rest)} operations on {first}.",
        plan="Go from left to right and keep the total.",
        steps=tuple(steps),
        check=f"{first}+{plus}-{minus}={total}",
        shortcut=f"{expression}={total}",
        answer=str(total),
    )


FAMILY = Family("sums", (1, 12), sample, work)
