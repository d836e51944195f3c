"""When an output is the expected one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.errors import ConfigError
from open_r1.execution.judge.comparison import MODES, Comparison

TOKENS, LINES, EXACT = Comparison(), Comparison("lines"), Comparison("exact")
NUMERIC = Comparison("numeric", absolute=1e-6, relative=1e-6)

CASES = [
    # expected, actual, modes in which they are the same
    (b"1 2\n3\n", b"1 2\n3\n", "tokens lines exact numeric"),
    (b"1 2\n3\n", b"1 2\n3", "tokens lines numeric"),
    (b"1 2\n3\n", b"1 2  \r\n3\r\n\n\n", "tokens lines numeric"),
    (b"1 2\n3\n", b"1\n2 3\n", "tokens numeric"),
    (b"1 2\n3\n", b" 1 2\n3\n", "tokens numeric"),
    (b"1 2\n3\n", b"1 2\n\n3\n", "tokens numeric"),
    (b"1 2\n3\n", b"1 2\n", ""),
    (b"1 2\n3\n", b"1 2\n3\n4\n", ""),
    (b"1 2\n", b"2 1\n", ""),
    (b"12\n", b"1 2\n", ""),
    (b"", b"", "tokens lines exact numeric"),
    (b"", b"\n \n", "tokens lines numeric"),
    (b"", b"0", ""),
    (b"0", b"", ""),
    (b"YES", b"Yes", ""),
    (b"0.5", b"0.50", "numeric"),
    (b"0.5", b".5", "numeric"),
    (b"0.5", b"5e-1", "numeric"),
    (b"1", b"1.0000001", "numeric"),
    (b"1", b"1.00001", ""),
    (b"1000000", b"1000000.5", "numeric"),
    (b"0", b"-0", "numeric"),
    (b"0", b"1e-7", "numeric"),
    (b"nan", b"NaN", "numeric"),
    (b"inf", b"Infinity", "numeric"),
    (b"inf", b"-inf", ""),
    (b"inf", b"1e308", ""),
    (b"5", b"inf", ""),
    (b"5", b"nan", ""),
    (b"nan", b"5", ""),
    (b"1e400", b"1e400", "tokens lines exact numeric"),
    (b"1e400", b"10e399", "numeric"),
    (b"1e400", b"1e401", ""),
    (b"1e400", b"inf", ""),
    (b"1e-400", b"0", "numeric"),
    (b"1e999999999999999999999", b"1e999999999999999999999", "tokens lines exact numeric"),
    (b"1e999999999999999999999", b"1", ""),
    (b"10", b"1_0", ""),
    (b"10", b"0xa", ""),
    ("١٠".encode(), b"10", ""),
    (b"case 5", b"case 5.0", "numeric"),
    (b"case 5", b"cas 5", ""),
    (b"\xff\xfe", b"\xff\xfe", "tokens lines exact numeric"),
    (b"\xff\xfe", b"\xff\xfd", ""),
    ("é".encode(), "é".encode("latin-1"), ""),
    (b"a\x00b", b"a\x00b\n", "tokens lines numeric"),
    (b"a\x00b", b"a", ""),
]


@pytest.mark.parametrize(("expected", "actual", "same"), CASES)
@pytest.mark.parametrize("comparison", [TOKENS, LINES, EXACT, NUMERIC], ids=lambda comparison: comparison.mode)
def test_outputs_are_compared_as_wholes(comparison: Comparison, expected: bytes, actual: bytes, same: str) -> None:
    assert (comparison.difference(expected, actual) is None) == (comparison.mode in same.split())


def test_case_may_be_ignored_in_every_mode() -> None:
    for mode in MODES:
        assert Comparison(mode, ignores_case=True).difference("YES Ä".encode(), "yes ä".encode()) is None
        assert Comparison(mode, ignores_case=True).difference(b"yes", b"no") is not None
        assert Comparison(mode, ignores_case=True).difference(b"\xff", b"\xfe") is not None


def test_a_difference_says_where_and_what() -> None:
    assert TOKENS.difference(b"1 2 3", b"1 5 3") == "token 2: expected '2', got '5'"
    assert LINES.difference(b"a\nb\n", b"a\n") == "line 2: expected 'b', got ''"
    assert TOKENS.difference(b"1", b"") == "token 1: expected '1', got nothing"
    assert TOKENS.difference(b"1", b"1 2") == "token 2: expected nothing, got '2'"
    assert len(TOKENS.difference(b"1", b"9" * 10**6) or "") < 100


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (b"7" * 10**6, b"7" * 10**6 + b"8"),
        (b"7" * 10**6, b"7" * (10**6 - 1) + b"8"),
        (b"7" * 10**6 + b"x", b"7" * 10**6 + b"y"),
        (b"0." + b"3" * 10**6, b"0." + b"3" * (10**6 - 1) + b"4"),
        (b"1e" + b"9" * 10**6, b"1e" + b"8" * 10**6),
        (b"1 " * 500_000, b"1 " * 499_999 + b"2"),
        (b"\n" * 10**6, b" \n" * 10**6),
        (b"+" * 10**6, b"-" * 10**6),
    ],
)
@pytest.mark.parametrize("comparison", [TOKENS, LINES, EXACT, NUMERIC], ids=lambda comparison: comparison.mode)
def test_a_megabyte_takes_linear_time(comparison: Comparison, expected: bytes, actual: bytes) -> None:
    started = time.process_time()
    comparison.difference(expected, actual)
    assert time.process_time() - started < 20  # what is quadratic here takes hours


def test_integers_are_compared_exactly_whatever_the_tolerance() -> None:
    giant = b"7" * 100_000
    assert NUMERIC.difference(giant, b"+00" + giant) is None
    assert NUMERIC.difference(giant, giant[:-1] + b"8") is not None
    assert NUMERIC.difference(giant, giant + b"7") is not None
    assert NUMERIC.difference(b"0", b"-00") is None
    assert NUMERIC.difference(b"5", b"-5") is not None
    assert NUMERIC.difference(b"1000000007", b"1000000006") is not None


@pytest.mark.parametrize(
    ("expected", "actual", "is_close"),
    [
        (b"1000000007", b"1000000006.0", False),
        (b"1000000007", b"1000000006.5", False),
        (b"1000000007", b"1000000007.0", True),
        (b"1000000007", b"1000000006.9999999", True),
        (b"3", b"2.9999999999999996", True),
        (b"1000000007.0", b"1000000006.5", True),
    ],
)
def test_the_default_tolerance_never_reaches_another_integer(expected: bytes, actual: bytes, is_close: bool) -> None:
    assert (Comparison("numeric").difference(expected, actual) is None) == is_close


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of tokens, lines, exact, numeric"):
        Comparison("words")  # type: ignore[arg-type]
    for tolerance in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="relative tolerance must be a number from 0 up"):
            Comparison("numeric", relative=tolerance)


outputs = st.binary(max_size=40) | st.lists(
    st.sampled_from([b"1", b"-0.5", b"1e400", b"nan", b" ", b"\n", b"\xff"])
).map(b"".join)


@given(outputs, outputs)
def test_any_bytes_are_compared_without_fault_and_equal_ones_are_equal(expected: bytes, actual: bytes) -> None:
    for comparison in (TOKENS, LINES, EXACT, NUMERIC, Comparison("numeric", ignores_case=True)):
        assert comparison.difference(expected, expected) is None
        is_same = comparison.difference(expected, actual) is None
        assert is_same or expected != actual
        if comparison.mode == "tokens":
            assert is_same == (expected.split() == actual.split())
