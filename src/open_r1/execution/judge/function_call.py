"""Tests that call a submission's function: what goes into the box, what comes out, and whether it is right.

    program = call_program(Program(source), test)        # the submission inside `harness`, the call on standard input
    result_in(execution.stdout)                          # the last frame's value, or None
    value_difference(right, result, comparison)          # None where equal, or where they differ

The function runs in the submission's process, so whatever comes out of it may be forged; but it doesn't know the right
value, which stays here. What comes out is read as plain JSON and compared as such: no object of the submission's, and so
no `__eq__`, is ever asked.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from open_r1.execution.judge import harness
from open_r1.execution.judge.comparison import Comparison, largest_distance
from open_r1.execution.programs import Program

MAX_SHOWN = 80

_UNREADABLE = (ValueError, TypeError, KeyError, RecursionError)


class UnreadableResultError(Exception):
    """What came out of the box is no frame, or no JSON in it."""


def encode_call(function: str, readings: list[list[Any]]) -> bytes:
    """What the harness reads: the function's name, and the ways in which the test's input may be meant, best first."""
    call = {"function": function, "readings": [harness.encode(arguments) for arguments in readings]}
    return json.dumps(call, separators=(",", ":")).encode("ascii")


def encode_expected(values: list[Any]) -> bytes:
    """The values that are right, as `Test.expected` contains them."""
    return json.dumps(harness.encode(values), separators=(",", ":")).encode("ascii")


def call_program(program: Program, call: bytes) -> Program:
    """The program that makes the call: the harness with the submission as text. The same source for every call."""
    return replace(program, source=f"{harness_text()}\n\nmain({program.source!r})\n", stdin=call)


@cache
def harness_text() -> str:
    return Path(harness.__file__).read_text(encoding="utf-8")


def result_in(output: bytes) -> str:
    """The JSON of the last frame in what the program wrote. UnreadableResultError where there is none."""
    _, mark, rest = output.rpartition(harness.MARK.encode("ascii"))
    text, newline, _ = rest.partition(b"\n")
    if not mark or not newline:
        raise UnreadableResultError("the program ended without a result of the call")
    return text.decode("utf-8", "replace")


def result_difference(expected: bytes, output: bytes, comparison: Comparison) -> str | None:
    """Where the result in a program's output differs from every right value; None where it is one of them.

    UnreadableResultError where the output contains no result.
    """
    text = result_in(output)
    try:
        result = json.loads(text)
        differences = [value_difference(value, result, comparison) for value in json.loads(expected.decode("ascii"))]
    except _UNREADABLE as error:
        raise UnreadableResultError(f"the result of the call can't be read: {str(error)[:MAX_SHOWN]}") from error
    return None if None in differences else differences[0]


def value_difference(expected: Any, actual: Any, comparison: Comparison, place: str = "result") -> str | None:
    """Where two values of the wire differ, in words; None where they are equal.

    By "exact" they are equal as Python has it (1 == 1.0 == True, a list is no tuple). By any other mode a tuple is a
    list, an object's keys are text, and floats may differ by the tolerance; integers are compared exactly.
    """
    if _is_number(expected) and _is_number(actual):
        return None if _are_equal_numbers(expected, actual, comparison) else _differ(place, expected, actual)
    expected_tag, expected = _untag(expected, comparison)
    actual_tag, actual = _untag(actual, comparison)
    if expected_tag != actual_tag:
        return f"{place}: expected {_name(expected_tag)}, got {_name(actual_tag)}"
    if isinstance(expected, list):
        return _sequence_difference(expected, actual, comparison, place)
    if isinstance(expected, dict):
        return _object_difference(expected, actual, comparison, place)
    if isinstance(expected, str) and comparison.ignores_case:
        expected, actual = expected.casefold(), actual.casefold()
    return None if expected == actual else _differ(place, expected, actual)


def _sequence_difference(expected: list, actual: list, comparison: Comparison, place: str) -> str | None:
    if len(expected) != len(actual):
        return f"{place}: expected {len(expected)} items, got {len(actual)}"
    for index, (right, found) in enumerate(zip(expected, actual, strict=True)):
        if difference := value_difference(right, found, comparison, f"{place}[{index}]"):
            return difference
    return None


def _object_difference(expected: dict, actual: dict, comparison: Comparison, place: str) -> str | None:
    if expected.keys() != actual.keys():
        odd = min(expected.keys() ^ actual.keys())
        return f"{place}: {'lacks' if odd in expected else 'has'} the key {_shown(odd)}"
    for key, right in expected.items():
        if difference := value_difference(right, actual[key], comparison, f"{place}[{_shown(key)}]"):
            return difference
    return None


def _untag(value: Any, comparison: Comparison) -> tuple[str, Any]:
    """The kind of a value and its content: sets become sorted text, objects have text for keys."""
    if not isinstance(value, dict):
        return ("list" if isinstance(value, list) else type(value).__name__), value
    if "$tuple" in value:
        return ("tuple" if comparison.mode == "exact" else "list"), list(value["$tuple"])
    if "$int" in value:
        return "number of many digits", str(value["$int"])
    if "$set" in value:
        return "set", sorted({_canonical(item) for item in value["$set"]})
    if "$dict" not in value:
        keys = (json.dumps(key) for key in value) if comparison.mode == "exact" else value
        return "dict", dict(zip(keys, value.values(), strict=True))
    if comparison.mode == "exact":
        return "dict", {_canonical(key): item for key, item in value["$dict"]}
    return "dict", {key if isinstance(key, str) else _canonical(key): item for key, item in value["$dict"]}


def _canonical(value: Any) -> str:
    """A text that is the same for equal values: for items of a set and keys of an object."""
    if isinstance(value, dict) and "$tuple" in value:
        return f"({','.join(_canonical(item) for item in value['$tuple'])})"
    if isinstance(value, dict) and "$set" in value:
        return f"{{{','.join(sorted({_canonical(item) for item in value['$set']}))}}}"
    if isinstance(value, dict) and "$int" in value:
        return str(value["$int"])
    if isinstance(value, bool | float) and value == value and abs(value) != float("inf") and value == int(value):
        value = int(value)
    return json.dumps(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _are_equal_numbers(expected: Any, actual: Any, comparison: Comparison) -> bool:
    if expected == actual or (expected != expected and actual != actual):
        return True
    are_exact = comparison.mode == "exact" or not (isinstance(expected, float) or isinstance(actual, float))
    if are_exact:
        return False
    try:
        if not (isfinite(expected) and isfinite(actual)):
            return False
        if isinstance(expected, int) and actual == int(actual):
            actual = int(actual)  # a float of the same size might round the difference away
        return abs(actual - expected) <= largest_distance(expected, comparison.absolute, comparison.relative)
    except OverflowError:  # an integer beyond every float
        return False


def _differ(place: str, expected: Any, actual: Any) -> str:
    return f"{place}: expected {_shown(expected)}, got {_shown(actual)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


_NAMES = {"NoneType": "None", "str": "a string", "bool": "a truth value", "int": "a number", "float": "a number"}


def _name(tag: str) -> str:
    return _NAMES.get(tag, f"a {tag}")
