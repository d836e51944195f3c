"""One worked solution, written in the styles a teacher may have.

The guide names four levels of reasoning; a lazy and a terse teacher stand beside them:

    lazy        the answer at once, no work shown
    terse       the bare lines of the work
    format      level 1: a sentence inside the tags, then the bare lines
    structured  level 2: a plan and numbered steps
    deep        level 3: the question analysed, each step broken down
    verified    level 4: as structured, with a slip noticed and corrected in some traces, and a check at the end
"""

from __future__ import annotations

import random
from collections.abc import Callable

from open_r1.records import Problem, Trace
from open_r1.tasks.base import Worked, get_family

SLIP_SHARE = 0.5
"""Share of `verified` traces that show a slip and its correction."""


def write_structured(worked: Worked, rng: random.Random) -> list[str]:
    """The plan, then a numbered line for each step."""
    numbered = [f"Step {number}: {step.line}" for number, step in enumerate(worked.steps, start=1)]
    return [worked.plan, *numbered]


def write_deep(worked: Worked, rng: random.Random) -> list[str]:
    """The analysis and the plan, then each step broken further down."""
    lines = [worked.analysis, worked.plan]
    for number, step in enumerate(worked.steps, start=1):
        lines += [f"Step {number}:", *(f"- {detail}" for detail in step.detail), f"- {step.line}"]
    return lines


def write_verified(worked: Worked, rng: random.Random) -> list[str]:
    """The plan and the steps, at times with a mistake that is found and corrected, then a check."""
    slipped = rng.randrange(len(worked.steps)) if rng.random() < SLIP_SHARE else None
    lines = [worked.plan]
    for index, step in enumerate(worked.steps):
        if index == slipped:
            lines += [f"Step {index + 1}: {step.slip}", f"Wait, that is wrong: {step.line}"]
        else:
            lines.append(f"Step {index + 1}: {step.line}")
    return [*lines, f"Check: {worked.check}. Correct."]


STYLES: dict[str, Callable[[Worked, random.Random], list[str]]] = {
    "lazy": lambda worked, rng: [worked.shortcut],
    "terse": lambda worked, rng: [step.line for step in worked.steps],
    "format": lambda worked, rng: [worked.plan, *(step.line for step in worked.steps)],
    "structured": write_structured,
    "deep": write_deep,
    "verified": write_verified,
}


def write_trace(problem: Problem, style: str, seed: int = 0) -> Trace:
    """The trace of `problem` in one of `STYLES`; deterministic in problem, style and seed."""
    worked = get_family(problem.family).work(problem)
    lines = STYLES[style](worked, random.Random(f"{problem.id}/{style}/{seed}"))
    return Trace(problem, "\n".join(lines), worked.answer, style)
