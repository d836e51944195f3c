"""Walks through the week: "Weekday Fri+6-5" is six days on from Friday, then five back. Difficulty is the number of moves.

The moves of a problem are distinct, for the reason given in `sums`.
"""

from __future__ import annotations

import random
import re

from open_r1.records import Problem
from open_r1.tasks.base import Family, Step, Worked

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def sample(rng: random.Random, difficulty: int) -> Problem:
    """A weekday and as many moves forth or back as the difficulty, each of 1 to 6 days."""
    start = rng.choice(DAYS)
    moves = [rng.choice((1, -1)) * count for count in rng.sample(range(1, 7), difficulty)]
    walk = "".join(f"{move:+d}" for move in moves)
    return Problem(f"Weekday {start}{walk}", day_after(start, sum(moves)), "weekdays", difficulty)


def day_after(start: str, days: int) -> str:
    """The weekday so many days later; a negative number goes back."""
    return DAYS[(DAYS.index(start) + days) % len(DAYS)]


def parse(prompt: str) -> tuple[str, list[int]]:
    """The day a walk starts from, and its moves in days."""
    walk = prompt.removeprefix("Weekday ")
    return walk[:3], [int(move) for move in re.findall(r"[+-]\d", walk)]


def work(problem: Problem) -> Worked:
    """The solution: one move after the other, counted day by day."""
    start, moves = parse(problem.prompt)
    today = start
    steps = []
    for move in moves:
        before, today = today, day_after(today, move)
        direction = 1 if move > 0 else -1
        passed = " ".join(day_after(before, direction * count) for count in range(1, abs(move) + 1))
        detail = (f"Counting {'on' if move > 0 else 'back'} from {before}: {passed}.",)
        slip = f"{before}{move:+d}={day_after(today, direction)}"
        steps.append(Step(f"{before}{move:+d}={today}", detail, slip))
    total = sum(moves)
    return Worked(
        analysis=f"There are {len(moves)} moves from {start}.",
        plan="Make one move after the other.",
        steps=tuple(steps),
        check=f"All moves together are {total}, and {start}{total % 7:+d} is {today}",
        shortcut=f"The day is {today}",
        answer=today,
    )


FAMILY = Family("weekdays", (1, 6), sample, work)
