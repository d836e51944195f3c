"""What counts as a completion, and what never does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.generation.replies import BadReply, parse_reply
from open_r1.net.replies import describe_body


def body(*choices: Any, **more: Any) -> bytes:
    return json.dumps({"choices": list(choices), **more}).encode()


def choice(content: str | None = "4", finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}


@pytest.mark.parametrize(
    ("given_choice", "text", "finish"),
    [
        (choice("<think>\na\n</think>\n4"), "<think>\na\n</think>\n4", "stop"),
        (choice("4", reasoning_content="\na\n"), "<think>\na\n</think>\n\n4", "stop"),
        (choice("4", reasoning="a"), "<think>\na\n</think>\n\n4", "stop"),
        (choice(None, "length", reasoning_content="a b"), "<think>\na b", "length"),
        (choice("half", "length", reasoning_content="a"), "<think>\na\n</think>\n\nhalf", "length"),
        (choice(None, "stop", reasoning_content="a"), "<think>\na\n</think>\n\n", "stop"),
        (choice("a\n</think>\n4"), "<think>\na\n</think>\n4", "stop"),
        (choice("", "stop"), "", "stop"),
        (choice("x", "eos_token"), "x", "stop"),
        (choice("x", "max_tokens"), "x", "length"),
        (choice("ünï 思 \x00\x1b\u2028"), "ünï 思 \x00\x1b\u2028", "stop"),
        (choice("half \ud83d pair"), "half ? pair", "stop"),
    ],
)
def test_text_is_as_the_model_wrote_it_thinking_included(given_choice: Any, text: str, finish: str) -> None:
    (completion,) = parse_reply(body(given_choice)).completions
    assert (completion.text, completion.finish_reason) == (text, finish)
    completion.text.encode("utf-8")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not_json"),
        (b"<html>502</html>", "not_json"),
        (b'{"choices": [{"message"', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "not_json"),
        (b'"ok"', "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"{}", "no_choices"),
        (body(), "no_choices"),
        (b'{"choices": "many"}', "no_choices"),
        (b'{"error": {"message": "out of memory"}}', "error_body"),
        (body(choice(), error="overloaded"), "error_body"),
        (b'{"object": "error", "message": "too long"}', "error_body"),
        (body(choice(None)), "no_content"),
        (body(choice(["text"])), "no_content"),  # type: ignore[arg-type]
        (body({"text": "4"}), "no_content"),
        (body("4"), "no_content"),
        (body(choice("x", None)), "unfinished"),
        (body(choice("x", "abort")), "unfinished"),
        (body(choice("x", "content_filter")), "unfinished"),
        (body({"message": {"content": "x"}, "finish_reason": ["stop"]}), "unfinished"),
    ],
)
def test_what_is_no_completion_never_counts_as_one(content: bytes, reason: str) -> None:
    with pytest.raises(BadReply) as bad:
        parse_reply(content)
    assert bad.value.reason == reason


def test_tokens_are_the_servers_where_it_tells_them() -> None:
    told = parse_reply(body(choice(), usage={"prompt_tokens": 3, "completion_tokens": 7}, model="m"))
    assert (told.prompt_tokens, told.completion_tokens, told.model) == (3, 7, "m")
    assert told.completions[0].num_tokens == 7
    for usage in (None, "many", {"completion_tokens": -1}, {"completion_tokens": True}, {"completion_tokens": 1.5}):
        assert parse_reply(body(choice(), usage=usage)).completion_tokens is None


def test_broken_choices_do_not_take_the_whole_ones_with_them() -> None:
    parsed = parse_reply(body(choice("a"), choice(None), choice("b", "abort"), choice("c")))
    assert [completion.text for completion in parsed.completions] == ["a", "c"]


def test_a_refusal_is_told_in_the_servers_words() -> None:
    assert describe_body(b'{"error": {"message": "no such\\n model", "code": 404}}') == "404: no such model"
    assert describe_body(b'{"detail": "Not Found"}') == "Not Found"
    assert describe_body(b"") == "no explanation"
    assert describe_body(b"<html>gone</html>") == "<html>gone</html>"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["choices", "message", "content", "finish_reason", "usage", "error"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_reply_whatever_makes_the_parser_fail_in_another_way(content: Any) -> None:
    try:
        parsed = parse_reply(json.dumps(content).encode())
    except BadReply:
        return
    assert parsed.completions
