"""A problem's tests as the published data sets write them, as tests of the judge.

    {"language": "python", "test_cases": [{"input": "1 2\\n", "output": "3\\n", "type": "stdin_stdout"}]}
    {"language": "python", "test_cases": [{"fn_name": "add", "input": [1, 2], "output": [3], "type": "function_call"}]}
    {"language": "python", "fn_name": "add", "inputs": [[1, 2]], "outputs": [3]}

The first two are open-r1/verifiable-coding-problems-python and SYNTHETIC-1, the last APPS, TACO and DeepCoder. Either may
be JSON text. Two keys are our own: `comparison`, a mode or the arguments of `Comparison`; and `checker`, a program
{"language", "source"} that decides (`ProgramChecker`).

A call's input, as text: a JSON or Python list of its arguments; or, as LiveCodeBench has it, an argument a line. As a
value: the list of its arguments. A list that the function can't take as arguments is its one argument. A call's output
of one item in a list is that item or that list, since the data sets wrap it and don't say so; by "exact" it is the list.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from open_r1.errors import ConfigError
from open_r1.execution.judge.comparison import Comparison
from open_r1.execution.judge.function_call import encode_call, encode_expected
from open_r1.execution.judge.harness import MAX_DIGITS, Digits, digits_of
from open_r1.execution.judge.results import ProblemError, ProgramChecker, Test
from open_r1.text.languages import program_language

MAX_LITERAL_CHARS = 1_000_000
"""Longer texts are read as JSON alone: Python's parser takes a thousand times their size in memory."""


@dataclass(frozen=True)
class Verification:
    """How programs for a problem are verified: their language, and the tests."""

    language: str
    tests: tuple[Test, ...]

    @property
    def size(self) -> int:
        """Bytes of the inputs and expected outputs."""
        return sum(len(test.input) + len(test.expected) for test in self.tests)


def read_verification(info: Any) -> Verification | None:
    """A row's `verification_info`; None for a row that is not a programming problem. ProblemError names faults."""
    info = _parse_json(info)
    if info is None or info == {} or (isinstance(info, Mapping) and all(value is None for value in info.values())):
        return None
    if not isinstance(info, Mapping):
        raise _malformed(f"verification_info is of type {type(info).__name__}, not an object with test_cases")
    language = info.get("language") or "python"
    if not isinstance(language, str):
        raise _malformed(f"its language is {language!r}, not a name")
    language = program_language(language)
    settings = _read_comparison(info.get("comparison")), _read_checker(info.get("checker"))
    cases = enumerate(_read_cases(info), start=1)
    tests = (_read_test(number, case, info.get("fn_name"), language, settings) for number, case in cases)
    return Verification(language, tuple(tests))


def _parse_json(info: Any) -> Any:
    if not isinstance(info, str | bytes):
        return info
    if not info.strip():
        return None
    try:
        return _read_json(info)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"verification_info is text but no JSON: {error}") from error


def _read_cases(info: Mapping[str, Any]) -> Sequence[Any]:
    """The test cases; the parallel lists of APPS, and the object of lists that a data frame makes, are put together."""
    cases = info.get("test_cases")
    if isinstance(cases, str):
        cases = _parse_json(cases)
    if cases is None and "inputs" in info:
        cases = {"input": info["inputs"], "output": info.get("outputs")}
    if isinstance(cases, Mapping) and {"input", "output"} <= cases.keys():
        counts = {f"{key}s": len(part) if isinstance(part, list | tuple) else "no" for key, part in cases.items()}
        if "no" in counts.values() or len(set(counts.values())) > 1:
            found = " and ".join(f"{count} {name}" for name, count in counts.items())
            raise _malformed(f"it has {found}; each test needs one of each")
        cases = [dict(zip(cases, values, strict=True)) for values in zip(*cases.values(), strict=True)]
    if cases is not None and (isinstance(cases, str | Mapping) or not isinstance(cases, Sequence)):
        raise _malformed(f"its test_cases are of type {type(cases).__name__}, not a list")
    if not cases:
        raise ProblemError("no_tests", "it has no test_cases")
    return cases


def _read_test(number: int, case: Any, function: Any, language: str, settings: tuple[Comparison, Any]) -> Test:
    comparison, checker = settings
    if not isinstance(case, Mapping):
        raise _malformed(f"test {number} is of type {type(case).__name__}, not an object with input and output")
    for key in ("input", "output"):
        if case.get(key) is None and not (key == "output" and checker is not None):
            raise _malformed(f"test {number} has no {key}")
    function = case.get("fn_name") or function
    kind = case.get("type") or ("function_call" if function else "stdin_stdout")
    if kind == "stdin_stdout":
        given, right = (_read_text(number, key, case.get(key, "")) for key in ("input", "output"))
        return Test(given, right, "", comparison, checker)
    if kind != "function_call":
        raise _malformed(f"test {number} is of the type {kind!r}; the types are stdin_stdout, function_call")
    if not isinstance(function, str) or not function.isidentifier():
        raise _malformed(f"test {number} calls a function, but its fn_name is {function!r}")
    if language != "python":
        detail = f"test {number} calls a function in {language}; only Python's can be called"
        raise ProblemError("unsupported_language", detail)
    try:
        call = encode_call(function, read_arguments(case["input"]))
        expected = encode_expected(read_results(case.get("output"), comparison))
    except (TypeError, ValueError, RecursionError) as error:
        raise _malformed(f"test {number} can't be read: {error}") from error
    return Test(call, expected, function, comparison, checker)


def read_arguments(given: Any) -> list[list[Any]]:
    """The ways in which a call's input may be meant as arguments, the likeliest first."""
    if not isinstance(given, str):
        return [given, [given]] if isinstance(given, list) else [[given]]
    value, was_read = _read_value(given)
    if was_read and isinstance(value, tuple):
        return [[value], list(value)]
    if was_read:
        return [value, [value]] if isinstance(value, list) else [[value]]
    lines = [_read_value(line) for line in re.split(r"\r?\n", given.strip())]  # U+2028 ends none
    if len(lines) > 1 and all(was_read for _, was_read in lines):
        return [[value for value, _ in lines]]
    return [[given]]


def read_results(right: Any, comparison: Comparison) -> list[Any]:
    """The values that are right where a call's output says `right`."""
    if isinstance(right, str):
        right = _read_value(right)[0]
    is_wrapped = isinstance(right, list) and len(right) == 1 and comparison.mode != "exact"
    return [right, right[0]] if is_wrapped else [right]


def _read_value(text: str) -> tuple[Any, bool]:
    """A value written as JSON or as a Python literal; the text itself, and False, where it is neither."""
    for read in (_read_json, ast.literal_eval) if len(text) <= MAX_LITERAL_CHARS else (_read_json,):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return read(text.strip()), True
    return text, False


def _read_json(text: str | bytes) -> Any:
    return json.loads(text, parse_int=_read_integer)


def _read_integer(digits: str) -> int | Digits:
    return int(digits) if len(digits.lstrip("-")) <= MAX_DIGITS else Digits(digits)


def _read_text(number: int, key: str, value: Any) -> bytes:
    """A test's input or output as bytes; the lines of a list are put together."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "\n".join(line.rstrip("\n") for line in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = digits_of(value) if isinstance(value, int) else str(value)
    if not isinstance(value, str):
        raise _malformed(f"test {number} has an {key} of type {type(value).__name__}; it must be text")
    return value.encode("utf-8", "surrogatepass")


def _read_comparison(comparison: Any) -> Comparison:
    if comparison is None:
        return Comparison()
    arguments: Any = {"mode": comparison} if isinstance(comparison, str) else comparison
    try:
        return Comparison(**{name: value for name, value in arguments.items() if value is not None})
    except (AttributeError, TypeError, ConfigError) as error:
        raise _malformed(f"its comparison can't be read: {error}") from error


def _read_checker(checker: Any) -> ProgramChecker | None:
    if not checker:
        return None
    if not isinstance(checker, Mapping) or not isinstance(checker.get("source"), str):
        raise _malformed("its checker is not an object with language and source")
    return ProgramChecker(checker["source"], program_language(str(checker.get("language") or "python")))


def _malformed(message: str) -> ProblemError:
    return ProblemError("malformed_tests", message)
