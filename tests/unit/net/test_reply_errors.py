"""What the body of an error says, in one printable line."""

from __future__ import annotations

import pytest

from open_r1.net.replies import describe_body, find_message, load_json


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "too  long", "type": "BadRequest", "code": 400}}', "400: BadRequest: too long"),
        (b'{"error": "boom"}', "boom"),
        (b'{"message": "who?"}', "who?"),
        (b'{"detail": "no field"}', "no field"),
        (b'{"x": 1}', "{'x': 1}"),
        (b"<h1>\n502</h1>", "<h1> 502</h1>"),
        (b"[1]", "[1]"),
        (b"", "no explanation"),
        (b"[" * 100_000, "[" * 300),
        (b'{"message": "\\u001b[2Jx"}', "␛[2Jx"),
        (b"\xff\x1b", "\ufffd␛"),
        (b"x" * 1000, "x" * 300),
    ],
)
def test_an_errors_body_is_one_printable_line(body: bytes, said: str) -> None:
    assert describe_body(body) == said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"error": {"message": "m", "code": 4}}, "m"),
        ({"error": "boom"}, "boom"),
        ({"detail": [{"loc": 1}]}, '[{"loc":1}]'),
        ("text", "text"),
        (None, "null"),
    ],
)
def test_the_sentence_in_an_error_is_found(content: object, said: str) -> None:
    assert find_message(content) == said


def test_json_is_read_even_where_it_is_odd() -> None:
    assert load_json(b'{"a": 1e5}') == {"a": 1e5}
    assert load_json(b'"\\ud800"') == "\ud800"
