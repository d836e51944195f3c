"""The file of problems that the stage `problems` writes and later stages read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from open_r1.records import Problem
from open_r1.rundir import read_jsonl


def problem_row(problem: Problem) -> dict[str, Any]:
    return {
        "id": problem.id,
        "prompt": problem.prompt,
        "solution": problem.gold,
        "family": problem.family,
        "difficulty": problem.difficulty,
        "ordered": bool(problem.metadata.get("ordered")),
    }


def read_problems(path: Path) -> list[Problem]:
    return [
        Problem(row["prompt"], row["solution"], row["family"], row["difficulty"], {"ordered": row["ordered"]})
        for row in read_jsonl(path)
    ]
