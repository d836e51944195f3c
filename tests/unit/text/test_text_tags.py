from __future__ import annotations

import pytest

from open_r1.text.tags import last_answer_block


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
