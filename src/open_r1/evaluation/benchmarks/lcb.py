"""LiveCodeBench (arXiv:2403.07974), code generation: problems of programming contests, by the time they appeared.

Private tests come as JSON, or as base64 of zlib of a pickled JSON text. The files have gigabytes: a problem keeps the place
of its line, and its tests are read when it is scored.
"""

import base64
import binascii
import io
import json
import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from open_r1.errors import DataError
from open_r1.evaluation.benchmarks.base import PLACE, Benchmark, Row, Source, groups_in, id_in, text_in
from open_r1.evaluation.programs import Tests, provider, score_programs
from open_r1.execution.judge.comparison import Comparison
from open_r1.execution.judge.test_cases import read_verification
from open_r1.execution.programs import Limits
from open_r1.records import Outcome, Problem
from open_r1.rundir import read_row
from open_r1.rundir.jsonl import iter_lines

COLUMNS = ("question_content", "public_test_cases", "private_test_cases")

LIMITS = Limits(wall_s=12.0, cpu_s=6.0, memory_mb=1024)  # LiveCodeBench gives a test six seconds
MAX_TESTS_BYTES = 1 << 30
SHOWN_CHARS = 40

STDIN = """{question}

Write a Python program that reads the input from standard input and writes the answer to standard output. Put the whole \
program in one ```python block."""

FUNCTION = """{question}

Write the solution in Python, beginning with this code:

```python
{starter}
```

Put the whole solution in one ```python block."""


def _read_lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, start, line in iter_lines(file):
            try:
                row = json.loads(line) if line.strip() else None
            except ValueError as error:
                raise DataError(f"{path}:{number} is not JSON: {error}; fix or remove that line.") from None
            if row is not None and not isinstance(row, dict):
                raise DataError(f"{path}:{number} is a {type(row).__name__}, not an object with columns.")
            if row is not None:
                yield {**row, PLACE: (str(path), start)}


def read(row: Row, seed: int) -> Problem:
    """A problem; its tests are read later where the row came from a file."""
    question, starter = text_in(row, "question_content").strip(), str(row.get("starter_code") or "").strip()
    tests = {column: row[column] for column in COLUMNS[1:]} | {"metadata": row.get("metadata")}
    prompt = FUNCTION.format(question=question, starter=starter) if starter else STDIN.format(question=question)
    return Problem(
        prompt,
        "",
        metadata={PLACE: row[PLACE]} if PLACE in row else tests,
        name=id_in(row, "question_id"),
        groups=groups_in(row, {"subject": "platform", "level": "difficulty"}),
    )


STARS = """string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys
json builtins typing"""

IMPORTS = [f"from {name} import *" for name in STARS.split()]
IMPORTS += [f"import {name}" for name in STARS.split() if name not in ("builtins", "typing")]
PREAMBLE = "\n".join([*IMPORTS, "sys.setrecursionlimit(50000)"])
"""What LiveCodeBench imports before every program."""


@dataclass(frozen=True)
class LineByLine(Comparison):
    """LiveCodeBench's rule for what a program prints (`grade_stdio` of its lcb_runner/evaluation/testing_util.py).

    White space around the output and around each line is ignored, the number of lines must agree, and a line that differs
    as text must contain exactly the same numbers.
    """

    def difference(self, expected: bytes, actual: bytes) -> str | None:
        """What differs, in words; None where the output is right."""
        right, found = lines_of(expected), lines_of(actual)
        if len(right) != len(found):
            return f"expected {len(right)} lines, got {len(found)}"
        for number, (line, other) in enumerate(zip(right, found, strict=True), start=1):
            if line != other and not _are_same_numbers(line, other):
                return f"line {number}: expected {line[:SHOWN_CHARS]!r}, got {other[:SHOWN_CHARS]!r}"
        return None


def lines_of(output: bytes) -> list[str]:
    """The lines of an output, stripped."""
    return [line.strip() for line in output.decode("utf-8", "surrogateescape").strip().split("\n")]


def _are_same_numbers(line: str, other: str) -> bool:
    try:
        return [Decimal(word) for word in line.split()] == [Decimal(word) for word in other.split()]
    except InvalidOperation:
        return False


def score(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    """As LiveCodeBench's own grader does it; a call is judged as in the code rewards."""
    return score_programs(completions, problems, tests_of, source_of, LIMITS)


def source_of(problem: Problem, code: str, tests: Tests) -> str:
    """A program that reads standard input, after the imports; it may exit with any status."""
    if any(test.function for test in tests):
        return code
    run = f"exec(compile({code!r}, 'program.py', 'exec'), globals())"
    return f"{PREAMBLE}\ntry:\n    {run}\nexcept SystemExit:\n    pass\n"


def tests_of(problem: Problem) -> Tests:
    """A problem's public and private tests."""
    columns = columns_of(problem)
    function = {"type": "function_call", "fn_name": read_object(columns.get("metadata")).get("func_name")}
    cases = [
        {"input": case["input"], "output": case["output"], "type": "stdin_stdout"}
        | (function if case.get("testtype") == "functional" else {})
        for case in (*unpack_tests(columns["public_test_cases"]), *unpack_tests(columns["private_test_cases"]))
    ]
    verification = read_verification({"language": "python", "test_cases": cases})
    tests = verification.tests if verification else ()
    return tuple(replace(test, comparison=LineByLine()) if not test.function else test for test in tests)


def columns_of(problem: Problem) -> Mapping[str, Any]:
    """The problem's columns with its tests, read again from the file where the problem has only its place."""
    if PLACE not in problem.metadata:
        return problem.metadata
    path, start = problem.metadata[PLACE]
    with Path(path).open("rb") as file:
        return read_row(file, start)


def find_trouble(problem: Problem) -> str | None:
    """Why a problem's tests, packed ones included, can't be run; None where they can."""
    try:
        columns = columns_of(problem)
        public = unpack_tests(columns["public_test_cases"])
        if not public and not columns["private_test_cases"]:
            return "it has no tests"
        if any(case.get("testtype") == "functional" for case in public):
            name = read_object(columns.get("metadata")).get("func_name")
            if not isinstance(name, str) or not name.isidentifier():
                return f"its tests call a function, but metadata names none (func_name is {name!r})"
        tests_of(problem)
    except DataError as error:
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
        cases = json.loads(text if text.startswith("[") else _unpack_text(text))
    except (ValueError, binascii.Error, zlib.error, pickle.UnpicklingError, EOFError) as error:
        raise DataError(f"its tests can't be unpacked: {error}") from None
    if isinstance(cases, list) and all(isinstance(one, dict) and {"input", "output"} <= one.keys() for one in cases):
        return cases
    raise DataError("its tests are not a list of objects with input and output")


def _unpack_text(text: str) -> str:
    inflate = zlib.decompressobj()
    raw = inflate.decompress(base64.b64decode(text, validate=True), MAX_TESTS_BYTES)
    if inflate.unconsumed_tail:
        raise ValueError(f"more than {MAX_TESTS_BYTES >> 20} MB of tests")
    value = TextUnpickler(io.BytesIO(raw)).load()
    if not isinstance(value, str | bytes):
        raise ValueError(f"it contains a pickled {type(value).__name__}, but must contain a text")
    return value if isinstance(value, str) else value.decode()


class TextUnpickler(pickle.Unpickler):
    """Reads plain values; whatever would import or call something is refused."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """UnpicklingError always: a text needs no class."""
        raise pickle.UnpicklingError(f"the pickle names {module_name}.{global_name}, but may contain only a text")


def read_object(value: Any) -> dict[str, Any]:
    """A JSON object, as such or written as text; empty for anything else."""
    try:
        content = json.loads(value) if isinstance(value, str) and value.strip() else value
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def release(name: str, title: str, *files: str) -> Benchmark:
    """The benchmark of one release, which consists of these files."""
    return Benchmark(
        name,
        title,
        Source("livecodebench/code_generation_lite", files=files),
        COLUMNS,
        read,
        score,
        num_samples=16,
        find_trouble=find_trouble,
        votes=False,
        check=provider,
        read_rows=_read_lines,
    )


BENCHMARKS = (
    release("lcb", "LiveCodeBench, releases 4 and 5 (v4_v5)", "test4.jsonl", "test5.jsonl"),
    release("lcb_v4", "LiveCodeBench v4, release 4", "test4.jsonl"),
)
