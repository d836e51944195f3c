"""Tests as the published data sets write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from open_r1.execution.judge.comparison import Comparison
from open_r1.execution.judge.judge import Test
from open_r1.execution.judge.results import ProblemError
from open_r1.execution.judge.test_cases import Verification, read_verification

STDIN = {"input": "1 2\n", "output": "3\n", "type": "stdin_stdout"}
CALL = {"fn_name": "add", "input": [1, 2], "output": [3], "type": "function_call"}


def info(*cases: Any, **more: Any) -> dict[str, Any]:
    return {"language": "python", "test_cases": list(cases), **more}


def read(given: Any) -> Verification:
    verification = read_verification(given)
    assert verification is not None
    return verification


def call_of(**case: Any) -> tuple[list[Any], list[Any]]:
    """The readings of a call's input, and its right values, as the box gets them and the judge keeps them."""
    test = read(info({"fn_name": "f", "type": "function_call", **case})).tests[0]
    return json.loads(test.input)["readings"], json.loads(test.expected)


def test_a_program_s_test_is_its_input_and_output() -> None:
    assert read(info(STDIN)) == Verification("python", (Test(b"1 2\n", b"3\n"),))


def test_json_text_an_object_and_text_within_it_are_the_same() -> None:
    expected = read(info(STDIN))
    assert read(json.dumps(info(STDIN))) == expected
    assert read(json.dumps(info(STDIN)).encode()) == expected
    assert read({"language": "python", "test_cases": json.dumps([STDIN])}) == expected


def test_the_columns_of_a_data_frame_are_put_together_again() -> None:
    columns = {"input": ["1 2\n"], "output": ["3\n"], "type": ["stdin_stdout"]}
    assert read({"language": "python", "test_cases": columns}) == read(info(STDIN))


def test_parallel_lists_are_understood() -> None:
    calls = read({"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]]})
    assert all(test.function for test in calls.tests)
    assert calls.tests[0] == read(info(CALL)).tests[0]
    assert read({"inputs": ["1 2\n"], "outputs": ["3\n"]}) == read(info(STDIN))


def test_lines_in_a_list_are_one_text() -> None:
    test = read(info({"input": ["1", "2\n"], "output": ["3"]})).tests[0]
    assert (test.input, test.expected) == (b"1\n2", b"3")


@pytest.mark.parametrize("language", ["python3", "Python", "py", None, ""])
def test_a_language_is_read_by_any_of_its_names(language: str | None) -> None:
    assert read(info(STDIN) | {"language": language}).language == "python"


@pytest.mark.parametrize("nothing", [None, {}, "", "  ", "null", "{}", {"language": None, "test_cases": None}])
def test_a_row_without_tests_is_no_programming_problem(nothing: Any) -> None:
    assert read_verification(nothing) is None


@pytest.mark.parametrize(
    ("given", "readings"),
    [
        ([1, [2]], [[1, [2]], [[1, [2]]]]),
        ("[1, [2]]", [[1, [2]], [[1, [2]]]]),
        ("[1, 2]\n3", [[[1, 2], 3]]),
        ('"a"\n"b"\n', [["a", "b"]]),
        ("5", [[5]]),
        (5, [[5]]),
        ({"a": 1}, [[{"a": 1}]]),
        ("hello world", [["hello world"]]),
        ("two\nlines", [["two\nlines"]]),
        ("['a', (1, True, None)]", [["a", {"$tuple": [1, True, None]}], [["a", {"$tuple": [1, True, None]}]]]),
        ("1, 2", [[{"$tuple": [1, 2]}], [1, 2]]),
        ('[{"$set": 1}]', [[{"$dict": [["$set", 1]]}], [[{"$dict": [["$set", 1]]}]]]),
        ([], [[], [[]]]),
        ("[1, NaN]", None),
    ],
)
def test_a_call_s_input_is_read_as_its_arguments(given: Any, readings: list[Any] | None) -> None:
    found, _ = call_of(input=given, output=0)
    if readings is not None:
        assert found == readings
    else:
        assert found[0][1] != found[0][1]


@pytest.mark.parametrize(
    ("output", "right"),
    [
        (3, [3]),
        ([3], [[3], 3]),
        ("[3]", [[3], 3]),
        ([3, 4], [[3, 4]]),
        ("true", [True]),
        ("True", [True]),
        ("abc", ["abc"]),
        ('"abc"', ["abc"]),
        ("'abc'", ["abc"]),
        ("", [""]),
        ("(1, 2)", [{"$tuple": [1, 2]}]),
        ("9" * 5000, [{"$int": "9" * 5000}]),
        ([None], [[None], None]),
    ],
)
def test_a_call_s_output_is_read_as_the_values_that_are_right(output: Any, right: list[Any]) -> None:
    assert call_of(input=[1], output=output)[1] == right


def test_exact_outputs_are_not_taken_out_of_their_list() -> None:
    test = read(info(CALL, comparison="exact")).tests[0]
    assert json.loads(test.expected) == [[3]]


def test_a_problem_may_say_how_outputs_are_compared() -> None:
    assert read(info(STDIN, comparison="lines")).tests[0].comparison == Comparison("lines")
    numeric = {"mode": "numeric", "absolute": 1e-3, "relative": None}
    assert read(info(STDIN, comparison=numeric)).tests[0].comparison == Comparison("numeric", absolute=1e-3)


def test_a_problem_may_have_a_checker_and_then_no_outputs() -> None:
    checker = {"language": "python3", "source": "raise SystemExit(0)"}
    test = read(info({"input": "1\n"}, checker=checker)).tests[0]
    assert test.checker is not None
    assert test.checker.program(test, b"out").language == "python"


BAD = [
    (5, "malformed_tests", "of type int, not an object"),
    ([STDIN], "malformed_tests", "of type list, not an object"),
    ("{", "malformed_tests", "text but no JSON"),
    ("[" * 100_000, "malformed_tests", "text but no JSON"),
    ({"language": "python"}, "no_tests", "it has no test_cases"),
    (info(), "no_tests", "it has no test_cases"),
    ({"language": "python", "test_cases": "[]"}, "no_tests", "it has no test_cases"),
    ({"language": "python", "test_cases": 5}, "malformed_tests", "test_cases are of type int"),
    ({"language": "python", "test_cases": {"a": 1}}, "malformed_tests", "test_cases are of type dict"),
    (info(STDIN) | {"language": 5}, "malformed_tests", "its language is 5"),
    (info("x"), "malformed_tests", "test 1 is of type str"),
    (info(STDIN, None), "malformed_tests", "test 2 is of type NoneType"),
    (info(STDIN, {"input": "1"}), "malformed_tests", "test 2 has no output"),
    (info({"input": "1", "output": None}), "malformed_tests", "test 1 has no output"),
    (info({"output": "1"}), "malformed_tests", "test 1 has no input"),
    (info({"input": {"a": 1}, "output": "1"}), "malformed_tests", "test 1 has an input of type dict"),
    (
        info(STDIN | {"type": "telepathy"}),
        "malformed_tests",
        "the type 'telepathy'; the types are stdin_stdout, function_call",
    ),
    (info(CALL | {"fn_name": None}), "malformed_tests", "fn_name is None"),
    (info(CALL | {"fn_name": "a.b()"}), "malformed_tests", "fn_name is 'a.b()'"),
    (info(CALL) | {"language": "cpp"}, "unsupported_language", "only Python's can be called"),
    (info(CALL | {"input": b"x"}), "malformed_tests", "test 1 can't be read"),
    (info(STDIN, comparison="words"), "malformed_tests", "choose one of tokens"),
    (info(STDIN, comparison={"tolerance": 1}), "malformed_tests", "its comparison can't be read"),
    (info(STDIN, comparison=5), "malformed_tests", "its comparison can't be read"),
    (info(STDIN, checker="python"), "malformed_tests", "its checker is not an object"),
    ({"inputs": ["1", "2"], "outputs": ["1"]}, "malformed_tests", "2 inputs and 1 outputs"),
    ({"inputs": ["1"], "outputs": None}, "malformed_tests", "1 inputs and no outputs"),
    (
        {"language": "python", "test_cases": {"input": ["1"], "output": []}},
        "malformed_tests",
        "1 inputs and 0 outputs",
    ),
]


@pytest.mark.parametrize(("given", "reason", "message"), BAD, ids=lambda value: str(value)[:40])
def test_tests_that_cannot_be_run_are_named(given: Any, reason: str, message: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read_verification(given)
    assert caught.value.reason == reason
    assert message in str(caught.value)


def test_a_row_may_ask_for_a_standard_of_cpp() -> None:
    info = {"language": "C++20", "test_cases": [{"input": "1", "output": "1"}]}
    verification = read_verification(info)
    assert verification is not None
    assert verification.language == "cpp20"


def test_numbers_of_many_digits_in_a_row_are_read() -> None:
    digits = "7" * 5000
    verification = read_verification(f'{{"test_cases": [{{"input": "", "output": {digits}}}]}}')
    assert verification is not None
    assert verification.tests[0].expected == digits.encode()
    verification = read_verification({"test_cases": [{"input": "", "output": 10**5000}]})
    assert verification is not None
    assert verification.tests[0].expected == b"1" + b"0" * 5000
