from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.answers.extraction import last_boxed


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{6}", "6"),
        (r"\boxed {6}", "6"),
        (r"\fbox{6}", "6"),
        (r"\framebox{6}", "6"),
        (r"\boxed 6", "6"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{a}b\boxed{c}", "c"),
        (r"\boxed{\boxed{6}}", "6"),
        (r"\boxed{x = \boxed{6}}", r"x = \boxed{6}"),
        (r"\boxed{6}\boxed{}", "6"),
        (r"\boxed{ }", None),
        (r"\boxed{6", None),
        (r"\boxed{5}\boxed{6", "5"),
        (r"\boxed", None),
        ("boxed{6}", None),
        ("", None),
    ],
)
def test_the_last_complete_box_that_holds_something(text, content):
    assert last_boxed(text) == content


@given(st.text(alphabet=r"ab1 +-^_", min_size=1).filter(str.strip), st.text())
def test_what_is_put_into_a_last_box_comes_out(content, before):
    assert last_boxed(f"{before}\n\\boxed{{{content}}}") == content.strip()
