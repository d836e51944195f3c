"""Values that functions return: how they come out of the box, and when they are right."""

from __future__ import annotations

import collections
import enum
import json
import math
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.execution.judge import harness
from open_r1.execution.judge.comparison import Comparison
from open_r1.execution.judge.function_call import (
    UnreadableResultError,
    encode_expected,
    result_difference,
    result_in,
)
from open_r1.execution.judge.test_cases import read_arguments

LENIENT, EXACT = Comparison(), Comparison("exact")
NAN, INF = math.nan, math.inf

Point = collections.namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Sneaky(str):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


def frame(value: Any) -> bytes:
    """What the harness writes for a result."""
    return f"printed\n{harness.MARK}{json.dumps(harness.encode(value))}\n".encode()


def is_right(expected: Any, result: Any, comparison: Comparison = LENIENT) -> bool:
    return result_difference(encode_expected([expected]), frame(result), comparison) is None


BOTH = [
    (1, 1),
    ("a", "a"),
    (None, None),
    ([1, [2]], [1, [2]]),
    ({"a": [1]}, {"a": [1]}),
    (True, 1),
    (2, 2.0),
    (NAN, NAN),
]
BOTH += [
    ({1: 2}, {1: 2}),
    ({1, 2}, {2, 1}),
    ((1, 2), (1, 2)),
    (INF, INF),
    ({(1, 2): 3}, {(1, 2): 3}),
    (0, -0.0),
    (1, Colour.RED),
]
LENIENT_ONLY = [([1, 2], (1, 2)), ((1, 2), [1, 2]), (0.3, 0.1 + 0.2), ({"1": 2}, {1: 2}), ({"a": (1,)}, {"a": [1]})]
LENIENT_ONLY += [([1, 2], collections.deque([1, 2])), ([1, 2], Point(1, 2)), ([1e300], [1e300 * (1 + 1e-12)])]
NEITHER = [
    (1, 2),
    (1, "1"),
    ("1", 1),
    (None, 0),
    (None, False),
    ([], {}),
    ([], None),
    ([1], 1),
    ([1, 2], {1, 2}),
    ("a", ["a"]),
]
NEITHER += [
    ([1, 2], [2, 1]),
    ([1], [1, 1]),
    ({"a": 1}, {"a": 1, "b": 1}),
    ({"a": 1}, {"b": 1}),
    (INF, 5),
    (5, INF),
    (INF, -INF),
]
NEITHER += [
    (NAN, 5),
    (5, NAN),
    (10**400, 1.0),
    (1e308, 10**400),
    (10**4100, 10**4100 + 1),
    (10**4100, 1.0),
    (1.0, 10**4100),
    (1, 1.001),
    ("a", "A"),
    ({1}, {2}),
]
NEITHER += [("right", Sneaky("wrong")), (10**20, 10**20 + 1)]


@pytest.mark.parametrize(("expected", "result"), BOTH)
def test_equal_values_are_right(expected: Any, result: Any) -> None:
    assert is_right(expected, result)
    assert is_right(expected, result, EXACT)


@pytest.mark.parametrize(("expected", "result"), LENIENT_ONLY)
def test_what_json_can_t_tell_apart_is_right_unless_compared_exactly(expected: Any, result: Any) -> None:
    assert is_right(expected, result)
    assert not is_right(expected, result, EXACT)


@pytest.mark.parametrize(("expected", "result"), NEITHER)
def test_other_values_are_wrong(expected: Any, result: Any) -> None:
    assert not is_right(expected, result)
    assert not is_right(expected, result, EXACT)


def test_integers_of_many_digits_are_compared_as_text() -> None:
    assert is_right([10**4100], (10**4100,))
    assert is_right({10**4100}, {10**4100}, EXACT)
    assert is_right(harness.Digits("-" + "9" * 10**6), harness.Digits("-" + "9" * 10**6))


def test_tolerance_and_case_are_the_comparisons() -> None:
    assert is_right(1.0, 1.0004, Comparison("numeric", absolute=1e-3, relative=0.0))
    assert not is_right(1.0, 1.004, Comparison("numeric", absolute=1e-3, relative=0.0))
    assert is_right(["Yes"], ["YES"], Comparison(ignores_case=True))


def test_any_of_several_values_is_right() -> None:
    expected = encode_expected([[5], 5])
    assert result_difference(expected, frame(5), LENIENT) is None
    assert result_difference(expected, frame([5]), LENIENT) is None
    assert result_difference(expected, frame([[5]]), LENIENT) is not None


def test_the_last_frame_counts_and_prints_do_not_matter() -> None:
    assert result_in(frame(1) + frame(2)) == "2"
    assert result_in(frame("a\nb\x1eresult 7\n")) == '"a\\nb\\u001eresult 7\\n"'


DEEP = "[" * 100_000 + "]" * 100_000
RUBBISH = [
    "",
    "{",
    "[1,",
    DEEP,
    '{"$tuple": 5}',
    '{"$set": [{"a": []}]}',
    '{"$dict": [1]}',
    '{"$dict": [[1]]}',
    '{"$set": 1}',
    "\ud800",
]
COLLIDING = json.dumps({"$set": [number * (2**61 - 1) for number in range(30_000)]})
GIANT = "[1," + "9" * 900_000 + "]"


@pytest.mark.parametrize("text", RUBBISH, ids=lambda text: text[:20])
@pytest.mark.parametrize("expected", [[1], (1,), {1}, {1: 2}, {"a": 1}, 1, None])
def test_a_forged_frame_is_wrong_and_no_fault(text: str, expected: Any) -> None:
    output = harness.MARK.encode() + text.encode("utf-8", "surrogatepass") + b"\n"
    with suppress(UnreadableResultError):
        assert result_difference(encode_expected([expected]), output, LENIENT) is not None


@pytest.mark.parametrize("text", [COLLIDING, GIANT, "[" + "1," * 400_000 + "1]", '"' + "x" * 10**6 + '"'], ids=len)
def test_a_forged_frame_costs_no_more_than_its_size(text: str) -> None:
    started = time.process_time()
    for expected in ({1}, {2: 1}, [1]):
        with suppress(UnreadableResultError):
            assert (
                result_difference(encode_expected([expected]), f"{harness.MARK}{text}\n".encode(), LENIENT) is not None
            )
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    "output", [b"", b"42\n", b"result 42\n", harness.MARK.encode(), harness.MARK.encode() + b"42"]
)
def test_output_without_a_whole_frame_has_no_result(output: bytes) -> None:
    with pytest.raises(UnreadableResultError, match="ended without a result"):
        result_difference(encode_expected([42]), output, LENIENT)


def test_a_difference_says_where() -> None:
    def told(expected: Any, result: Any) -> str | None:
        return result_difference(encode_expected([expected]), frame(result), LENIENT)

    assert told([1, {"a": 2}], [1, {"a": 3}]) == "result[1]['a']: expected 2, got 3"
    assert told([1], [1, 2]) == "result: expected 1 items, got 2"
    assert told({"a": 1}, {}) == "result: lacks the key 'a'"
    assert told([1], None) == "result: expected a list, got None"


def test_what_has_no_json_form_does_not_come_out() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    for value, error in (
        (object(), TypeError),
        (range(3), TypeError),
        (b"x", TypeError),
        (cycle, ValueError),
        (1j, TypeError),
    ):
        with pytest.raises(error):
            harness.encode(value)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(plain)
def test_values_pass_the_wire_unchanged(value: Any) -> None:
    assert harness.decode(json.loads(json.dumps(harness.encode(value)))) == value
    assert is_right(value, value)
    assert is_right(value, value, EXACT)


@given(plain, plain)
def test_exact_comparison_is_pythons(expected: Any, result: Any) -> None:
    assert is_right(expected, result, EXACT) == (expected == result)


@pytest.mark.parametrize(
    ("expected", "result", "right"),
    [
        (1000000007, 1000000006.0, False),
        (1000000007, 1000000006.5, False),
        (1000000007, 1000000007.0, True),
        (10**18 + 1, 1e18, False),
        (3, 2.9999999999999996, True),
        (10**5000, 10**5000, True),
        (10**5000, 10**5000 + 1, False),
    ],
    ids=range(7),
)
def test_a_float_is_no_large_integer(expected: Any, result: Any, right: bool) -> None:
    assert is_right(expected, result) == right


@pytest.mark.parametrize(
    "text",
    [
        '{"$tuple": 5}',
        '{"$set": {}}',
        '{"$dict": [[1]]}',
        '{"$dict": 7}',
        '{"$int": []}',
        "[" * 5000,
        "9" * 5000,
        "1e999",
    ],
)
@pytest.mark.parametrize("expected", [1, [1], {"a": 1}, (1,), {1}, 10**5000], ids=range(6))
def test_a_forged_frame_is_a_wrong_result_and_no_fault(text: str, expected: Any) -> None:
    output = f"{harness.MARK}{text}\n".encode()
    for comparison in (LENIENT, EXACT):
        with suppress(UnreadableResultError):
            assert result_difference(encode_expected([expected]), output, comparison) is not None


def test_only_a_line_feed_ends_a_line() -> None:
    separated = '"one\u2028still one"\r\n["two\x85"]'
    assert read_arguments(separated) == [["one\u2028still one", ["two\x85"]]]
