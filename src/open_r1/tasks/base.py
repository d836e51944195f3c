"""What a family of procedural problems is, how one is found by name, and how a solution is written as a trace.

A family is one file in this folder that ends in a `FAMILY = Family(...)`: a name, the range of its difficulty, a
function that samples a problem, and a function that works one. Nothing else needs editing to add one.

The guide names four levels of reasoning; a lazy and a terse teacher stand beside them:

    lazy        the answer at once, no work shown
    terse       the bare lines of the work
    format      level 1: a sentence inside the tags, then the bare lines
    structured  level 2: a plan and numbered steps
    deep        level 3: the question analysed, each step broken down
    verified    level 4: as structured, with a slip noticed and corrected in some traces, and a check at the end
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from open_r1.configs.references import modules_in
from open_r1.errors import ConfigError, nearest
from open_r1.records import Problem, Trace

Split = Literal["train", "held_out"]

HELD_OUT_SHARE = 16
"""One problem in this many belongs to the held-out split, whatever the seed."""

MOST_MISSES = 200 * HELD_OUT_SHARE
"""Samples in a row without a new problem after which a family counts as exhausted."""


@dataclass(frozen=True)
class Step:
    """One step of a solution: its line ("7 + 5 = 12"), the same broken further down, and with a believable mistake."""

    line: str
    detail: tuple[str, ...]
    slip: str


@dataclass(frozen=True)
class Worked:
    """A problem worked by hand, from which every style of trace is written (see `STYLES`)."""

    analysis: str
    plan: str
    steps: tuple[Step, ...]
    check: str
    shortcut: str
    answer: str


@dataclass(frozen=True)
class Family:
    """A family of problems.

    `sample(rng, difficulty)` samples a problem of that whole-number difficulty; `work(problem)` solves it from its
    prompt alone. `difficulties` is the inclusive range.
    """

    name: str
    difficulties: tuple[int, int]
    sample: Callable[[random.Random, int], Problem]
    work: Callable[[Problem], Worked]


@cache
def families() -> dict[str, Family]:
    """Every family in this folder, by name."""
    found = [module.FAMILY for module in modules_in("open_r1.tasks") if hasattr(module, "FAMILY")]
    return {family.name: family for family in sorted(found, key=lambda family: family.name)}


def get_family(name: str) -> Family:
    """The family called `name`; ConfigError names the known ones."""
    known = families()
    if name not in known:
        raise ConfigError(f"unknown task family '{name}'{nearest(name, known)} Known families: {', '.join(known)}.")
    return known[name]


def split_of(problem: Problem) -> Split:
    """The split a problem belongs to: a function of its text alone, so that the two are disjoint for every seed."""
    digest = hashlib.sha256(problem.prompt.encode()).digest()
    return "held_out" if int.from_bytes(digest[:4], "big") % HELD_OUT_SHARE == 0 else "train"


def draw_problems(
    family: Family, n: int, split: Split, seed: int, difficulties: tuple[int, int] | None = None
) -> list[Problem]:
    """`n` distinct problems of one split, the difficulties taken in turn.

    Difficulties are about equally frequent until one has no new problem left. Deterministic in all its arguments.
    ConfigError when the range is outside the family's, or when the family has fewer than `n` distinct problems there.
    """
    low, high = difficulties or family.difficulties
    if not family.difficulties[0] <= low <= high <= family.difficulties[1]:
        raise ConfigError(
            f"difficulty [{low}, {high}] of task family '{family.name}' is outside its range "
            f"{list(family.difficulties)}; choose a range within it."
        )
    rng = random.Random(f"{family.name}/{split}/{seed}")
    levels = range(low, high + 1)
    found: dict[str, Problem] = {}
    attempts = misses = 0
    while len(found) < n and misses < MOST_MISSES:
        problem = family.sample(rng, levels[attempts % len(levels)])
        attempts, misses = attempts + 1, misses + 1
        if split_of(problem) == split and problem.prompt not in found:
            found[problem.prompt] = problem
            misses = 0
    if len(found) < n:
        raise ConfigError(
            f"task family '{family.name}' has only about {len(found)} distinct {split} problems at difficulty "
            f"[{low}, {high}], but {n} were asked for; ask for fewer or widen the range."
        )
    return list(found.values())


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
