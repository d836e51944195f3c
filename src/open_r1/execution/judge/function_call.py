"""Tests that call a submission's function: what goes into the box, what comes out, and whether it is right.

The function runs in the submission's process, so whatever comes out of it may be forged; but it doesn't know the right
value, which stays here. What comes out is read as plain JSON and compared as such: no object of the submission's, and so
no `__eq__`, is ever asked.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from open_r1.execution.judge import harness
from open_r1.execution.judge.comparison import Comparison, are_close
from open_r1.execution.programs import Program

MAX_SHOWN = 80

_UNREADABLE = (ValueError, TypeError, KeyError, RecursionError)


class UnreadableResultError(Exception):
    """What came out of the box is not a frame, or its content is not JSON."""


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
    """The source of `harness.py`, which begins every program whose function is called."""
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

    By "exact" they are equal as Python has it (1 == 1.0 == True, a list is not a tuple). By any other mode a tuple is a
    list, an object's keys are text, and floats may differ by the tolerance; integers are compared exactly.
    """
    if isinstance(expected, int | float) and isinstance(actual, int | float):
        is_equal = _are_equal_numbers(expected, actual, comparison)
        return None if is_equal else f"{place}: expected {_shown(expected)}, got {_shown(actual)}"
    expected_tag, expected = _untag(expected, comparison)
    actual_tag, actual = _untag(actual, comparison)
    if expected_tag != actual_tag:
        return f"{place}: expected {_name(expected_tag)}, got {_name(actual_tag)}"
    if isinstance(expected, list | dict):
        return _item_difference(expected, actual, comparison, place)
    if isinstance(expected, str) and comparison.ignores_case:
        expected, actual = expected.casefold(), actual.casefold()
    return None if expected == actual else f"{place}: expected {_shown(expected)}, got {_shown(actual)}"


def _item_difference(expected: Any, actual: Any, comparison: Comparison, place: str) -> str | None:
    """Where two lists, or two objects, differ."""
    if isinstance(expected, list) and len(expected) != len(actual):
        return f"{place}: expected {len(expected)} items, got {len(actual)}"
    if isinstance(expected, dict) and (odd := expected.keys() ^ actual.keys()):
        return f"{place}: {'lacks' if min(odd) in expected else 'has'} the key {_shown(min(odd))}"
    for key in range(len(expected)) if isinstance(expected, list) else expected:
        if difference := value_difference(expected[key], actual[key], comparison, f"{place}[{_shown(key)}]"):
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


def _are_equal_numbers(expected: float, actual: float, comparison: Comparison) -> bool:
    if expected == actual or (expected != expected and actual != actual):
        return True
    numerals = _numeral(expected), _numeral(actual)
    return comparison.mode != "exact" and are_close(*numerals, comparison.absolute, comparison.relative)


def _numeral(value: float) -> bytes:
    """All digits of a number; those of a float have a point."""
    if isinstance(value, int):
        return harness.digits_of(value).encode()
    digits = format(Decimal(value), "f")
    return (f"{digits}.0" if digits.lstrip("-").isdigit() else digits).encode()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


_NAMES = {"NoneType": "None", "str": "a string", "bool": "a truth value", "int": "a number", "float": "a number"}


def _name(tag: str) -> str:
    return _NAMES.get(tag, f"a {tag}")
