"""reasoning_gym: what reasoning-gym's own scorer gives an answer to one of its problems.

The column `reasoning_gym` is made by the source `reasoning_gym:NAME` and contains the problem as the scorer wants it. Some
scorers evaluate the answer as an expression, so each runs in the sandbox, one job a sample; there it could only forge its
own score.
"""

from __future__ import annotations

import json
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
task, entry, answer = json.load(sys.stdin)
print(json.dumps(float(reasoning_gym.get_score_answer_fn(task)(answer, entry))))
"""


def score(texts: list[str], columns: Columns) -> list[Outcome]:
    """Outcomes by reasoning-gym's scorers, for the samples that have a problem of reasoning-gym's."""
    jobs = [_job(text, wanted) for text, wanted in zip(texts, columns["reasoning_gym"], strict=True)]
    executions = iter(_provider().run([job for job in jobs if isinstance(job, Program)]))
    return [_outcome(next(executions)) if isinstance(job, Program) else job for job in jobs]


def _job(text: str, wanted: Any) -> Program | Outcome:
    if not wanted:
        return Outcome(None, NOT_APPLICABLE)
    answer = answer_in(text)
    if not answer:
        return Outcome(0.0, "no_answer")
    try:
        problem = json.loads(wanted) if isinstance(wanted, str) else wanted
        question = json.dumps([problem["task"], problem["entry"], answer])
    except (ValueError, KeyError, TypeError):
        return Outcome(None, "bad_problem")
    return Program(SCORER, stdin=question.encode("utf-8", "replace"), limits=LIMITS)


def answer_in(text: str) -> str:
    """The `<answer>` block unchanged, for an answer may be a whole grid; else what the answer layer finds."""
    block = last_answer_block(visible_part(text))
    if block and block.strip():
        return block.strip()
    found = extract_answer(text)
    return found.text if found else ""


def _outcome(execution: Execution) -> Outcome:
    """A scorer that fails on an answer has not scored it."""
    try:
        score = float(execution.stdout)
    except ValueError:
        score = float("nan")
    if not execution.succeeded or not 0 <= score <= 1:
        return Outcome(None, execution.reason or "scorer_failed")
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
