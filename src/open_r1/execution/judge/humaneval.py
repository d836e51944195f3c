"""HumanEval's problems as tests of function calls, so that the judge and the code rewards can score them.

Each problem's own `check` runs on its reference solution in the sandbox, and every call with its result is a test case; a
call that `check` accepts several results of is compared by tolerance or by a checker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from open_r1.errors import RunError
from open_r1.execution.judge.function_call import UnreadableResultError, harness_text, result_in
from open_r1.execution.programs import Limits, Program, Provider

COLUMNS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
"""`prompt` ends in the function's head and docstring, `test` defines `check(candidate)`."""

Row = Mapping[str, Any]

RECORDING_LIMITS = Limits(wall_s=60.0, cpu_s=30.0, memory_mb=1024, output_kb=8192)

RECORDER = """
import copy, random

def record(source, name):
    names = {}
    exec(compile(source, "problem.py", "exec"), names)
    calls = {}

    def candidate(*arguments):
        given = repr(list(copy.deepcopy(arguments)))
        result = names[name](*arguments)
        calls.setdefault(given, repr(result))
        return result

    random.seed(0)
    names["check"](candidate)
    write("\\n" + MARK + json.dumps(list(calls.items())) + "\\n")
"""
"""Follows the harness: each call that `check` makes, as Python text, with the reference's result."""

ROOT_CHECKER = """
import json, math

with open("input.txt") as call, open("output.txt") as result:
    coefficients = json.load(call)["readings"][0][0]
    root = json.load(result)
is_number = isinstance(root, (int, float)) and math.isfinite(root) and abs(root) < 1e30
is_root = is_number and abs(sum(c * math.pow(root, i) for i, c in enumerate(coefficients))) < 1e-4
raise SystemExit(0 if is_root else 1)
"""
"""HumanEval/32 takes any root of a polynomial, which may have several."""

TOLERANT = {"mode": "numeric", "absolute": 1e-6, "relative": 0.0}
EXACT = {"mode": "exact"}

RULES: Mapping[str, Mapping[str, Any]] = {
    "HumanEval/2": {"comparison": TOLERANT},
    "HumanEval/4": {"comparison": TOLERANT},
    "HumanEval/32": {"checker": {"language": "python", "source": ROOT_CHECKER}},
    "HumanEval/33": {"comparison": {"mode": "tokens"}},
    "HumanEval/37": {"comparison": {"mode": "tokens"}},
}
"""What a problem's `check` accepts, where that isn't one value alone; 33 and 37 make a tuple of any sequence."""


def complete_program(problem: Row, completion: str) -> str:
    """The program that a completion makes: the prompt with the function's body after it, or with the whole function."""
    is_whole = re.search(rf"^(async )?def {re.escape(problem['entry_point'])}\b", completion, re.MULTILINE)
    return f"{problem['prompt']}\n\n{completion}" if is_whole else f"{problem['prompt']}{completion}"


def record_tests(problems: Sequence[Row], provider: Provider) -> list[dict[str, Any]]:
    """A `verification_info` for each problem. RunError when a reference doesn't run, or fails its own check."""
    infos = []
    for problem, execution in zip(problems, provider.run([_recording(problem) for problem in problems]), strict=True):
        kind = {"fn_name": problem["entry_point"], "type": "function_call"}
        cases = [{**kind, "input": given, "output": result} for given, result in _calls(problem, execution)]
        rules = RULES.get(problem["task_id"], {"comparison": EXACT})
        infos.append({"language": "python", **rules, "test_cases": cases})
    return infos


def _recording(problem: Row) -> Program:
    source = "\n".join([complete_program(problem, problem["canonical_solution"]), problem["test"]])
    recorder = f"{harness_text()}\n{RECORDER}\nrecord({source!r}, {problem['entry_point']!r})\n"
    return Program(recorder, limits=RECORDING_LIMITS)


def _calls(problem: Row, execution: Any) -> list[tuple[str, str]]:
    try:
        calls = json.loads(result_in(execution.stdout)) if execution.succeeded else []
    except UnreadableResultError:
        calls = []
    if not calls:
        said = execution.detail or execution.stderr[-500:].decode("utf-8", "replace")
        what = f"the reference solution of {problem['task_id']} could not be recorded ({execution.status})"
        raise RunError(f"{what}: {said}")
    return calls
