from __future__ import annotations

import pytest

from open_r1.text.tags import last_answer_block, visible_part


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
def test_only_what_follows_the_thinking_is_visible(text, visible):
    assert visible_part(text) == visible


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("<answer>\n6\n</answer>", "6"),
        ("<answer>5</answer><answer>6</answer>", "6"),
        ("<answer>6", "6"),
        ("<answer><answer>6</answer></answer>", "6"),
        ("6</answer>", None),
        ("", None),
    ],
)
def test_the_last_answer_block(text, block):
    assert last_answer_block(text) == block
