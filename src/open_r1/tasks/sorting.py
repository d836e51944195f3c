"""Sorting: "Sort 31 7 24 9". Difficulty is how many numbers there are, less one."""

from __future__ import annotations

import random

from open_r1.records import Problem
from open_r1.tasks.base import Family, Step, Worked


def sample(rng: random.Random, difficulty: int) -> Problem:
    """One number more than the difficulty, all different, below 100."""
    numbers = rng.sample(range(1, 100), difficulty + 1)
    prompt, gold = f"Sort {' '.join(map(str, numbers))}", join(sorted(numbers))
    return Problem(prompt, gold, "sorting", difficulty, {"ordered": True})


def join(numbers: list[int]) -> str:
    """The numbers as an answer writes them."""
    return ", ".join(map(str, numbers))


def work(problem: Problem) -> Worked:
    """The solution: take the smallest number that is left, again and again."""
    numbers = left = [int(word) for word in problem.prompt.split()[1:]]
    steps = []
    while len(left) > 1:
        smallest, largest, listed = min(left), max(left), " ".join(map(str, left))
        left = [number for number in left if number != smallest]
        remaining = " ".join(map(str, left))
        detail = (f"Of {listed} the smallest is {smallest}.",)
        steps.append(Step(f"{smallest} then {remaining}", detail, slip=f"{largest} then {remaining}"))
    answer = join(sorted(numbers))
    return Worked(
        analysis=f"There are {len(numbers)} numbers.",
        plan="Take the smallest that is left, again and again.",
        steps=tuple(steps),
        check=f"{' < '.join(map(str, sorted(numbers)))} and all {len(numbers)} are there",
        shortcut=f"Sorted it is {answer}",
        answer=answer,
    )


FAMILY = Family("sorting", (1, 9), sample, work)
