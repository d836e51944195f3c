"""Scorers of programs: what a completion wrote is run against its problem's tests, in the sandbox.

Does: read LiveCodeBench's tests, packed ones too; hand everything to the judge and the contests' judges. A benchmark
counts a program as right when it passes every test; one whose tests could not be run is unscored.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.errors import DataError
from open_r1.execution.judge.comparison import Comparison
from open_r1.execution.judge.humaneval import COLUMNS as HUMANEVAL_COLUMNS
from open_r1.execution.judge.humaneval import HumanEvalProblem, complete_program, record_tests
from open_r1.execution.judge.judge import Kind, Submission, Verdict, shared_judge
from open_r1.execution.judge.test_cases import UnusableTestsError, read_verification
from open_r1.execution.programs import Limits, Program
from open_r1.records import Outcome
from open_r1.text.fences import extract_code, fenced_blocks
from open_r1.text.thinking import visible_part

if TYPE_CHECKING:
    from open_r1.evaluation.benchmarks.base import Question

PLACE = "__place__"
"""Of a question whose tests stay in their file: (path, first byte, length) of its line."""

LCB_LIMITS = Limits(wall_s=12.0, cpu_s=6.0, memory_mb=1024)
"""LiveCodeBench gives a test six seconds."""

MAX_TESTS_BYTES = 1 << 30
BATCH_BYTES = 64 << 20
TESTS_AT_ONCE = 8
SHOWN_CHARS = 40

Tests = tuple[Any, ...]


def provider() -> Any:
    """The sandbox, checked; ConfigError where programs can't be isolated here."""
    from open_r1.execution.providers import get_provider

    local = get_provider("local")
    local.check()
    return local


def score_programs(
    completions: Sequence[str],
    questions: Sequence[Question],
    tests_of: Callable[[Question], Tests],
    source_of: Callable[[Question, str, Tests], str] = lambda question, code, tests: code,
    limits: Limits | None = None,
) -> list[Outcome]:
    """1 where every test is passed, 0 where one fails or there is no program, unscored where the tests can't be run."""
    judge = shared_judge(provider())
    outcomes: list[Outcome | None] = [None] * len(completions)
    waiting: list[tuple[int, str, Submission]] = []
    size, held, tests, trouble = 0, "", (), ""

    def settle() -> None:
        verdicts = judge.judge([submission for _, _, submission in waiting])
        for (place, code, _), verdict in zip(waiting, verdicts, strict=True):
            outcomes[place] = outcome_of(verdict, code)
        waiting.clear()

    for place, (completion, question) in enumerate(zip(completions, questions, strict=True)):
        code = code_in(completion)
        if not code.strip():
            outcomes[place] = Outcome(0.0, "no_answer", {"answer": None})
            continue
        if question.id != held:
            held, trouble = question.id, "no_tests"
            try:
                tests = tests_of(question)
            except UnusableTestsError as error:
                tests, trouble = (), error.reason
            except DataError:
                tests, trouble = (), "malformed_tests"
            size += sum(len(test.input) + len(test.expected) for test in tests)
        if not tests:
            outcomes[place] = Outcome(None, trouble, {"answer": code})
            continue
        program = Program(source_of(question, code, tests), "python", limits=limits or Limits())
        waiting.append((place, code, Submission(program, tests, max_failures=0, batch_size=TESTS_AT_ONCE)))
        if size > BATCH_BYTES:
            settle()
            size = 0
    settle()
    return [outcome for outcome in outcomes if outcome is not None]


def code_in(completion: str) -> str:
    """The last block of Python after the thinking; where none says what it is, the last that says nothing."""
    visible = visible_part(completion)
    unnamed = [code for language, code in fenced_blocks(visible) if not language]
    return extract_code(visible, "python") or (unnamed[-1] if unnamed else "")


def outcome_of(verdict: Verdict, code: str) -> Outcome:
    passed = verdict.passed
    reason = "correct" if passed else verdict.reason
    return Outcome(None if passed is None else float(passed), reason, {"answer": code})


# --- HumanEval ------------------------------------------------------------------------------------------------------


def score_humaneval(completions: Sequence[str], questions: Sequence[Question]) -> list[Outcome]:
    """Each function against the calls that the problem's own `check` makes."""
    asked = {question.id: problem_of(question) for question in questions}
    infos = dict(zip(asked, record_tests(list(asked.values()), provider()), strict=True))

    def tests_of(question: Question) -> Tests:
        verification = read_verification(infos[question.id])
        return verification.tests if verification else ()

    return score_programs(
        completions, questions, tests_of, lambda question, code, tests: complete_program(asked[question.id], code)
    )


def problem_of(question: Question) -> HumanEvalProblem:
    return HumanEvalProblem(**{column: question.columns[column] for column in HUMANEVAL_COLUMNS})


# --- LiveCodeBench --------------------------------------------------------------------------------------------------


LCB_STARS = """string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys
json builtins typing"""

LCB_PREAMBLE = "\n".join(
    [
        *(f"from {name} import *" for name in LCB_STARS.split()),
        *(f"import {name}" for name in LCB_STARS.split() if name not in ("builtins", "typing")),
        "sys.setrecursionlimit(50000)",
    ]
)
"""What LiveCodeBench imports before every program."""


@dataclass(frozen=True)
class LineByLine(Comparison):
    """LiveCodeBench's rule for what a program prints (`grade_stdio` of its lcb_runner/evaluation/testing_util.py).

    White space around the whole and around each line doesn't count; there must be as many lines; and a line that isn't
    the same text must be the same numbers, exactly.
    """

    def difference(self, expected: bytes, actual: bytes) -> str | None:
        right, found = lines_of(expected), lines_of(actual)
        if len(right) != len(found):
            return f"expected {len(right)} lines, got {len(found)}"
        for number, (line, other) in enumerate(zip(right, found, strict=True), start=1):
            if line != other and not are_same_numbers(line, other):
                return f"line {number}: expected {line[:SHOWN_CHARS]!r}, got {other[:SHOWN_CHARS]!r}"
        return None


def lines_of(output: bytes) -> list[str]:
    return [line.strip() for line in output.decode("utf-8", "surrogateescape").strip().split("\n")]


def are_same_numbers(line: str, other: str) -> bool:
    try:
        return [Decimal(word) for word in line.split()] == [Decimal(word) for word in other.split()]
    except InvalidOperation:
        return False


def score_lcb(completions: Sequence[str], questions: Sequence[Question]) -> list[Outcome]:
    """As LiveCodeBench's own grader does it; a call is judged as in the code rewards."""
    return score_programs(completions, questions, lcb_tests, lcb_source, LCB_LIMITS)


def lcb_source(question: Question, code: str, tests: Tests) -> str:
    """A program of standard input after the imports, where leaving with any status is an ordinary end."""
    if any(test.kind is Kind.FUNCTION_CALL for test in tests):
        return code
    run = f"exec(compile({code!r}, 'program.py', 'exec'), globals())"
    return f"{LCB_PREAMBLE}\ntry:\n    {run}\nexcept SystemExit:\n    pass\n"


def lcb_tests(question: Question) -> Tests:
    """A problem's public and private tests."""
    columns = lcb_columns(question)
    cases = [*unpack_tests(columns["public_test_cases"]), *unpack_tests(columns["private_test_cases"])]
    name = read_object(columns.get("metadata")).get("func_name")
    verification = read_verification(
        {"language": "python", "test_cases": [verification_case(case, name) for case in cases]}
    )
    tests = verification.tests if verification else ()
    return tuple(replace(test, comparison=LineByLine()) if test.kind is Kind.STDIN_STDOUT else test for test in tests)


def lcb_columns(question: Question) -> Mapping[str, Any]:
    return read_line(*question.columns[PLACE]) if PLACE in question.columns else question.columns


def verification_case(case: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """A case of theirs in our words; a call's arguments are JSON, one a line."""
    if case.get("testtype") == "functional":
        return {"type": "function_call", "fn_name": name, "input": case["input"], "output": case["output"]}
    return {"type": "stdin_stdout", "input": case["input"], "output": case["output"]}


def find_lcb_trouble(question: Question) -> str | None:
    """Why a question's tests, packed ones too, can't be run; None where they can."""
    try:
        columns = lcb_columns(question)
        public = unpack_tests(columns["public_test_cases"])
        if not public and not columns["private_test_cases"]:
            return "it has no tests"
        if any(case.get("testtype") == "functional" for case in public):
            name = read_object(columns.get("metadata")).get("func_name")
            if not isinstance(name, str) or not name.isidentifier():
                return f"its tests call a function, but metadata names none (func_name is {name!r})"
        lcb_tests(question)
    except (DataError, UnusableTestsError) as error:
        return str(error)
    return None


def unpack_tests(packed: Any) -> list[dict[str, Any]]:
    """Test cases from a list, JSON text, or base64 of zlib of a pickled JSON text; DataError for anything else."""
    if isinstance(packed, list):
        return packed
    text = str(packed or "").strip()
    if not text:
        return []
    try:
        cases = json.loads(text if text.startswith("[") else unpack_text(text))
    except (ValueError, binascii.Error, zlib.error, pickle.UnpicklingError, EOFError) as error:
        raise DataError(f"its tests can't be unpacked: {error}") from None
    if not isinstance(cases, list) or not all(
        isinstance(case, dict) and {"input", "output"} <= case.keys() for case in cases
    ):
        raise DataError("its tests are no list of objects with input and output")
    return cases


def unpack_text(text: str) -> str:
    """The text in base64 of zlib of a pickle, which may hold a text and nothing else."""
    inflate = zlib.decompressobj()
    raw = inflate.decompress(base64.b64decode(text, validate=True), MAX_TESTS_BYTES)
    if inflate.unconsumed_tail:
        raise ValueError(f"more than {MAX_TESTS_BYTES >> 20} MB of tests")
    value = TextUnpickler(io.BytesIO(raw)).load()
    if not isinstance(value, str | bytes):
        raise ValueError(f"a pickled {type(value).__name__}, where a text is needed")
    return value if isinstance(value, str) else value.decode()


class TextUnpickler(pickle.Unpickler):
    """Reads plain values; whatever would import or call something is refused."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f"the pickle asks for {module_name}.{global_name}, where only a text may be")


def read_object(value: Any) -> dict[str, Any]:
    try:
        content = json.loads(value) if isinstance(value, str) and value.strip() else value
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def read_line(path: str, start: int, length: int) -> dict[str, Any]:
    with Path(path).open("rb") as file:
        file.seek(start)
        return json.loads(file.read(length))


# --- contests -------------------------------------------------------------------------------------------------------


def score_ioi(completions: Sequence[str], questions: Sequence[Question]) -> list[Outcome]:
    """The score of each subtask, 0 to 1; its tests are in the row, in IOI_TESTS_FOLDER or on the Hub."""
    from open_r1.rewards import ioi_code_reward
    from open_r1.rewards.functions.ioi_code import MAY_HAVE, NEEDS

    provider()
    outcomes = ioi_code_reward.score(list(completions), **columns_of(questions, (*NEEDS, *MAY_HAVE)))
    return with_answers(outcomes, completions, ["cpp"] * len(completions))


def score_codeforces(completions: Sequence[str], questions: Sequence[Question]) -> list[Outcome]:
    """1 where every test is passed, else 0; generated tests are read from CF_TESTS_FOLDER."""
    from open_r1.rewards import get_cf_code_reward
    from open_r1.rewards.functions.cf_code import MAY_HAVE, NEEDS

    provider()
    columns = columns_of(questions, (*NEEDS, *MAY_HAVE, "language"))
    outcomes = get_cf_code_reward(scoring_mode="pass_fail").score(list(completions), **columns)
    floored = [
        Outcome(None if outcome.value is None else max(0.0, outcome.value), outcome.reason) for outcome in outcomes
    ]
    return with_answers(floored, completions, columns["language"])


def columns_of(questions: Sequence[Question], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [question.columns.get(name) for question in questions] for name in names}


def with_answers(outcomes: Sequence[Outcome], completions: Sequence[str], languages: Sequence[str]) -> list[Outcome]:
    codes = [extract_code(visible_part(text), name) for text, name in zip(completions, languages, strict=True)]
    return [
        Outcome(
            outcome.value, "no_answer" if outcome.reason == "no_code" else outcome.reason, {"answer": code or None}
        )
        for outcome, code in zip(outcomes, codes, strict=True)
    ]
