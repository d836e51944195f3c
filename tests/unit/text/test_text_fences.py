from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.text.fences import canonical_language, extract_code, fenced_blocks


@pytest.mark.parametrize(
    ("text", "language", "code"),
    [
        ("```python\nx = 1\n```", "python", "x = 1\n"),
        ("```py\nx = 1\n```", "python", "x = 1\n"),
        ("```python\nx = 1\n```", "py", "x = 1\n"),
        ("```Python \nx = 1\n```", "python", "x = 1\n"),
        ("```python\r\nx = 1\r\n```\r\n", "python", "x = 1\n"),
        ("```c++\nint x;\n```", "cpp", "int x;\n"),
        ("```cpp\nint x;\n```", "c++", "int x;\n"),
        ("```python\na\n```\n```python\nb\n```", "python", "b\n"),
        ("```python\na\n```\n```cpp\nb\n```", "python", "a\n"),
        ("So: ```python\nx = 1```", "python", "x = 1"),
        ("```python\na\n```python\nb\n```", "python", "b\n"),
        ("```python\nx\n```</answer>", "python", "x\n"),
        ("```\nx = 1\n```", "python", ""),
        ("```pythonic\nx = 1\n```", "python", ""),
        ("```ccc\nx\n```", "c++", ""),
        ("```python\nx = 1", "python", ""),
        ("x = 1", "python", ""),
        ("", "python", ""),
    ],
)
def test_the_last_closed_block_of_the_language(text, language, code):
    assert extract_code(text, language) == code


def test_blocks_come_in_order_with_their_languages():
    text = "```py\na\n```\ntext\n```\nb\n```\n```js\nc\n```"
    assert fenced_blocks(text) == [("python", "a\n"), ("", "b\n"), ("javascript", "c\n")]


def test_an_unknown_language_keeps_its_name():
    assert canonical_language(" Brainfuck ") == "brainfuck"


@given(st.text(alphabet=st.characters(blacklist_characters="`\r", blacklist_categories=["Cs"])))
def test_what_is_put_into_a_fence_comes_out(code):
    assert extract_code(f"text\n```python\n{code}\n```\n") == f"{code}\n"
