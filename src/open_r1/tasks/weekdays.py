"""Walks through the week: "It is Tue. Go 3 days on, 2 days back. Which day is it?". Difficulty is the number of moves."""

from __future__ import annotations

import random
import re

from open_r1.records import Problem
from open_r1.tasks.base import Family, Step, Worked

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def sample(rng: random.Random, difficulty: int) -> Problem:
    start = rng.choice(DAYS)
    moves = [(rng.randint(1, 6), rng.choice(("on", "back"))) for _ in range(difficulty)]
    prompt = f"Start {start} go {' '.join(f'{count} {way}' for count, way in moves)}"
    return Problem(prompt, walk(start, moves)[-1], "weekdays", difficulty)


def walk(start: str, moves: list[tuple[int, str]]) -> list[str]:
    """The day after each move."""
    position = DAYS.index(start)
    days = []
    for count, way in moves:
        position = (position + (count if way == "on" else -count)) % len(DAYS)
        days.append(DAYS[position])
    return days


def parse(prompt: str) -> tuple[str, list[tuple[int, str]]]:
    start = prompt.split()[1]
    return start, [(int(count), way) for count, way in re.findall(r"(\d) (on|back)", prompt)]


def work(problem: Problem) -> Worked:
    start, moves = parse(problem.prompt)
    days = walk(start, moves)
    steps = []
    for before, (count, way), after in zip([start, *days], moves, days, strict=False):
        position = DAYS.index(before)
        direction = 1 if way == "on" else -1
        passed = [DAYS[(position + direction * k) % len(DAYS)] for k in range(1, count + 1)]
        wrong = DAYS[(position + direction * (count + 1)) % len(DAYS)]
        steps.append(
            Step(
                line=f"{before} {count} {way} is {after}",
                detail=(f"Counting {way} from {before}: {' '.join(passed)}.",),
                slip=f"{before} {count} {way} is {wrong}",
            )
        )
    total = sum(count if way == "on" else -count for count, way in moves)
    return Worked(
        analysis=f"There are {len(moves)} moves from {start}.",
        plan="Make one move after the other.",
        steps=tuple(steps),
        check=f"All moves together are {total}, so {start} {total % 7} on is {days[-1]}",
        shortcut=f"The day is {days[-1]}",
        answer=days[-1],
    )


FAMILY = Family("weekdays", (1, 8), sample, work)
