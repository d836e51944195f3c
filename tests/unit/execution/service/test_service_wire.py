"""What travels to the executor and back, and what is refused on the way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.service.piston import PistonRequest
from open_r1.execution.service.requests import MAX_VALUES, ExecutionsRequest, Refusal, parse_now
from open_r1.execution.service.settings import ServiceSettings
from open_r1.execution.wire import decode_answer, encode_answer, encode_request

SETTINGS = ServiceSettings()
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.from_regex(r"[a-z0-9_]{1,10}(\.[a-z]{1,3})?", fullmatch=True)
LIMITS = st.builds(
    Limits,
    wall_s=st.floats(0.01, 60),
    cpu_s=st.floats(0.01, 60),
    memory_mb=st.integers(1, 2048),
    output_kb=st.integers(1, 16_384),
    disk_mb=st.integers(1, 256),
    processes=st.integers(1, 64),
    open_files=st.integers(1, 256),
)
PROGRAMS = st.builds(
    Program,
    source=TEXT,
    language=st.sampled_from(["python", "cpp", "c++20", "cobol"]),
    stdin=st.binary(),
    args=st.lists(TEXT.filter(lambda text: "\0" not in text), max_size=3).map(tuple),
    sources=st.dictionaries(NAMES, st.binary(), max_size=2),
    files=st.dictionaries(NAMES, st.binary(), max_size=2),
    limits=LIMITS,
)
EXECUTIONS = st.builds(
    Execution,
    status=st.sampled_from(Status),
    stdout=st.binary(),
    stderr=st.binary(),
    exit_code=st.none() | st.integers(-64, 255),
    wall_s=st.none() | st.floats(0, 100),
    cpu_s=st.none() | st.floats(0, 100),
    memory_mb=st.none() | st.floats(0, 4096),
    reason=TEXT,
    detail=TEXT,
)


@given(st.lists(PROGRAMS, min_size=1, max_size=3))
def test_programs_arrive_as_they_were_sent(programs: list[Program]) -> None:
    assert parse_now(ExecutionsRequest, encode_request(programs)).to_programs(SETTINGS) == programs


@given(st.integers(0, 10_000), EXECUTIONS)
def test_executions_arrive_as_they_were_sent(index: int, execution: Execution) -> None:
    line = encode_answer(index, execution)
    assert line.count(b"\n") == 1
    assert decode_answer(line) == (index, execution)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"index": true, "status": "finished", "stdout": "", "stderr": ""}',
        b'{"index": 0, "status": "glorious", "stdout": "", "stderr": ""}',
        b'{"index": 0, "status": "finished", "stdout": "?", "stderr": ""}',
        b'{"index": 0, "status": "finished", "stdout": null, "stderr": ""}',
        b'{"index": 0, "status": "finished", "stdout": "", "stderr": "", "exit_code": "0"}',
        b"\xff\xfe",
    ],
)
def test_an_answer_that_is_rubbish_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        decode_answer(line)


def test_limits_above_the_services_are_lowered_and_others_kept() -> None:
    asked = Limits(wall_s=1e9, cpu_s=1.5, memory_mb=10**9, output_kb=1)
    body = encode_request([Program("", limits=asked)])
    (program,) = parse_now(ExecutionsRequest, body).to_programs(SETTINGS)
    most = SETTINGS.max_limits
    assert program.limits == Limits(wall_s=most.wall_s, cpu_s=1.5, memory_mb=most.memory_mb, output_kb=1)


def program_with(**fields: object) -> bytes:
    return json.dumps({"programs": [{"source": "", **fields}]}).encode()


MALFORMED = {
    "nothing": b"",
    "no JSON": b"print(1)",
    "not UTF-8": b'{"programs": "\xff"}',
    "a list": b"[]",
    "no programs": b"{}",
    "an empty list of programs": b'{"programs": []}',
    "a program that is a number": b'{"programs": [7]}',
    "no source": b'{"programs": [{}]}',
    "an unknown key": program_with(soruce="x"),
    "half a character": b'{"programs": [{"source": "\\ud800"}]}',
    "nesting": b'{"programs":' + b"[" * 100_000,
    "nested files": program_with(files={"a": {"b": {}}}),
    "stdin that is no base64": program_with(stdin="print me"),
    "a time limit in words": program_with(limits={"wall_s": "10"}),
    "a time limit of 0": program_with(limits={"wall_s": 0}),
    "an endless time limit": b'{"programs": [{"source": "", "limits": {"wall_s": 1e999}}]}',
    "no number at all": b'{"programs": [{"source": "", "limits": {"wall_s": NaN}}]}',
    "half a megabyte": program_with(limits={"memory_mb": 0.5}),
    "an unknown limit": program_with(limits={"walls": 1}),
    "a file outside": program_with(files={"../x": ""}),
    "a file at the root": program_with(files={"/etc/passwd": ""}),
    "a file called nothing": program_with(files={"": ""}),
    "a file called dot": program_with(sources={".": ""}),
    "a file with a NUL": program_with(files={"a\0b": ""}),
    "a file with a line end": program_with(files={"a\nb": ""}),
    "a file with a long name": program_with(files={"x" * 256: ""}),
    "a deep file": program_with(files={"/".join("abcdefghi"): ""}),
    "a thousand files": program_with(files={f"f{number}": "" for number in range(1000)}),
    "an argument with a NUL": program_with(args=["a\0b"]),
    "a thousand arguments": program_with(args=["x"] * 1000),
    "a language without a name": program_with(language=""),
    "a language with a long name": program_with(language="x" * 65),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request_is_refused_in_a_sentence(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        parse_now(ExecutionsRequest, body).to_programs(SETTINGS)
    assert refused.value.status == 422
    assert refused.value.code == "malformed"
    assert 10 < len(refused.value.message) < 1200


def test_the_message_names_the_place_and_not_the_value() -> None:
    with pytest.raises(Refusal) as refused:
        parse_now(ExecutionsRequest, program_with(limits={"wall_s": "secret" * 100_000}))
    assert refused.value.message.startswith("programs.0.limits.wall_s: ")
    assert "secret" not in refused.value.message


def test_too_many_programs_are_refused() -> None:
    body = encode_request([Program("")] * (SETTINGS.max_programs + 1))
    with pytest.raises(Refusal) as refused:
        parse_now(ExecutionsRequest, body).to_programs(SETTINGS)
    assert refused.value.status == 413


@pytest.mark.parametrize("filler", [b"[],", b"{},", b"1,"])
@pytest.mark.parametrize("model", [ExecutionsRequest, PistonRequest])
def test_a_body_that_would_grow_a_hundredfold_is_refused_before_it_is_parsed(model: type, filler: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        parse_now(model, b'{"programs": [' + filler * MAX_VALUES + b"1]}")
    assert refused.value.status == 413


@pytest.mark.parametrize("string", [b'"' + b"[{," * MAX_VALUES, b'"' + rb"\"" * MAX_VALUES + b"[" * MAX_VALUES * 2])
def test_brackets_within_strings_do_not_count_and_open_strings_are_scanned_once(string: bytes) -> None:
    body = b'{"programs": [{"source": ' + string
    with pytest.raises(Refusal) as refused:
        parse_now(ExecutionsRequest, body)
    assert refused.value.status == 422
    parse_now(ExecutionsRequest, body + b'"}]}')
