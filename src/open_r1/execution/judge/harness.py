"""The code around a submission whose function is called: this file's text begins the program in the box.

It reads one call from standard input, runs the submission as a module, calls its function, and writes the result as one
frame of plain JSON. It does not know what the result should be: whatever a submission does to this code, it can't know what
to write. Values that JSON has no word for are objects of one key:

    {"$tuple": [...]}   {"$set": [...]}   {"$dict": [[key, value], ...]}   {"$int": "very many digits"}

Uses the standard library alone, of Python 3.8 on. `function_call` imports it for the words of the wire.
"""

from __future__ import annotations

import collections
import decimal
import io
import json
import os
import sys
import traceback
import types
import typing

MARK = "\x1eresult "
"""What comes before the result; JSON as written here never contains this byte."""

MAX_DEPTH = 100

MAX_DIGITS = 4000
"""Integers of more digits are text on the wire: to read them takes time that grows with the square."""

_BIG = 10**MAX_DIGITS

LEETCODE_NAMES = """
import bisect, collections, copy, functools, heapq, itertools, json, math, operator, random, re, string, sys, typing
from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict, defaultdict, deque
from copy import deepcopy
from functools import cmp_to_key, lru_cache, reduce
from heapq import heapify, heappop, heappush, heappushpop, heapreplace, nlargest, nsmallest
from itertools import accumulate, chain, combinations, groupby, permutations, product
from math import ceil, floor, gcd, inf, log, log2, sqrt
from typing import Deque, DefaultDict, Iterable, Iterator
"""
"""What such sites import before a `class Solution`."""


def main(source: str) -> None:
    """Make the call that standard input asks for. Leaves at once, so that no thread or exit handler delays it."""
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    call = json.loads(sys.stdin.buffer.read())
    sys.stdin = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(Nowhere()), encoding="utf-8", errors="replace")
    try:
        function = find_function(load(source), call["function"])
        arguments = choose_arguments(function, [decode(reading) for reading in call["readings"]])
        frame = "\n" + MARK + json.dumps(encode(function(*arguments))) + "\n"
    except BaseException:  # noqa: BLE001  SystemExit too: a submission that leaves early has no result
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    write(frame)
    os._exit(0)


def write(text: str) -> None:
    with open(1, "wb", closefd=False) as output:
        output.write(text.encode("ascii"))


def load(source: str) -> types.ModuleType:
    """The submission as a module, with the names that it may take for granted."""
    module = types.ModuleType("submission")
    sys.modules["submission"] = module
    names = vars(module)
    exec("from typing import Any, Dict, List, Optional, Set, Tuple, Union", names)
    if "class Solution" in source:
        exec(LEETCODE_NAMES, names)
    exec(compile(source, "submission.py", "exec"), names)
    return module


def find_function(module: types.ModuleType, name: str) -> typing.Callable:
    """The function of this name; or the method of `class Solution`, or else of the first class that has it."""
    function = getattr(module, name, None)
    if callable(function):
        return function
    things = [thing for thing in vars(module).values() if isinstance(thing, type) and thing.__module__ == "submission"]
    for cls in sorted(things, key=lambda cls: cls.__name__ != "Solution"):
        if callable(getattr(cls, name, None)):
            return getattr(cls(), name)
    raise NameError(f"the submission defines no function '{name}'")


def choose_arguments(function: typing.Callable, readings: list) -> list:
    """The first reading of the input that the function's parameters can take; the first of all if none fits."""
    if len(readings) > 1:
        import inspect

        for arguments in readings:
            try:
                inspect.signature(function).bind(*arguments)
            except (TypeError, ValueError):
                continue
            return arguments
    return readings[0]


class Digits(str):
    """An integer that isn't worth reading."""


def encode(value: typing.Any, depth: int = 0) -> typing.Any:
    """A value as JSON can hold it; TypeError for what has no such form, ValueError for what is nested too deeply."""
    if depth > MAX_DEPTH:
        raise ValueError(f"the value is nested more than {MAX_DEPTH} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Digits) or (isinstance(value, int) and not -_BIG < value < _BIG):
        return {"$int": value if isinstance(value, Digits) else digits_of(value)}
    for kind in (int, float, str):
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)
    if isinstance(value, list):
        return [encode(item, depth + 1) for item in value]
    if isinstance(value, (tuple, collections.deque)):
        return {"$tuple": [encode(item, depth + 1) for item in value]}
    if isinstance(value, (set, frozenset)):
        return {"$set": [encode(item, depth + 1) for item in value]}
    if isinstance(value, dict):
        items = [(encode(key, depth + 1), encode(item, depth + 1)) for key, item in value.items()]
        are_plain = all(isinstance(key, str) and not key.startswith("$") for key, _ in items)
        return dict(items) if are_plain else {"$dict": [list(item) for item in items]}
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return encode(value.tolist(), depth + 1)
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def digits_of(value: int) -> str:
    """The digits of an integer of any length; `str` refuses more than 4,300 unless the process says otherwise."""
    return format(decimal.Decimal(value), "f")


def decode(value: typing.Any) -> typing.Any:
    """The value that `encode` wrote."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    for tag, build in (("$tuple", tuple), ("$set", set), ("$dict", dict), ("$int", int)):
        if tag in value:
            return build(decode(value[tag]))
    return {key: decode(item) for key, item in value.items()}


class Nowhere(io.RawIOBase):
    """Where standard output goes while a submission runs: what it prints stays unread."""

    def writable(self) -> bool:
        return True

    def write(self, data: typing.Any) -> int:
        return len(data)
