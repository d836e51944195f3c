"""reasoning_gym: what reasoning-gym's own scorer gives an answer to one of its problems.

The column `reasoning_gym` is made by the source `reasoning_gym:NAME` and contains the problem as the scorer wants it. Some
scorers evaluate the answer as an expression, so each runs in the sandbox, one job a sample.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Sequence
from functools import cache
from typing import Any

from open_r1.answers.check import extract_answer
from open_r1.errors import ConfigError
from open_r1.execution.programs import Execution, Limits, Program, Provider
from open_r1.records import Outcome
from open_r1.rewards.base import NOT_APPLICABLE, Columns, RewardFunction
from open_r1.rewards.spec import Example, RewardSpec
from open_r1.text.tags import last_answer_block
from open_r1.text.thinking import visible_part

__all__: list[str] = []

PACKAGE = "reasoning-gym"
LIMITS = Limits(wall_s=10.0, cpu_s=8.0, memory_mb=1024)
SCORER = """
import json, sys, reasoning_gym
def main():
    mark, task, entry, answer = json.load(sys.stdin)
    score = reasoning_gym.get_score_answer_fn(task)(answer, entry)
    print(mark + json.dumps(float(score)))
main()
"""
FAILED = "scorer_failed"


def score(texts: list[str], columns: Columns) -> list[Outcome]:
    """Outcomes by reasoning-gym's scorers, for the samples that have a problem of reasoning-gym's.

    Where a scorer fails on an answer, it is tried on the right one: if it takes that, the answer is at fault and wrong.
    """
    problems = columns["reasoning_gym"]
    outcomes = _run(list(map(answer_in, texts)), problems)
    failed = [place for place, outcome in enumerate(outcomes) if outcome.reason == FAILED]
    controls = _run([None] * len(failed), [problems[place] for place in failed])
    for place, control in zip(failed, controls, strict=True):
        if control.is_scored:
            outcomes[place] = Outcome(0.0, "unparsable_answer")
    return outcomes


def _run(answers: Sequence[str | None], problems: Sequence[Any]) -> list[Outcome]:
    """The outcome of each answer, of the problem's own where it is None."""
    mark = secrets.token_hex(16)  # an answer that is evaluated may write what looks like a score
    jobs = [_job(answer, problem, mark) for answer, problem in zip(answers, problems, strict=True)]
    executions = iter(_provider().run([job for job in jobs if isinstance(job, Program)]))
    return [_outcome(next(executions), mark) if isinstance(job, Program) else job for job in jobs]


def _job(answer: str | None, wanted: Any, mark: str) -> Program | Outcome:
    if not wanted:
        return Outcome(None, NOT_APPLICABLE)
    if answer == "":
        return Outcome(0.0, "no_answer")
    try:
        problem = json.loads(wanted) if isinstance(wanted, str) else wanted
        entry = problem["entry"]
        given = str(entry.get("answer", "0")) if answer is None else answer
        question = json.dumps([mark, problem["task"], entry, given])
    except (ValueError, KeyError, TypeError, AttributeError):
        return Outcome(None, "bad_problem")
    return Program(SCORER, stdin=question.encode("utf-8", "replace"), limits=LIMITS)


def answer_in(text: str) -> str:
    """The `<answer>` block unchanged, for an answer may be a whole grid; else what the answer layer finds."""
    block = last_answer_block(visible_part(text))
    if block and block.strip():
        return block.strip()
    found = extract_answer(text)
    return found.text if found else ""


def _outcome(execution: Execution, mark: str) -> Outcome:
    said = execution.stdout.decode("utf-8", "replace").rpartition(mark)
    try:
        score = float(said[2]) if said[1] and execution.succeeded else math.nan
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        return Outcome(None, execution.reason or FAILED)
    return Outcome(score, "correct" if score == 1 else "partial" if score else "wrong")


@cache
def _provider() -> Provider:
    from open_r1.execution.sandbox.local import LocalProvider

    return LocalProvider(packages=(PACKAGE,))


def build(settings: Any) -> RewardFunction:
    """The reward; ConfigError when reasoning-gym isn't installed or programs can't be isolated here."""
    try:
        _provider().check()
    except ConfigError as error:
        raise ConfigError(f"reward 'reasoning_gym' runs reasoning-gym's scorers in the sandbox: {error}") from error
    return RewardFunction("reasoning_gym_reward", score, needs_columns=("reasoning_gym",))


REWARD = RewardSpec(
    name="reasoning_gym",
    build=build,
    kind="task",
    summary="what reasoning-gym's own scorer gives the answer",
    formula="r in [0, 1], by the data set's scorer",
    source="reasoning-gym, arXiv:2505.24760",
    needs_columns=("reasoning_gym",),
    example=Example(
        "<answer>3</answer>", {"reasoning_gym": {"task": "basic_arithmetic", "entry": {"answer": "3", "metadata": {}}}}
    ),
    verifies=("reasoning_gym",),
)
