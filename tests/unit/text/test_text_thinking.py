"""Thinking split from the answer: whole, and however a stream is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_r1.text.thinking import (
    SplitText,
    ThinkingSplitter,
    join_thinking,
    restore_opening,
    split_thinking,
    visible_part,
)


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("a", "a"),
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("<think>a", ""),
        ("<think>a</think>b<think>c", ""),
        ("", ""),
    ],
)
def test_only_what_follows_the_thinking_is_visible(text: str, visible: str) -> None:
    assert visible_part(text) == visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", SplitText("", "a", False, False)),
        ("<think>a</think>b", SplitText("<think>a", "b", True, False)),
        ("a</think>b</think>c", SplitText("a</think>b", "c", True, False)),
        ("<think>a", SplitText("<think>a", "", False, True)),
        ("a</think>b<think>c", SplitText("a</think>b<think>c", "", True, True)),
    ],
)
def test_a_whole_text_is_split_at_its_last_closing_tag(text: str, expected: SplitText) -> None:
    assert split_thinking(text) == expected


def test_two_fields_become_one_text_that_splits_again() -> None:
    assert join_thinking(" a\n", "\n b") == "<think>\na\n</think>\n\nb"
    assert join_thinking("a ", None) == "<think>\na "
    assert visible_part(join_thinking("a", "b")).strip() == "b"
    assert split_thinking(join_thinking("a", None)).is_open


def test_an_opening_tag_that_stayed_in_the_prompt_is_restored() -> None:
    assert restore_opening("\na</think>b") == "<think>\na</think>b"
    for text in ("a", "<think>a</think>b", "<think>a", "a <think> b</think>"):
        assert restore_opening(text) == text


def split(pieces: list[str], is_prefilled: bool) -> tuple[str, str]:
    splitter = ThinkingSplitter(is_prefilled)
    parts = [part for piece in pieces for part in splitter.feed(piece)] + splitter.finish()
    thinking = "".join(text for kind, text in parts if kind == "thinking")
    kinds = [kind for kind, _ in parts]
    assert kinds == sorted(kinds, key=["thinking", "answer"].index)
    return thinking, "".join(text for kind, text in parts if kind == "answer")


CASES = [
    ("<think>\n7+5=12\n</think>\n\n12", False, "7+5=12", "12"),
    ("7+5=12\n</think>\n\n12", True, "7+5=12", "12"),
    ("<think>\n7+5=12\n</think>\n12", True, "7+5=12", "12"),
    ("12", False, "", "12"),
    ("  12", False, "", "  12"),
    ("", False, "", ""),
    ("", True, "", ""),
    ("<think>", False, "", ""),
    ("<thin", False, "", "<thin"),
    ("<think>\ncut off </thi", False, "cut off </thi", ""),
    ("cut off", True, "cut off", ""),
    ("<think>\n\n</think>\n\nno thought", False, "", "no thought"),
    ("\n\n</think>\n\nno thought", True, "", "no thought"),
    ("<think>a < b </ c\n\n d</think>x </think> y <think>z", False, "a < b </ c\n\n d", "x </think> y <think>z"),
    ("x < 3 and <think>", False, "", "x < 3 and <think>"),
    ("<think>思考 🤔</think>答え", False, "思考 🤔", "答え"),
]


@pytest.mark.parametrize(("text", "is_prefilled", "thinking", "answer"), CASES)
def test_every_way_of_cutting_gives_the_same_parts(text: str, is_prefilled: bool, thinking: str, answer: str) -> None:
    for size in range(1, len(text) + 2):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert split(pieces, is_prefilled) == (thinking, answer)


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<", "/", "think>", "\n", " ", "a", "</thi"]), max_size=12)


@settings(deadline=None)
@given(pieces=PIECES, is_prefilled=st.booleans())
def test_cutting_never_matters_and_nothing_but_tags_and_white_space_is_lost(
    pieces: list[str], is_prefilled: bool
) -> None:
    text = "".join(pieces)
    whole = split([text], is_prefilled)
    assert split(list(text), is_prefilled) == whole == split(pieces, is_prefilled)
    left = "".join("".join(whole).split())
    assert len(left) >= len("".join(text.replace("<think>", "").replace("</think>", "").split()))


def test_thinking_comes_out_before_it_ends() -> None:
    splitter = ThinkingSplitter(is_prefilled=False)
    assert splitter.feed("<think>\nfirst") == [("thinking", "first")]
    assert splitter.feed(" second") == [("thinking", " second")]
