from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.text.fences import extract_code, fenced_blocks
from open_r1.text.languages import canonical_language, cpp_standard, program_language


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
        ("1. Read:\n\n   ```python\n   if x:\n       y\n   ```\n", "python", "if x:\n    y\n"),
        ("- ```python\n  if x:\n\n      y\n  ```", "python", "if x:\n\n    y\n"),
        ("   ```python\nif x:\n    y\n   ```", "python", "if x:\n    y\n"),
        ("```python\n    return x\n```", "python", "    return x\n"),
        ('```python title="main.py" linenums="1"\nx\n```', "python", "x\n"),
        ("```python:main.py\nx\n```", "python", "x\n"),
        ("```{.python .numberLines}\nx\n```", "python", "x\n"),
        ("```{python}\nx\n```", "python", "x\n"),
        ("~~~python\nx\n```\ny\n~~~", "python", "x\n```\ny\n"),
        ("```python\nx\n~~~\ny\n```", "python", "x\n~~~\ny\n"),
        ("```py3\nx\n```", "python", "x\n"),
        ("```python3.11\nx\n```", "python", "x\n"),
        ("```c++17\nx\n```", "cpp", "x\n"),
        ("```cpp\nx\n```", "c++20", "x\n"),
        ("````python\nx\n```\ny\n````", "python", "x\n```\ny\n"),
        ("```python\nx\n````", "python", "x\n"),
        (
            '```python\ndef f():\n    """\n    ```\n    f()\n    ```\n    """\n```',
            "python",
            'def f():\n    """\n    ```\n    f()\n    ```\n    """\n',
        ),
        ('```python\n"""\n```\nf()\n```\n"""\nx\n```', "python", '"""\n```\nf()\n```\n"""\nx\n'),
        (
            '```python\n"""\n    ```python\n    f()\n    ```\n"""\nx\n```',
            "python",
            '"""\n    ```python\n    f()\n    ```\n"""\nx\n',
        ),
        ('```python\nx = \'"""\'\n```\nand so on', "python", 'x = \'"""\'\n'),
        ('```python\na = \'"""\'\n```\nor\n```python\nb\n```', "python", "b\n"),
        ("```python\nx\n      ```", "python", "x\n"),
        ("```python\nx\n``` This prints x.", "python", "x\n"),
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


@pytest.mark.parametrize(
    ("name", "language", "standard", "for_program"),
    [
        ("C++", "cpp", "", "cpp"),
        ("c++17", "cpp", "17", "cpp"),
        ("c++20", "cpp", "20", "cpp20"),
        ("gnu++2a", "cpp", "20", "cpp20"),
        ("g++11", "cpp", "11", "cpp11"),
        ("pypy3-64", "python", "", "python"),
        ("java17", "java", "", "java"),
        ("c11", "c", "", "c"),
        ("cpp1", "cpp1", "", "cpp1"),
    ],
)
def test_names_carry_versions(name, language, standard, for_program):
    assert (canonical_language(name), cpp_standard(name), program_language(name)) == (language, standard, for_program)


def test_an_unclosed_docstring_does_not_swallow_the_blocks_after_it():
    text = '```python\na = 1  # """\n```\nThen:\n```python\nb\n```\n'
    assert fenced_blocks(text) == [("python", 'a = 1  # """\n'), ("python", "b\n")]


def test_many_fences_take_linear_time():
    started = time.process_time()
    for text in ("```python\n" * 20_000, "```\n" * 20_000, '```python\n"""\n' + "   ```\n" * 20_000, "~~~\n```\n" * 20_000,
                 '```python\n"""\n```\n' * 20_000):  # fmt: skip
        fenced_blocks(text)
    assert time.process_time() - started < 10


@given(st.text(alphabet=st.characters(blacklist_characters="`\r", blacklist_categories=["Cs"])))
def test_what_is_put_into_a_fence_comes_out(code):
    assert extract_code(f"text\n```python\n{code}\n```\n") == f"{code}\n"
